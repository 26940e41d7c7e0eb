package disk

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"sync"

	"sluice/wire/batch"
)

// indexFile is an open index file. It is searched by reads of some entries: a whole index is megabytes, and who reads on
// finds the next end not far behind the last one.
type indexFile struct {
	f      File
	pin    *readFile
	cached bool // from memory only: ErrCold where the kernel would have to read
	sum    summary
	from   int // entries [from, from+n) are in buf
	n      int
	buf    [blockEntries * entryBytes]byte
}

const (
	blockEntries = 256 // read at once: 1 MiB of log at the usual interval
	blockBefore  = 32  // of them before the one that is asked for: a search goes either way, reading on only forward
)

// indexFiles are those nobody uses: searching an index that is open allocates nothing.
var indexFiles = sync.Pool{New: func() any { return new(indexFile) }}

var errBadIndex = errors.New("disk: index file is damaged or not this segment's")

func (x *indexFile) len() int { return x.sum.entries }

func (x *indexFile) at(i int) (entry, error) {
	if i < x.from || i >= x.from+x.n {
		if err := x.load(max(0, i-blockBefore)); err != nil {
			return entry{}, err
		}
	}
	return parseEntry(x.buf[(i-x.from)*entryBytes:]), nil
}

// load reads a block of entries.
func (x *indexFile) load(from int) error {
	x.from, x.n = from, 0
	n := min(blockEntries, x.sum.entries-from)
	b := x.buf[:n*entryBytes]
	pos := headBytes + int64(from)*entryBytes
	if x.cached {
		if n, err := x.f.ReadCached(ByReader, b, pos); n < len(b) {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
	} else if err := readFull(ByReader, x.f, b, pos); err != nil {
		return err
	}
	x.n = n
	return nil
}

// openIndex opens the index file of v's sealed segment. Nil: there is none that can be used; then v is scanned. The
// first opening in this process reads the file whole and checks it; later ones go by the summary kept from then. Without
// wait it is ErrCold if that takes the disk; with it, it is done without, where no descriptor is to be had: whoever has
// pinned the segment must not wait for one.
func (l *Log) openIndex(v *view, wait bool) (*indexFile, error) {
	if v.seg.badIndex.Load() {
		return nil, nil
	}
	known, mode := v.seg.summary.Load(), pinOpen
	if wait {
		mode = pinNow
	} else if known == nil {
		return nil, ErrCold
	}
	pin, err := l.pinFile(v.seg, indexOfIt, mode)
	if err != nil {
		// Without a descriptor to be had, the file may be fine: only its absence is worth remembering.
		if errors.Is(err, fs.ErrNotExist) {
			l.wantIndex(v.seg)
		}
		if !wait {
			return nil, ErrCold
		}
		return nil, nil
	}
	x := indexFiles.Get().(*indexFile)
	x.f, x.pin, x.cached = pin.file, pin, !wait
	if known == nil {
		if known, err = x.check(v); err != nil {
			if errors.Is(err, errBadIndex) || errors.Is(err, io.ErrUnexpectedEOF) {
				l.wantIndex(v.seg)
			}
			l.closeIndex(x)
			return nil, nil
		}
		v.seg.summary.Store(known)
	}
	x.sum = *known
	return x, nil
}

func (l *Log) closeIndex(x *indexFile) {
	if x == nil {
		return
	}
	x.pin.unpin()
	x.f, x.pin, x.n = nil, nil, 0 // not what it has read: that is 4 KiB
	indexFiles.Put(x)
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
	head := make([]byte, headBytes)
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
	head := make([]byte, batch.HeaderSize)
	if err := readFull(ByReader, v.file, head, int64(e.pos)); err != nil {
		return err
	}
	if h, err := batch.ParseHeader(head); err != nil || h.CRC != x.sum.first {
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
