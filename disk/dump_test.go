package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
)

// dump returns what Dump shows: ranges of batches that follow each other in a line, anything else in a line of its own.
func dump(t *testing.T, f disk.FS, o disk.DumpOptions) (lines []string, values map[uint64]rec) {
	t.Helper()
	values = make(map[uint64]rec)
	var from, next uint64
	flush := func() {
		if next > from {
			lines = append(lines, fmt.Sprintf("[%d,%d)", from, next))
		}
	}
	must(t, disk.Dump(f, o, func(p disk.DumpPiece) error {
		if p.Kind == disk.DumpBatch {
			if p.From != next || from == next {
				flush()
				from = p.From
			}
			next = p.Next
			for r, err := range p.Records {
				must(t, err)
				values[r.Offset] = rec{r.Time, string(r.Value)}
			}
			return nil
		}
		flush()
		from, next = 0, 0
		why, _, _ := strings.Cut(p.Why, ":")
		lines = append(lines, fmt.Sprintf("%s %s@%d+%d [%d,%d): %s", p.Kind, strings.TrimPrefix(p.File, logDir), p.Pos, p.End-p.Pos, p.From, p.Next, why))
		return nil
	}))
	flush()
	return lines, values
}

// TestC2C6DumpGoesOnBehindDamage: dump shows every record that is whole, from any offset, and between them the ranges
// that are not.
func TestC2C6DumpGoesOnBehindDamage(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  func(t *testing.T) *sick
		spoil func(s *sick)
		want  []string
	}{
		{"nothing wrong", newSick, func(*sick) {}, []string{"[0,400)"}},
		{"a record", newSick, func(s *sick) { s.flip(1, 4, 70) }, []string{"[0,87)", "damage 00000000000000000071.log@4088+400 [87,91): the batch there is damaged", "[91,400)"}},
		{"a segment missing", newSick, func(s *sick) { missing(1)(s) },
			[]string{"[0,71)", "damage 00000000000000000000.log@15452+0 [71,139): the file ends here, and the log goes on at offset 139", "[139,400)"}},
		{"the first missing", newSick, func(s *sick) { missing(0)(s) },
			[]string{"damage 00000000000000000071.log@0+0 [0,71): the segments that held them are missing", "[71,400)"}},
		{"a declared gap", newSick, func(s *sick) { missing(1)(s); repair(s.t, s.fs, disk.RepairOptions{}) },
			[]string{"[0,71)", "damage 00000000000000000139.log@0+0 [71,139): a declared gap", "[139,400)"}},
		{"a kill", newKilled, func(*sick) {}, []string{"[0,400)"}},
		{"a torn end", newKilled, func(s *sick) { s.flip(s.last(), len(s.all[s.last()])-1, 70) }, []string{"[0,399)", "torn next.seg@24111+172 [399,399): no whole batch"}},
		{"a hole behind the mark", newKilled, func(s *sick) { s.flip(s.last(), len(s.all[s.last()])-3, 70) },
			[]string{"[0,397)", "damage next.seg@23765+173 [397,398): the batch there is damaged", "[398,400)"}},
		{"a roll cut short", newRolling, func(*sick) {}, []string{"[0,375)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.from(t)
			c.spoil(s)
			got, values := dump(t, s.fs, disk.DumpOptions{Topic: "t"})
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for off, x := range values {
				if s.want[off] != x {
					t.Fatalf("offset %d: %v", off, x)
				}
			}
			for _, from := range []uint64{1, 70, 86, 87, 90, 139, 360, 399, 400} {
				_, part := dump(t, s.fs, disk.DumpOptions{Topic: "t", From: from})
				for off := range uint64(len(s.want)) {
					_, all := values[off]
					if _, ok := part[off]; ok != (all && off >= from) {
						t.Fatalf("from %d: offset %d: shown %v", from, off, ok)
					}
				}
			}
		})
	}
}

