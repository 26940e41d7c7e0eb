package crash

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/crash/oracle"
	"sluice/test/crash/witness"
)

// until tries again and again; the deadline only ends a test that has failed.
func until(t *testing.T, what string, try func() bool) {
	t.Helper()
	for end := time.Now().Add(witness.Limit); !try(); {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", witness.Limit, what)
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// A file system fills up under load, on tmpfs and on ext4, with the server's marks and, without them, by ENOSPC itself:
// appends are refused with DISK_FULL, reads and FLUSH go on, appends go on by themselves when there is room, and nothing that
// was acknowledged is lost.
func TestB4B5B6DiskFull(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	for _, c := range []struct {
		name  string
		ext4  bool
		marks []string
	}{
		{"tmpfs", false, nil},
		{"tmpfs, no marks", false, []string{"disk.low=0", "disk.high=0", "disk.reserve=0"}},
		{"ext4", true, nil},
		{"ext4, no marks", true, []string{"disk.low=0", "disk.high=0", "disk.reserve=0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var dir string
			if c.ext4 {
				dir = newVolume(t, t.TempDir(), 48).dir
			} else {
				dir = tmpfs(t, 32)
			}
			r := newRound(t, firstSeed(t))
			t.Logf("seed %d", r.seed)
			r.vary()
			for _, m := range append(c.marks, "disk.check=20ms") {
				name, value, _ := strings.Cut(m, "=")
				r.set(name, value)
			}
			r.data = filepath.Join(dir, "data")
			r.fillUp(dir)
		})
	}
}

func (r *round) fillUp(dir string) {
	s := r.start()
	r.create(s.Text)
	l, err := witness.StartLoad(s.Text, r.rec, r.logs, 2, 1, r.rng.Uint64())
	must(r.t, err)
	<-l.On
	w := r.dial(s.Text)
	ballast := fill(r.t, dir)
	until(r.t, "an append that is refused", func() bool {
		_, err := w.Append("a", "written", 3000)
		return code(err) == "DISK_FULL"
	})
	if _, next, err := w.Head("a"); err != nil || next == 0 {
		r.t.Errorf("HEAD on a full disk: %d, %v", next, err)
	}
	if e, err := w.Fetch("a", 0, 0); err != nil || len(e.Records) == 0 {
		r.t.Errorf("a full disk is not read: %v", err)
	}
	if _, err := w.Ask("FLUSH a"); err != nil {
		r.t.Errorf("FLUSH on a full disk: %v", err)
	}
	must(r.t, os.Remove(ballast))
	until(r.t, "an append behind the full disk", func() bool {
		_, err := w.Append("a", "synced", 100)
		return err == nil
	})
	s.Kill()
	must(r.t, l.Join())
	for c, n := range l.Codes() {
		if c != "DISK_FULL" && c != "UNKNOWN" { // unknown: the front of a request that straddles two segments is there
			r.t.Errorf("%d requests were answered %s\n%s", n, c, s.Log())
		}
	}
	r.rec.End(oracle.Kill)
	s = r.start()
	r.scan(s)
	r.stop(s)
	r.tidy()
	check(r.t, r.rec.Events())
	r.t.Logf("%d acknowledged, answered: %v", l.Acked.Load(), l.Codes())
}

// The trap for real: a device loses its room, so that the first fdatasync of a file fails and a second one would return 0.
// Nobody is told that his record is synced, the log fails for good, and the next start believes the device, not the kernel's
// memory of what the device never got.
func TestB1FsyncGate(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	small := tmpfs(t, 40)
	v := newVolume(t, small, 200, "-b", "4096", "-N", "128", "-J", "size=4", "-E", "packed_meta_blocks=1")
	touch(t, filepath.Join(small, "image"), 5<<20) // so that only what files hold can fail, and not the journal
	p := newPatient(t, filepath.Join(v.dir, "data"), "")
	p.align(4096) // a loop device takes a write for done of which only the front had room
	ballast := fill(t, small)
	if first, second := syncTwice(t, filepath.Join(v.dir, "probe")); first == nil || second != nil {
		t.Skipf("skipped: this kernel does not forget a failed write: fdatasync gave %v, then %v", first, second)
	}
	p.refused("synced", "UNKNOWN")
	for _, ack := range []string{"synced", "written"} {
		p.refused(ack, "LOG_FAILED")
	}
	p.s.Kill()
	p.rec.End(oracle.Kill)
	p.begin()
	p.scan(p.s)
	p.s.Kill()
	p.rec.End(oracle.Power)
	must(t, os.Remove(ballast))
	v.restore() // now the kernel forgets, too
	p.begin()
	p.scan(p.s)
	p.fine(ill, "synced")
	p.scan(p.s)
	p.stop(p.s)
	check(t, p.rec.Events())
}

// align appends until the log's file ends at a multiple of n bytes.
func (p *patient) align(n int) {
	p.t.Helper()
	add := func(size int) (end int) {
		if _, err := p.w.Append(ill, "synced", size); err != nil {
			p.t.Fatal(err)
		}
		if _, err := p.w.Ask("HEAD %s", ill); err != nil {
			p.t.Fatal(err)
		}
		return int(p.w.Uint("bytes"))
	}
	const some = 300
	first := add(some)
	second := add(some)
	around := second - first - some
	if end := add(n + some - (second+around+some)%n); end%n != 0 {
		p.t.Fatalf("the log ends at %d, which is no multiple of %d", end, n)
	}
}

// touch writes the first n bytes of a file as they are, which gives them blocks.
func touch(t *testing.T, name string, n int) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, n)
	_, err = f.ReadAt(b, 0)
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, err)
}

