package disk

// The file marks holds the durable mark of a log: what is known to be on the device without looking. Opening reads only
// what lies behind it, and what lies before it is never cut (I7). It has two slots, 4096 bytes apart so that no torn
// sector takes both; a mark goes into the one that does not hold the newest. A damaged slot means the other one; without
// a good slot there is no mark, and the last segment is scanned whole. Big endian, the same in both:
//
//	     0  8  magic "sluicemk"
//	     8  4  version, 1
//	    12  4  flags: 1 the log was closed in order, and nothing was appended since; 2 it has a file of its producers
//	    16  8  sequence number: the greater is the newer
//	    24  8  base offset of the segment the mark is in
//	    32  8  position in it, bytes: everything before is durable
//	    40  8  offset at that position
//	    48  8  position of the batch that ends there; the mark's own position when none does
//	    56  8  size of the segment before, bytes, while that one is not sealed; else 0
//	    64  8  end of what readers were shown when the mark was written
//	    72  4  checksum field of the batch that ends at the mark: proof that the file is the one that is meant
//	    76  4  CRC-32C of the log's directory name: proof that the log is
//	    80  4  epoch of the log
//	    84  4  CRC-32C of everything before

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"

	"sluice/wire/batch"
)

const (
	marksName   = "marks"
	marksMagic  = "sluicemk"
	markVersion = 1
	markBytes   = 88
	slotApart   = 4096 // bytes: the largest sector of the disks in use
	flagClean   = 1
	flagKnows   = 2
)

// CheckpointBytes bounds what a log may hold unsynced, whatever its settings say, so that opening never scans much more.
const CheckpointBytes = 64 << 20

// tail is the end of known batches: a spot, and the last batch before it, which proves the spot.
type tail struct {
	spot
	last int64  // where that batch begins; pos: there is none
	crc  uint32 // its checksum field
}

// step goes on over a batch.
func (t *tail) step(h batch.Header) {
	t.last, t.crc = t.pos, h.CRC
	t.spot = spot{t.pos + int64(h.Size), h.Next()}
}

// mark is what one slot says.
type mark struct {
	clean   bool
	knows   bool // of producers
	seq     uint64
	base    uint64
	tail    tail
	before  int64
	visible uint64
	epoch   int32
}

// marks is both slots, as read.
type marks struct {
	slot [2]mark
	good [2]bool
}

// newest is the slot that counts; -1 if no slot is good.
func (m *marks) newest() int {
	switch {
	case m.good[0] && m.good[1] && m.slot[1].seq > m.slot[0].seq:
		return 1
	case m.good[0]:
		return 0
	case m.good[1]:
		return 1
	}
	return -1
}

// clean tells whether the log was closed in order. With one slot damaged it is not believed: the damaged one may have
// said that appends had begun again.
func (m *marks) clean() bool { return m.good[0] && m.good[1] && m.slot[m.newest()].clean }

// markOwner is the CRC-32C of dir. crc32.Checksum would take a copy of it to the heap, for each mark.
func markOwner(dir string) uint32 {
	sum := ^uint32(0)
	for i := range len(dir) {
		sum = crcTable[byte(sum)^dir[i]] ^ sum>>8
	}
	return ^sum
}

func appendMark(b []byte, m mark, dir string) []byte {
	be, from := binary.BigEndian, len(b)
	var flags uint32
	if m.clean {
		flags = flagClean
	}
	if m.knows {
		flags |= flagKnows
	}
	b = append(b, marksMagic...)
	b = be.AppendUint32(b, markVersion)
	b = be.AppendUint32(b, flags)
	b = be.AppendUint64(b, m.seq)
	b = be.AppendUint64(b, m.base)
	b = be.AppendUint64(b, uint64(m.tail.pos))
	b = be.AppendUint64(b, m.tail.off)
	b = be.AppendUint64(b, uint64(m.tail.last))
	b = be.AppendUint64(b, uint64(m.before))
	b = be.AppendUint64(b, m.visible)
	b = be.AppendUint32(b, m.tail.crc)
	b = be.AppendUint32(b, markOwner(dir))
	b = be.AppendUint32(b, uint32(m.epoch))
	return be.AppendUint32(b, crc32.Checksum(b[from:], crcTable))
}

