package disk_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"sluice/disk"
)

// FuzzRepair spoils the files of a log, as the input says, six bytes a time: which file, how, where, how much. Verify never
// fails on it; after repair it finds nothing, the log opens for appends, and no record is another one than was appended.
func FuzzRepair(f *testing.F) {
	f.Add([]byte{0, 0, 0, 100, 0, 1, 1, 1, 1, 0, 16, 0})
	f.Add([]byte{2, 2, 4, 0, 0, 0, 3, 3, 0, 0, 0, 0, 9, 0, 0, 30, 0, 1})
	f.Add([]byte{3, 4, 1, 0, 2, 0, 1, 5, 0, 0, 0, 0})
	clean, killed := newSickF(f, newSick), newSickF(f, newKilled)
	f.Fuzz(func(t *testing.T, in []byte) { repairSpoilt(t, clean, killed, in) })
}

func repairSpoilt(t *testing.T, clean, killed *sick, in []byte) {
	if len(in) > 6*8 {
		in = in[:6*8]
	}
	from := clean
	if len(in)%2 == 1 {
		from = killed
	}
	s := &sick{t: t, fs: from.fs.Kill(), want: from.want}
	for ; len(in) >= 6; in = in[6:] {
		s.spoil(in)
	}
	verify(t, s.fs, disk.VerifyOptions{})
	verify(t, s.fs, disk.VerifyOptions{Live: true})
	must(t, disk.Dump(s.fs, disk.DumpOptions{Topic: "t"}, func(disk.DumpPiece) error { return nil }))
	repair(t, s.fs, disk.RepairOptions{})
	e := &env{fs: s.fs, opt: small, s: openStore(t, s.fs)}
	e.openLog(t)
	must(t, e.l.Err())
	got, _ := readAround(t, e.l, 2000)
	for off, x := range got {
		if off >= uint64(len(s.want)) || s.want[off] != x {
			t.Fatalf("offset %d holds %q", off, x.value)
		}
	}
	e.append(t, build(t, rec{5, "new"}))
	e.close(t)
	if lines, sum := verify(t, s.fs, disk.VerifyOptions{}); sum.Damages+sum.Problems > 0 {
		t.Fatalf("after repair: %q", lines)
	}
}

func newSickF(f *testing.F, make func(*testing.T) *sick) (s *sick) {
	f.Helper()
	var t testing.T // of no consequence: the log is made without damage
	return make(&t)
}

// spoil does one damage: flip a bit, zero, cut, remove, copy over, or grow a file.
func (s *sick) spoil(how []byte) {
	names := slices.DeleteFunc(listNames(s.t, s.fs, "topics/t/0", ""), func(name string) bool { return name == logDir })
	if len(names) == 0 {
		return
	}
	name := names[int(how[0])%len(names)]
	b := slices.Clone(load(s.t, s.fs, name))
	at, n := int(binary.BigEndian.Uint16(how[2:])), int(binary.BigEndian.Uint16(how[4:]))
	at = min(at, len(b))
	end := min(at+n, len(b))
	switch how[1] % 6 {
	case 0:
		if at < len(b) {
			b[at] ^= 1 << (n % 8)
		}
	case 1:
		clear(b[at:end])
	case 2:
		b = b[:at]
	case 3:
		must(s.t, s.fs.Remove("test", name))
		return
	case 4:
		copy(b[end:], b[at:end])
	case 5:
		b = append(b, make([]byte, n%5000)...)
	}
	save(s.t, s.fs, name, b)
}
