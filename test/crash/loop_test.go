package crash

import (
	"maps"
	"strings"
	"testing"

	"sluice/test/crash/oracle"
	"sluice/test/process"
)

// A server that is killed again and again without an append in between leaves its files as they were, to the byte count, and
// its epochs, too; one append later there is one new epoch.
func TestA6RestartLoop(t *testing.T) {
	p := newPatient(t, t.TempDir(), " segment.bytes=16KiB")
	for range 20 { // some segments, one of them open
		if _, err := p.w.Append(ill, "synced", 3000); err != nil {
			t.Fatal(err)
		}
	}
	p.s.Kill()
	p.rec.End(oracle.Kill)
	p.begin() // the first start may still tidy up
	epoch := p.epoch()
	p.s.Kill()
	p.rec.End(oracle.Kill)
	before := tree(t, p.data)
	for range 15 {
		p.begin()
		if got := p.epoch(); got != epoch {
			t.Fatalf("epoch %d became %d without an append", epoch, got)
		}
		p.s.Kill()
		p.rec.End(oracle.Kill)
	}
	if after := tree(t, p.data); !maps.Equal(before, after) {
		t.Errorf("the files were %v\nand are    %v", before, after)
	}
	p.begin()
	p.fine(ill, "synced")
	if got := p.epoch(); got != epoch+1 {
		t.Errorf("behind 17 kills and an append, epoch %d became %d", epoch, got)
	}
	p.recovers(oracle.Kill)
}

func (p *patient) epoch() uint64 {
	p.t.Helper()
	if _, err := p.w.Ask("HEAD %s", ill); err != nil {
		p.t.Fatal(err)
	}
	return p.w.Uint("epoch")
}

// After five deaths in a row, each soon after its start, the next start refuses appends and says why; reads go on. A clean
// stop ends that.
func TestA6FiveFastDeaths(t *testing.T) {
	p := newPatient(t, t.TempDir(), "")
	p.args = []string{"--set", "crash_loop.deaths=5"}
	p.stop(p.s)
	for range 5 {
		p.begin()
		p.fine(ill, "synced")
		p.s.Kill()
		p.rec.End(oracle.Kill)
	}
	p.begin()
	if err := p.refused("written", "REFUSED"); !strings.Contains(err.Error(), "5") {
		t.Errorf("it is refused without a reason: %v", err)
	}
	p.scan(p.s)
	p.stop(p.s)
	p.begin()
	p.fine(ill, "synced")
	p.scan(p.s)
	p.stop(p.s)
	check(t, p.rec.Events())
}

// A second server on a directory that is in use is refused at once, writes nothing, and the first goes on.
func TestH5SecondProcess(t *testing.T) {
	p := newPatient(t, t.TempDir(), "")
	before := tree(t, p.data)
	second, err := process.Start(p.bin, "--data", p.data, "--http", "")
	if err == nil {
		second.Kill()
		t.Fatal("two servers run on one directory")
	}
	if !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), p.data) {
		t.Errorf("it says %v", err)
	}
	if after := tree(t, p.data); !maps.Equal(before, after) {
		t.Errorf("the files were %v\nand are    %v", before, after)
	}
	p.recovers(oracle.Kill)
}
