package disk

// SaveGapsForTest declares gaps as a repair does.
func SaveGapsForTest(f FS, dir string, gaps []Gap) error { return saveGaps(f, "test", dir, gaps) }

// SharesForTest is how a store's budget is cut up: descriptors, openings, files in use, logs awake.
func SharesForTest(budget int) (least, service, openings, pins, awake int) {
	f := newFiles(budget)
	return minFiles, serviceFiles, f.openings, f.pins, f.awakens
}
