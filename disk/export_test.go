package disk

// SaveGapsForTest declares gaps as a repair does.
func SaveGapsForTest(f FS, dir string, gaps []Gap) error { return saveGaps(f, "test", dir, gaps) }
