package disk

import "sync"

// scratch is a buffer that a look at a file reads through. Those of readers that wait are as many as these, which the
// reader pool bounds; the others are looks at single headers, and small.
type scratch struct{ buf []byte }

// lookSize is what a look from memory copies at once, bytes: the distance of two entries in an index, as it usually is.
const lookSize = defaultIndexInterval

var (
	looks = sync.Pool{New: func() any { return &scratch{buf: make([]byte, lookSize)} }}
	scans = sync.Pool{New: func() any { return &scratch{buf: make([]byte, windowSize)} }}
)

func takeScratch(wait bool) *scratch {
	if wait {
		return scans.Get().(*scratch)
	}
	return looks.Get().(*scratch)
}

func (s *scratch) give() {
	if len(s.buf) == lookSize {
		looks.Put(s)
		return
	}
	scans.Put(s)
}

// window looks at v through s, which is not given back before the window's last use. Without wait it looks into memory.
func (s *scratch) window(v *view, wait bool) window {
	w := v.window(ByReader)
	w.buf, w.cached = s.buf, !wait
	return w
}
