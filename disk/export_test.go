package disk

import (
	"errors"
	"io"

	"sluice/wire/batch"
)

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

// Chunk is an extent's bytes.
type Chunk struct {
	Bytes []byte
	Next  uint64 // offset after the last record in Bytes: where to read on
}

// ReadAt locates an extent of at most so many bytes as buf has, and reads and checks it, as one does whose reader has no
// checksum: should it be damaged since it was checked, it is checked again.
func (l *Log) ReadAt(buf []byte, from uint64, c *Cursor) (ch Chunk, err error) {
	for range 2 {
		var x Extent
		if err = l.Locate(&x, from, int64(len(buf)), c, true); err != nil {
			return Chunk{}, err
		}
		if x.Size == 0 {
			return Chunk{Next: x.Next}, x.Release()
		}
		ch = Chunk{make([]byte, x.Size), x.Next}
		n, failed := x.File().ReadAt(ByReader, ch.Bytes, x.Pos)
		if err = checkBatches(ch.Bytes[:n], x.From, x.Next); err != nil {
			x.Doubt()
			if failed != nil && !errors.Is(failed, io.EOF) {
				err = failed
			}
		}
		if err = errors.Join(err, x.Release()); err == nil {
			return ch, nil
		}
		if c != nil {
			*c = Cursor{}
		}
	}
	return Chunk{}, err
}

func checkBatches(b []byte, at, next uint64) error {
	for at < next {
		h, err := batch.Verify(b)
		if err != nil {
			return err
		}
		if h.BaseOffset != at {
			return bad("base offset %d, not %d", h.BaseOffset, at)
		}
		at, b = h.Next(), b[h.Size:]
	}
	return nil
}
