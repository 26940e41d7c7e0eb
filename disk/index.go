package disk

// The index file of a sealed segment, big endian. It is derived and never synced (I5): any damage shows in its checksum,
// in its size, or in the batch it points at, and then the segment is scanned instead.
//
//	     0  8  magic "sluiceix"
//	     8  4  version, 1
//	    12  4  zero
//	    16  8  base offset of the segment
//	    24     entries, 16 bytes each:
//	           0  4  offset of a batch, less the base
//	           4  4  its position in the segment, bytes
//	           8  8  highest time of the batches before it, Unix ms; -2^63 in the first entry
//	     n     summary, 40 bytes:
//	           0  8  offset after the segment's last record
//	           8  8  size of the segment, bytes
//	          16  8  highest time in the segment, Unix ms
//	          24  4  number of entries
//	          28  4  checksum field of the batch that the first entry points at: two logs' segments may agree in all else
//	          32  4  zero
//	          36  4  CRC-32C of everything before

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
)

const (
	indexMagic   = "sluiceix"
	indexVersion = 1
	headBytes    = 24
	entryBytes   = 16
	summaryBytes = 40
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// summary is what the end of an index file says about its segment.
type summary struct {
	next    uint64
	size    int64
	maxTime int64
	entries int
	first   uint32
}

func appendIndexHead(b []byte, base uint64) []byte {
	b = append(b, indexMagic...)
	b = binary.BigEndian.AppendUint32(b, indexVersion)
	b = binary.BigEndian.AppendUint32(b, 0)
	return binary.BigEndian.AppendUint64(b, base)
}

func appendEntry(b []byte, e entry) []byte {
	b = binary.BigEndian.AppendUint32(b, e.rel)
	b = binary.BigEndian.AppendUint32(b, e.pos)
	return binary.BigEndian.AppendUint64(b, uint64(e.before))
}

func parseEntry(b []byte) entry {
	be := binary.BigEndian
	return entry{be.Uint32(b), be.Uint32(b[4:]), int64(be.Uint64(b[8:]))}
}

// appendSummary takes the checksum of the bytes already written; the summary's own bytes, in b, are added to it.
func appendSummary(b []byte, s summary, crc uint32) []byte {
	from := len(b)
	b = binary.BigEndian.AppendUint64(b, s.next)
	b = binary.BigEndian.AppendUint64(b, uint64(s.size))
	b = binary.BigEndian.AppendUint64(b, uint64(s.maxTime))
	b = binary.BigEndian.AppendUint32(b, uint32(s.entries))
	b = binary.BigEndian.AppendUint32(b, s.first)
	b = binary.BigEndian.AppendUint32(b, 0)
	return binary.BigEndian.AppendUint32(b, crc32.Update(crc, crcTable, b[from:]))
}

func parseSummary(b []byte) (s summary, crc uint32) {
	be := binary.BigEndian
	return summary{
		next: be.Uint64(b), size: int64(be.Uint64(b[8:])), maxTime: int64(be.Uint64(b[16:])),
		entries: int(be.Uint32(b[24:])), first: be.Uint32(b[28:]),
	}, be.Uint32(b[36:])
}

// writeIndex writes the index file of a complete segment aside and renames it. Its failure costs readers time, nothing
// else, so it never fails the log; what is left of an attempt is removed.
func (l *Log) writeIndex(by By, base uint64, ix whole, next uint64, size int64) error {
	name := l.path(indexName(base))
	aside := name + tmpEnding
	f, err := l.fs.Create(by, aside)
	if errors.Is(err, fs.ErrExist) {
		if err := l.fs.Remove(by, aside); err != nil {
			return fmt.Errorf("write index %s: %w", name, err)
		}
		f, err = l.fs.Create(by, aside)
	}
	if err != nil {
		return full(fmt.Errorf("write index %s: %w", name, err))
	}
	sum := summary{next: next, size: size, entries: ix.len()}
	sum.maxTime, sum.first = ix.about()
	err = errors.Join(writeIndexTo(by, f, base, ix, sum), f.Close(by))
	if err == nil {
		err = l.fs.Rename(by, aside, name)
	}
	if err != nil {
		return full(fmt.Errorf("write index %s: %w", name, errors.Join(err, l.fs.Remove(by, aside))))
	}
	return nil
}

func writeIndexTo(by By, f File, base uint64, ix points, sum summary) error {
	const part = 64 << 10 // bytes written at once
	var pos int64
	var crc uint32
	b := appendIndexHead(make([]byte, 0, part), base)
	flush := func() error {
		crc = crc32.Update(crc, crcTable, b)
		_, err := f.WriteAt(by, b, pos)
		pos += int64(len(b))
		b = b[:0]
		return err
	}
	for i := range sum.entries {
		e, err := ix.at(i)
		if err != nil {
			return err
		}
		b = appendEntry(b, e)
		if len(b)+entryBytes+summaryBytes > part {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	b = slices.Grow(b, summaryBytes)
	b = appendSummary(b, sum, crc32.Update(crc, crcTable, b))
	_, err := f.WriteAt(by, b, pos)
	return err
}