// newSpared is a log whose server was killed when the mark stood inside the last segment, and the next one was ready.
func newSpared(t *testing.T) *sick {
	t.Helper()
	mem := fstest.NewMem()
	e := newEnv(t, mem, small)
	s := &sick{t: t, want: fill(t, e, 20, 0)}
	_, err := e.l.Sync()
	must(t, err)
	must(t, e.l.Mark(disk.ByFlusher))
	for !exists(t, mem, spare) {
		x := rec{int64(e.l.Next()), strings.Repeat("y", 100)}
		e.append(t, build(t, x))
		s.want = append(s.want, x)
	}
	s.fs = mem.Kill()
	s.look()
	return s
}

// TestDumpBehindTheMark: what is whole behind the durable mark is shown; what is not is damage when nobody writes there,
// and is not judged beside a server. Before the mark it is damage always.
func TestDumpBehindTheMark(t *testing.T) {
	hole := func(s *sick) { s.flip(s.last(), len(s.all[s.last()])-3, 70) }
	for _, c := range []struct {
		name  string
		from  func(t *testing.T) *sick
		spoil func(s *sick)
		live  bool
		want  string // the one line that is no row of batches
	}{
		{"with a spare", newSpared, func(*sick) {}, false, ""},
		{"with a spare, live", newSpared, func(*sick) {}, true, ""},
		{"a hole", newKilled, hole, false, "damage next.seg@23765+173 [397,398): the batch there is damaged"},
		{"a hole, live", newKilled, hole, true, "torn next.seg@23765+173 [397,398): the server is writing here"},
		{"a torn end, live", newKilled, func(s *sick) { s.flip(s.last(), len(s.all[s.last()])-1, 70) }, true,
			"torn next.seg@24111+172 [399,399): the server is writing here"},
		{"before the mark, live", newKilled, func(s *sick) { s.flip(s.last(), 2, 70) }, true, "damage next.seg@"},
		{"a sealed one, live", newKilled, func(s *sick) { s.flip(0, 2, 70) }, true, "damage 00000000000000000000.log@"},
	} {
		s := c.from(t)
		c.spoil(s)
		lines, values := dump(t, s.fs, disk.DumpOptions{Topic: "t", Live: c.live})
		rest := slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "[") })
		if c.want == "" && len(rest) > 0 || c.want != "" && (len(rest) != 1 || !strings.HasPrefix(rest[0], c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, rest, c.want)
		}
		if c.want == "" && len(values) != len(s.want) {
			t.Errorf("%s: %d records of %d", c.name, len(values), len(s.want))
		}
	}
}

// TestDumpOfAFile: a single file tells its offsets itself, whatever it is called and wherever it begins.
func TestDumpOfAFile(t *testing.T) {
	s := newSick(t)
	b := load(t, s.fs, s.segs[1])
	third := s.all[1][3]
	for _, c := range []struct {
		name    string
		content []byte
		want    []string
	}{
		{"whole", b, []string{"[71,139)"}},
		{"from a batch on", b[third.pos:], []string{"[83,139)"}},
		{"from inside a batch on", b[third.pos-10:], []string{"damage some.cut@0+10 [0,0): no whole batch", "[83,139)"}},
		{"cut", b[:len(b)-5], []string{"[71,135)", "torn some.cut@14416+1106 [135,135): no whole batch"}},
		{"nothing of ours", []byte(strings.Repeat("text", 100)), []string{"torn some.cut@0+400 [0,0): no whole batch"}},
		{"zeros", make([]byte, 1000), nil},
		{"empty", nil, nil},
	} {
		f := fstest.NewMem()
		save(t, f, "some.cut", c.content)
		if got, _ := dump(t, f, disk.DumpOptions{File: "some.cut"}); !slices.Equal(got, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestDumpEnds: the error of a visit ends it and is returned; what is not there is told as such.
func TestDumpEnds(t *testing.T) {
	s := newSick(t)
	n := 0
	err := disk.Dump(s.fs, disk.DumpOptions{Topic: "t"}, func(disk.DumpPiece) error { n++; return errBroken })
	if !errors.Is(err, errBroken) || n != 1 {
		t.Errorf("%d visits, %v", n, err)
	}
	for _, o := range []disk.DumpOptions{{Topic: "other"}, {Topic: "t", Partition: 1}, {File: "topics/none"}} {
		wantIs(t, disk.Dump(s.fs, o, nil), fs.ErrNotExist)
	}
}
