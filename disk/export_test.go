package disk

// SaveGapsForTest declares gaps as a repair does.
func SaveGapsForTest(f FS, dir string, gaps []Gap) error { return saveGaps(f, "test", dir, gaps) }

// SharesForTest is how a store's budget is cut up: descriptors, openings, files in use, logs awake.
func SharesForTest(budget int) (least, service, openings, pins, awake int) {
	f := newFiles(budget)
	return minFiles, serviceFiles, f.openings, f.pins, f.awakens
}

// OffsetAt is FirstAt for tests that have no use for the record's own time.
func (l *Log) OffsetAt(ms int64, wait bool) (uint64, error) {
	first, err := l.FirstAt(ms, wait)
	return first.Offset, err
}
