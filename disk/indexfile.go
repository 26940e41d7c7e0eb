package disk

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math"

	"sluice/wire/batch"
)

// indexFile is an open index file. It is searched by single reads of one entry: a whole index is megabytes, a search
// needs some twenty entries of it.
type indexFile struct {
	f   File
	sum summary
	buf [batch.HeaderSize]byte
}

var errBadIndex = errors.New("disk: index file is damaged or not this segment's")

func (x *indexFile) len() int { return x.sum.entries }

func (x *indexFile) at(i int) (entry, error) {
	b := x.buf[:entryBytes]
	if err := readFull(ByReader, x.f, b, headBytes+int64(i)*entryBytes); err != nil {
		return entry{}, err
	}
	return parseEntry(b), nil
}

// openIndex opens the index file of v's sealed segment. Nil: there is none that can be used; then v is scanned. The
// first opening in this process reads the file whole and checks it; later ones go by the summary kept from then.
func (l *Log) openIndex(v *view) *indexFile {
	if v.seg.badIndex.Load() {
		return nil
	}
	f, err := l.fs.Open(ByReader, l.path(indexName(v.base)))
	if err != nil {
		// Without a descriptor to be had, the file may be fine: only its absence is worth remembering.
		if errors.Is(err, fs.ErrNotExist) {
			l.wantIndex(v.seg)
		}
		return nil
	}
	x := &indexFile{f: f}
	known := v.seg.summary.Load()
	if known == nil {
		if known, err = x.check(v); err != nil {
			if errors.Is(err, errBadIndex) || errors.Is(err, io.ErrUnexpectedEOF) {
				l.wantIndex(v.seg)
			}
			l.closeIndex(x)
			return nil
		}
		v.seg.summary.Store(known)
	}
	x.sum = *known
	return x
}

// closeIndex has no one to tell of an error: the file was only read, and is a hint.
func (l *Log) closeIndex(x *indexFile) {
	if x == nil {
		return
	}
	if err := x.f.Close(ByReader); err != nil {
		l.log.Sugar().Warnf("closing an index file of %s: %v", l.dir, err)
	}
}

// check reads the whole file: its checksum, and that it speaks of this segment.
func (x *indexFile) check(v *view) (*summary, error) {
	size, err := x.f.Size()
	if err != nil {
		return nil, err
	}
	entries := size - headBytes - summaryBytes
	if entries < 0 || entries%entryBytes != 0 || entries/entryBytes > math.MaxInt32 {
		return nil, errBadIndex
	}
	tail := make([]byte, summaryBytes)
	if err := readFull(ByReader, x.f, tail, size-summaryBytes); err != nil {
		return nil, err
	}
	sum, want := parseSummary(tail)
	if int64(sum.entries) != entries/entryBytes || sum.size != v.size || sum.next != v.end {
		return nil, errBadIndex
	}
	head := x.buf[:headBytes]
	if err := readFull(ByReader, x.f, head, 0); err != nil {
		return nil, err
	}
	if string(head) != string(appendIndexHead(nil, v.base)) {
		return nil, errBadIndex
	}
	if got, err := checksum(x.f, size-4); err != nil || got != want {
		return nil, errors.Join(errBadIndex, err)
	}
	x.sum = sum
	return &sum, x.ownsFirst(v)
}

// ownsFirst compares the batch that the first entry points at with the checksum kept of it: the index may be right in
// itself and that of another log's segment.
func (x *indexFile) ownsFirst(v *view) error {
	if x.sum.entries == 0 {
		return nil
	}
	e, err := x.at(0)
	if err != nil {
		return err
	}
	if err := readFull(ByReader, v.file, x.buf[:], int64(e.pos)); err != nil {
		return err
	}
	if h, err := batch.ParseHeader(x.buf[:]); err != nil || h.CRC != x.sum.first {
		return errBadIndex
	}
	return nil
}

// checksum is the CRC-32C of the first n bytes.
func checksum(f File, n int64) (uint32, error) {
	b := make([]byte, min(n, 64<<10))
	var crc uint32
	for pos := int64(0); pos < n; {
		part := b[:min(int64(len(b)), n-pos)]
		if err := readFull(ByReader, f, part, pos); err != nil {
			return 0, err
		}
		crc = crc32.Update(crc, crcTable, part)
		pos += int64(len(part))
	}
	return crc, nil
}

// readFull fills b; a file that ends before is io.ErrUnexpectedEOF.
func readFull(by By, f File, b []byte, pos int64) error {
	n, err := f.ReadAt(by, b, pos)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