// parseMark reads one slot. False: it is damaged, that of another log, or makes no sense.
func parseMark(b []byte, dir string) (m mark, good bool) {
	be := binary.BigEndian
	if len(b) < markBytes || string(b[:8]) != marksMagic || be.Uint32(b[8:]) != markVersion ||
		be.Uint32(b[84:]) != crc32.Checksum(b[:84], crcTable) || be.Uint32(b[76:]) != markOwner(dir) {
		return mark{}, false
	}
	m = mark{
		clean: be.Uint32(b[12:])&flagClean != 0, knows: be.Uint32(b[12:])&flagKnows != 0, seq: be.Uint64(b[16:]), base: be.Uint64(b[24:]),
		tail: tail{
			spot: spot{pos: int64(be.Uint64(b[32:])), off: be.Uint64(b[40:])},
			last: int64(be.Uint64(b[48:])), crc: be.Uint32(b[72:]),
		},
		before: int64(be.Uint64(b[56:])), visible: be.Uint64(b[64:]), epoch: int32(be.Uint32(b[80:])),
	}
	t := m.tail
	sane := t.pos >= 0 && t.last >= 0 && t.last <= t.pos && m.before >= 0 && t.off >= m.base && t.off <= maxOffset &&
		(t.pos == 0) == (t.off == m.base) && (t.pos == 0 || t.last < t.pos)
	return m, sane
}

// loadMarks reads the marks of the log in dir. A missing file is fs.ErrNotExist, a short or damaged one has bad slots.
func loadMarks(f FS, by By, dir string) (m marks, err error) {
	file, err := f.Open(by, path.Join(dir, marksName))
	if err != nil {
		return marks{}, err
	}
	defer func() { err = errors.Join(err, file.Close(by)) }()
	return readMarks(file, by, dir)
}

func readMarks(file File, by By, dir string) (m marks, err error) {
	b := make([]byte, markBytes)
	for i := range m.slot {
		err := readFull(by, file, b, int64(i)*slotApart)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return m, fmt.Errorf("read %s: %w", path.Join(dir, marksName), err)
		}
		m.slot[i], m.good[i] = parseMark(b, dir)
	}
	return m, nil
}

// markFile is the open file marks of a log. It has one owner at a time: the opener; the roller until the log has begun;
// then the flusher; at last who closes the log.
type markFile struct {
	file     File // nil: there is none, or the log sleeps
	dir      string
	have     marks
	there    bool // there is a file
	unsynced bool // something was written since the last sync
	buf      [markBytes]byte
}

// open opens the file again that was closed.
func (f *markFile) open(l FS, by By) (err error) {
	f.file, err = l.Open(by, path.Join(f.dir, marksName))
	return err
}

// write puts a mark into the slot that is not the newest, without a sync.
func (f *markFile) write(by By, m mark) error {
	i := f.have.newest()
	if i >= 0 {
		m.seq = f.have.slot[i].seq + 1
	}
	i = (i + 1) % 2 // after -1, slot 0
	b := appendMark(f.buf[:0], m, f.dir)
	f.have.good[i] = false // a write that fails may have torn it
	f.unsynced = true
	if _, err := f.file.WriteAt(by, b, int64(i)*slotApart); err != nil {
		return full(fmt.Errorf("write %s: %w", path.Join(f.dir, marksName), err))
	}
	f.have.slot[i], f.have.good[i] = m, true
	return nil
}

func (f *markFile) sync(by By) error {
	if err := f.file.Sync(by); err != nil {
		return fmt.Errorf("sync %s: %w", path.Join(f.dir, marksName), err)
	}
	f.unsynced = false
	return nil
}

// store makes m the newest mark, durably, and both slots good; a file that is missing is made. The caller makes its name
// durable. An error that leaves nothing in doubt is retryable.
func (f *markFile) store(l FS, by By, m mark) error {
	if f.file == nil {
		name := path.Join(f.dir, marksName)
		file, err := l.Create(by, name)
		if errors.Is(err, fs.ErrExist) { // left by an attempt that went no further
			file, err = l.Open(by, name)
		}
		if err != nil {
			return unmade(fmt.Errorf("create %s: %w", name, err))
		}
		f.file, f.there = file, true
	}
	if err := f.write(by, m); err != nil {
		return err
	}
	if !f.have.good[0] || !f.have.good[1] {
		if err := f.write(by, m); err != nil {
			return err
		}
	}
	return f.sync(by)
}

func (f *markFile) close(by By) error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close(by)
	f.file = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", path.Join(f.dir, marksName), err)
	}
	return nil
}
