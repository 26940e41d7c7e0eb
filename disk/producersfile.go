package disk

// The files producers and producers.2 hold what a log knew of its producers when it ended at some offset: all below which
// was durable by then, so a power cut can't leave a file that knows of batches which are not there. They are written in
// turns, aside, synced and renamed: the other one is good as well, and only older. Big endian:
//
//	 0  8  magic "sluicepr"
//	 8  4  version, 1
//	12  4  number of producers
//	16  8  base offset of a segment
//	24  8  position in it, bytes
//	32  8  offset at that position: the one this is about
//	40  8  position of the batch that ends there; the position itself when none does
//	48  4  checksum field of that batch: proof that the file is about this log
//	52  4  CRC-32C of the log's directory name
//	56     the producers, the one that was silent longest first:
//	       0  8  id
//	       8  8  time of the last append, Unix ms
//	      16  2  epoch
//	      18  2  number of batches, 1 to 5; then for each, the oldest first:
//	             0  4  sequence of the first record
//	             4  4  sequence of the last record
//	             8  8  offset of the first record
//	end  4  CRC-32C of everything before

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
)

const (
	producersName    = "producers"
	producersMagic   = "sluicepr"
	producersVersion = 1

	producersHead  = 56
	producerBytes  = 20
	sequencedBytes = 16
	producersMax   = producersHead + producersPerLog*(producerBytes+SequencesKept*sequencedBytes) + 4 // bytes of a file
)

var producersNames = [2]string{producersName, producersName + secondCopy}

// snapshot is what such a file says.
type snapshot struct {
	base uint64
	at   tail
	body []byte // the whole file, in memory
}

// encode writes the table as it is at that end of the log, but for those whose time is over.
func (t *producerTable) encode(base uint64, at tail, dir string) *snapshot {
	be, now := binary.BigEndian, t.now()
	b := make([]byte, 0, producersHead+len(t.byID)*(producerBytes+SequencesKept*sequencedBytes)+4)
	b = append(b, producersMagic...)
	b = be.AppendUint32(b, producersVersion)
	b = be.AppendUint32(b, 0)
	b = be.AppendUint64(b, base)
	b = be.AppendUint64(b, uint64(at.pos))
	b = be.AppendUint64(b, at.off)
	b = be.AppendUint64(b, uint64(at.last))
	b = be.AppendUint32(b, at.crc)
	b = be.AppendUint32(b, markOwner(dir))
	n := uint32(0)
	for i := t.oldest; i != 0; i = t.all[i-1].newer {
		p := &t.all[i-1]
		if p.n == 0 || t.expired(p, now) {
			continue
		}
		n++
		b = be.AppendUint64(b, uint64(p.id))
		b = be.AppendUint64(b, uint64(p.used))
		b = be.AppendUint16(b, uint16(p.epoch))
		b = be.AppendUint16(b, uint16(p.n))
		for _, s := range p.batches[:p.n] {
			b = be.AppendUint32(b, uint32(s.first))
			b = be.AppendUint32(b, uint32(s.last))
			b = be.AppendUint64(b, s.base)
		}
	}
	be.PutUint32(b[12:], n)
	b = be.AppendUint32(b, crc32.Checksum(b, crcTable))
	return &snapshot{base, at, b}
}

// parseSnapshot reads a file's head. False: it is damaged, that of another log, or makes no sense.
func parseSnapshot(b []byte, dir string) (s *snapshot, good bool) {
	be := binary.BigEndian
	if len(b) < producersHead+4 || string(b[:8]) != producersMagic || be.Uint32(b[8:]) != producersVersion ||
		be.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], crcTable) || be.Uint32(b[52:]) != markOwner(dir) {
		return nil, false
	}
	s = &snapshot{base: be.Uint64(b[16:]), body: b}
	s.at = tail{
		spot: spot{pos: int64(be.Uint64(b[24:])), off: be.Uint64(b[32:])},
		last: int64(be.Uint64(b[40:])), crc: be.Uint32(b[48:]),
	}
	t := s.at
	sane := t.pos >= 0 && t.last >= 0 && t.last <= t.pos && t.off >= s.base && t.off <= maxOffset &&
		(t.pos == 0) == (t.off == s.base) && (t.pos == 0 || t.last < t.pos)
	return s, sane && s.each(func(producer) {})
}

// each goes over the producers, the one that was silent longest first. False: they make no sense.
func (s *snapshot) each(do func(producer)) bool {
	be := binary.BigEndian
	n, b := be.Uint32(s.body[12:]), s.body[producersHead:len(s.body)-4]
	if n > producersPerLog {
		return false
	}
	for range n {
		if len(b) < producerBytes {
			return false
		}
		p := producer{id: int64(be.Uint64(b)), used: int64(be.Uint64(b[8:])), epoch: int16(be.Uint16(b[16:]))}
		batches := int(be.Uint16(b[18:]))
		if b = b[producerBytes:]; p.id < 0 || p.epoch < 0 || batches < 1 || batches > SequencesKept || len(b) < batches*sequencedBytes {
			return false
		}
		for range batches {
			q := sequenced{int32(be.Uint32(b)), int32(be.Uint32(b[4:])), be.Uint64(b[8:])}
			if q.first < 0 || q.last < 0 || q.base >= s.at.off {
				return false
			}
			p.batches[p.n] = q
			p.n++
			b = b[sequencedBytes:]
		}
		do(p)
	}
	return len(b) == 0
}

// load makes the table what the snapshot says. Of more producers than there may be, those that were silent longest are
// left out, and those whose time was over before that.
func (t *producerTable) load(s *snapshot) {
	now := t.now()
	s.each(func(p producer) {
		if t.expired(&p, now) || t.find(p.id) != nil {
			return
		}
		q := t.add(p.id, p.used)
		link := *q
		*q = p
		q.newer, q.older = link.newer, link.older
	})
}

// saveSnapshot writes copy i, durably but for its name: should that be lost, the file before it is there.
func saveSnapshot(f FS, by By, dir string, i int, s *snapshot) error {
	name := path.Join(dir, producersNames[i])
	if err := writeAside(f, by, name, s.body); err != nil {
		return full(fmt.Errorf("write %s: %w", name, err))
	}
	return nil
}

// loadSnapshot reads copy i. Errors: fs.ErrNotExist, errDamaged, I/O.
func loadSnapshot(f FS, by By, dir string, i int) (s *snapshot, err error) {
	name := path.Join(dir, producersNames[i])
	file, err := f.Open(by, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, file.Close(by)) }()
	size, err := file.Size()
	if err != nil {
		return nil, fmt.Errorf("size of %s: %w", name, err)
	}
	if size > producersMax {
		return nil, fmt.Errorf("%s is %w: it has %d bytes", name, errDamaged, size)
	}
	b := make([]byte, size)
	if err := readFull(by, file, b, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	s, good := parseSnapshot(b, dir)
	if !good {
		return nil, fmt.Errorf("%s is %w", name, errDamaged)
	}
	return s, nil
}
