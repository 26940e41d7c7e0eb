package disk

import "fmt"

// StoreOptions are a store's settings. Zero means the default.
type StoreOptions struct {
	Files int // descriptors that the store may hold at once; default 1,024, at least 16
}

const (
	defaultFiles = 1024
	minFiles     = 16 // a log that opens and rolls while another is read
)

func (o StoreOptions) withDefaults() (StoreOptions, error) {
	if o.Files == 0 {
		o.Files = defaultFiles
	}
	if o.Files < minFiles {
		return o, fmt.Errorf("disk: %d descriptors are too few for a store, which needs at least %d", o.Files, minFiles)
	}
	return o, nil
}

// FilesInfo is what the store holds open, and how well that goes, for statistics. Awake logs hold their active segment and
// marks; all else is opened by name, and kept as long as there is room.
type FilesInfo struct {
	Budget, Open, Cached, Awake int   // descriptors: allowed, held, of those sealed files kept for reading; logs awake
	Hits, Misses, Evictions     int64 // of sealed files, since the start
	Waits                       int64 // opens that waited for a descriptor
	Sleeps                      int64 // logs put to sleep
}

// Files may be called from any goroutine; it is cheap.
func (s *Store) Files() FilesInfo { return FilesInfo{Budget: s.opt.Files} }