// syncTwice writes a file and syncs it twice.
func syncTwice(t *testing.T, name string) (first, second error) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		return err, err
	}
	return unix.Fdatasync(int(f.Fd())), unix.Fdatasync(int(f.Fd()))
}

// A file may not grow any more (RLIMIT_FSIZE): the log fails with that reason, or refuses before the write, and others go on.
func TestB7FileTooLarge(t *testing.T) {
	p := newPatient(t, t.TempDir(), " segment.bytes=64MiB")
	var st unix.Stat_t
	must(t, unix.Stat(p.segment(), &st))
	most := unix.Rlimit{Cur: uint64(st.Size), Max: uint64(st.Size)}
	if err := unix.Prlimit(p.s.Cmd.Process.Pid, unix.RLIMIT_FSIZE, &most, nil); err != nil {
		t.Skipf("skipped: the limits of another process can't be set: %v", err)
	}
	var err error
	for n := 0; err == nil && n < 100_000; n++ {
		_, err = p.w.Append(ill, []string{"written", "synced"}[n%2], 5000)
	}
	if c := code(err); c != "UNKNOWN" && c != "LOG_FAILED" {
		t.Fatalf("a file that may not grow: %v", err)
	}
	p.failed("file too large")
	p.recovers(oracle.Kill)
}

// A file system goes read-only under the server: every log on it fails with that reason, reads go on, nothing is acknowledged
// any more, and what was synced is there when it can be written again.
func TestB7ReadOnlyFileSystem(t *testing.T) {
	if !inSandbox(t) {
		return
	}
	v := newVolume(t, t.TempDir(), 64)
	p := newPatient(t, filepath.Join(v.dir, "data"), "")
	if err := unix.Mount("", v.dir, "", unix.MS_REMOUNT, "abort"); err != nil {
		t.Skipf("skipped: this kernel cannot abort a file system: %v", err)
	}
	var err error
	for n := 0; err == nil && n < 100; n++ {
		_, err = p.w.Append(ill, "synced", 100)
	}
	if c := code(err); c != "UNKNOWN" && c != "LOG_FAILED" {
		t.Fatalf("a file system that is read-only: %v", err)
	}
	t.Log(err)
	p.refused("written", "LOG_FAILED")
	if e, err := p.w.Read(ill, 0, 3); err != nil || len(e.Records) != 3 {
		t.Errorf("a log on it is not read: %v", err)
	}
	if _, err := p.w.Append(well, "synced", 100); err == nil {
		t.Error("a record was acknowledged as synced on a file system that is read-only")
	}
	p.s.Kill()
	p.rec.End(oracle.Power) // what it had not written, it has thrown away
	v.restore()
	p.begin()
	p.scan(p.s)
	p.fine(ill, "synced")
	p.fine(well, "synced")
	p.stop(p.s)
	check(t, p.rec.Events())
}
