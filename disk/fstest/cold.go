package fstest

import "sluice/disk"

// SetCold makes the file system one whose cache is empty now: ReadCached and Cached of a page say no until a ReadAt or a
// write has touched it, and again after an Evict. SetCold(false) is as at first: everything is in memory.
func (m *Mem) SetCold(cold bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cold = cold
	m.since++
}

// touch is told that [pos, pos+n) was read or written, or, with warm unset, evicted.
func (f *memFile) touch(pos, n int64, warm bool) {
	if !f.m.cold {
		return
	}
	if f.n.warm == nil || f.n.warmSince != f.m.since {
		f.n.warm, f.n.warmSince = make(map[int64]bool), f.m.since
	}
	first, end := wholePages(pos, n)
	if !warm { // parts of pages stay
		first, end = (pos+pageBytes-1)/pageBytes*pageBytes, min(end, f.n.cache.size+pageBytes)
	}
	for ; first < end; first += pageBytes {
		if warm {
			f.n.warm[first] = true
		} else {
			delete(f.n.warm, first)
		}
	}
}

func (f *memFile) isWarm(pos int64) bool {
	first, _ := wholePages(pos, 0)
	return !f.m.cold || f.n.warmSince == f.m.since && f.n.warm[first]
}

// warmFrom counts the bytes of [pos, pos+n) before the first that is not in memory.
func (f *memFile) warmFrom(pos, n int64) int64 {
	at := pos
	for at < pos+n && f.isWarm(at) {
		at += pageBytes - at%pageBytes
	}
	return min(at-pos, n)
}

func (f *memFile) ReadCached(_ disk.By, p []byte, pos int64) (int, error) {
	if err := f.lock("read"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	n := f.warmFrom(pos, max(0, min(int64(len(p)), f.n.cache.size-pos)))
	if n < min(int64(len(p)), f.n.cache.size-pos) {
		f.n.cache.read(p[:n], pos)
		return int(n), disk.ErrCold
	}
	return f.read(p, pos)
}

func (f *memFile) Cached(pos, n int64) bool {
	if f.lock("stat") != nil {
		return false
	}
	defer f.m.mu.Unlock()
	return pos+n <= f.n.cache.size && f.warmFrom(pos, n) == n
}

// Ahead does nothing: that a hint was taken is nothing to rely on.
func (f *memFile) Ahead(disk.By, int64, int64) error { return nil }

func (f *memFile) Fd() (int, bool) { return 0, false }
