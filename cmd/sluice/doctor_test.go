package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"sluice/disk"
)

// fakeDisk is a real directory whose operations take the time, and end with the error, that a test wants.
type fakeDisk struct {
	disk.FS
	now                  time.Time
	write, sync, durable time.Duration
	fail                 map[string]error // create, allocate, write, sync, durable
	ops                  int
	after                func(ops int)
}

func (f *fakeDisk) do(op string, d time.Duration) error {
	f.ops++
	f.now = f.now.Add(d)
	if f.after != nil {
		f.after(f.ops)
	}
	return f.fail[op]
}

func (f *fakeDisk) Create(by disk.By, name string) (disk.File, error) {
	if err := f.do("create", 0); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(by, name)
	return &fakeFile{file, f}, err
}

type fakeFile struct {
	disk.File
	of *fakeDisk
}

func (f *fakeFile) Allocate(disk.By, int64) error { return f.of.do("allocate", 5*time.Millisecond) } // is in no latency

func (f *fakeFile) WriteAt(_ disk.By, p []byte, _ int64) (int, error) {
	return len(p), f.of.do("write", f.of.write)
}

func (f *fakeFile) WriteSync(_ disk.By, p []byte, _ int64) (int, error) {
	return len(p), f.of.do("durable", f.of.durable)
}

func (f *fakeFile) Sync(disk.By) error { return f.of.do("sync", f.of.sync) }

// system is what /proc and /sys would say.
type system map[string]string

func (s system) read(path string) ([]byte, error) {
	text, ok := s[path]
	if !ok {
		return nil, os.ErrNotExist
	}
	return []byte(text), nil
}

// quietSystem finds nothing to say.
func quietSystem(dir string) system {
	return system{
		"/proc/self/mountinfo":                                             "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / " + dir + " rw,noatime - ext4 /dev/sda2 rw,data=ordered\n",
		"/sys/dev/block/8:2/../queue/write_cache":                          "write back\n",
		"/sys/dev/block/8:2/../queue/rotational":                           "0\n",
		"/proc/meminfo":                                                    "MemTotal: 2000 kB\nMemAvailable:   1000000 kB\n",
		"/proc/sys/vm/dirty_background_bytes":                              "0\n",
		"/proc/sys/vm/dirty_background_ratio":                              "10\n",
		"/proc/sys/vm/dirty_bytes":                                         "1073741824\n",
		"/proc/sys/vm/dirty_ratio":                                         "0\n",
		"/proc/sys/vm/dirty_writeback_centisecs":                           "500\n",
		"/proc/sys/vm/dirty_expire_centisecs":                              "3000\n",
		"/proc/sys/kernel/osrelease":                                       "6.1\n",
		"/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
		"/sys/kernel/mm/transparent_hugepage/enabled":                      "always [madvise] never\n",
	}
}

// patient is a prober of a disk that is neither fast nor slow, on a system without fault.
func patient(t *testing.T) (prober, *fakeDisk, string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	f := &fakeDisk{
		FS: disk.OS(dir), now: time.Unix(0, 0), fail: map[string]error{},
		write: 2 * time.Microsecond, sync: 300 * time.Microsecond, durable: 280 * time.Microsecond,
	}
	return prober{
		fs: f, now: func() time.Time { return f.now }, read: quietSystem(dir).read,
		room: func(string) (room, error) { return room{Free: 10 << 30, Total: 20 << 30, Inodes: 1 << 20}, nil },
		open: func() int64 { return 20_000 },
	}, f, dir
}

// doctor runs the command on a prober, as run would.
func doctor(t *testing.T, p prober, dir string, asJSON bool) (d diagnosis, text string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = runDoctor(cmd, p, dir, asJSON)
	if asJSON {
		must(t, json.Unmarshal(out.Bytes(), &d))
	}
	return d, out.String(), err
}

func empty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%s holds %v, %v", dir, left, err)
	}
}

func TestDoctorMeasuresTheDisk(t *testing.T) {
	t.Parallel()
	p, _, dir := patient(t)
	d, _, err := doctor(t, p, dir, true)
	if err != nil || len(d.Findings) != 0 {
		t.Errorf("%v, %+v", err, d.Findings)
	}
	if got := fmt.Sprint(d.Probes); got != "[{write 1024 1000 2 2 2} {write+fdatasync 1024 2000 302 302 302} {write+fdatasync 16384 500 302 302 302} "+
		"{write+fdatasync 65536 300 302 302 302} {write, RWF_DSYNC 1024 2000 280 280 280} {write, RWF_DSYNC 65536 300 280 280 280}]" {
		t.Errorf("%s", got)
	}
	if got := fmt.Sprint(d.Expect); got != "[{written 2 2 2 0} {synced 302 302 604 52980} {synced, sync=dsync 280 280 604 52980}]" {
		t.Errorf("%s", got)
	}
	if k := d.Kernel; d.Mount.Device != "8:2" || d.Device.WriteCache != "write back" || k.Background != 102_400_000 || k.Dirty != 1<<30 || k.WritebackMs != 5000 || k.HugePages != "madvise" {
		t.Errorf("%+v", d)
	}
	empty(t, dir)
}

// A disk that is slow ends each probe by time; one answer is the least that is measured.
func TestDoctorTakesNoLongerForASlowDisk(t *testing.T) {
	t.Parallel()
	p, f, dir := patient(t)
	f.sync, f.durable, f.write = 400*time.Millisecond, 2*time.Second, 0
	d, text, err := doctor(t, p, dir, true)
	must(t, err)
	var counts []int
	for _, p := range d.Probes {
		counts = append(counts, p.Count)
	}
	if fmt.Sprint(counts) != "[1000 3 2 2 1 1]" || !strings.Contains(text, "one in a hundred 400ms") {
		t.Errorf("%v\n%s", counts, text)
	}
}

func TestDoctorSaysWhyADirectoryIsNoPlace(t *testing.T) {
	t.Parallel()
	for op, want := range map[string]string{"create": "cannot be written", "allocate": "no room", "write": "cannot be written", "sync": "cannot be written", "durable": "cannot be written"} {
		p, f, dir := patient(t)
		f.fail[op] = errors.New("broken")
		if op == "allocate" {
			f.fail[op] = fmt.Errorf("allocate: %w", unix.ENOSPC)
		}
		_, text, err := doctor(t, p, dir, false)
		if err == nil || !strings.Contains(text, "fail  ") || !strings.Contains(text, want) {
			t.Errorf("%s: %v\n%s", op, err, text)
		}
		empty(t, dir)
	}
}

// Whenever it is interrupted, the temporary file goes.
func TestDoctorInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []int{1, 2, 3, 1000, 5000} {
		p, f, dir := patient(t)
		ctx, cancel := context.WithCancel(t.Context())
		f.after = func(ops int) {
			if ops == at {
				cancel()
			}
		}
		if _, err := p.diagnose(ctx, dir, func(string) {}); err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("at %d: %v", at, err)
		}
		if f.ops > at+2 {
			t.Errorf("interrupted at %d, it went on to %d", at, f.ops)
		}
		empty(t, dir)
	}
}

func TestDoctorFindings(t *testing.T) {
	t.Parallel()
	type change func(*diagnosis)
	fs := func(name string, options ...string) change {
		return func(d *diagnosis) { d.Mount.Type, d.Mount.Options = name, options }
	}
	sync := func(p50, p99 int64) change {
		return func(d *diagnosis) {
			for i := range d.Probes[1:] {
				d.Probes[1+i].P50, d.Probes[1+i].P99 = p50, p99
			}
		}
	}
	kernel := func(f func(*kernelFacts)) change { return func(d *diagnosis) { f(&d.Kernel) } }
	for _, c := range []struct {
		name, level, want string
		change            change
	}{
		{"fine", "", "", func(*diagnosis) {}},
		{"tmpfs", levelFail, "tmpfs is memory", fs("tmpfs")},
		{"volatile overlay", levelFail, "volatile", fs("overlay", "volatile")},
		{"overlay", levelWarn, "container", fs("overlay", "rw")},
		{"nfs", levelWarn, "nfs4: a sync is as good as", fs("nfs4")},
		{"fuse", levelWarn, "fuse.sshfs: ", fs("fuse.sshfs")},
		{"btrfs", levelNote, "btrfs writes every block to a new place", fs("btrfs")},
		{"no barriers", levelFail, "without barriers", fs("ext4", "barrier=0")},
		{"no barriers on xfs", levelFail, "without barriers", fs("xfs", "nobarrier")},
		{"writeback", levelWarn, "data=writeback", fs("ext4", "data=writeback")},
		{"mounted sync", levelWarn, "mounted sync", fs("ext4", "sync")},
		{"too fast", levelWarn, "19us, too fast to be true", sync(19, 30)},
		{"fast", "", "", sync(20, 30)},
		{"slow", levelWarn, "takes 6.0ms", sync(6000, 7000)},
		{"slow tail", levelWarn, "one in a hundred 60ms", sync(300, 60_000)},
		{"dsync is better", levelNote, "a write that is durable at once", func(d *diagnosis) { d.Probes[2].P50, d.Probes[2].P99 = 200, 300 }},
		{"dsync is hardly better", "", "", func(d *diagnosis) { d.Probes[2].P50 = 290 }},
		{"rotates", levelNote, "the disk rotates", func(d *diagnosis) { d.Device.Rotational, d.Probes[1].P50, d.Probes[2].P50 = true, 4000, 4000 }},
		{"says that it rotates", "", "", func(d *diagnosis) { d.Device.Rotational = true }},
		{"no cache", levelNote, "no cache to lose", func(d *diagnosis) { d.Device.WriteCache, d.Mount.Source = "write through", "/dev/vda" }},
		{"little room", levelWarn, "only 100.0 MiB are free", func(d *diagnosis) { d.Space.Free = 100 << 20 }},
		{"few inodes", levelWarn, "only 7 inodes", func(d *diagnosis) { d.Space.Inodes = 7 }},
		{"no inodes to count", "", "", func(d *diagnosis) { d.Space.Inodes = -1 }},
		{"much dirty", levelNote, "lets 2.0 GiB of written bytes gather", kernel(func(k *kernelFacts) { k.Background = 2 << 30 })},
		{"little dirty", levelWarn, "writers wait at 8.0 MiB", kernel(func(k *kernelFacts) { k.Dirty = 8 << 20 })},
		{"never written back", levelNote, "writes nothing back by time", kernel(func(k *kernelFacts) { k.WritebackMs = 0 })},
		{"nothing is known", "", "", kernel(func(k *kernelFacts) { *k = kernelFacts{OpenFiles: -1, Background: -1, Dirty: -1, WritebackMs: -1} })},
		{"few files", levelWarn, "may open 1024 files", kernel(func(k *kernelFacts) { k.OpenFiles = 1024 })},
		{"slow clock", levelWarn, "clock source is hpet", kernel(func(k *kernelFacts) { k.Clock = "hpet" })},
		{"huge pages", levelNote, "transparent huge pages", kernel(func(k *kernelFacts) { k.HugePages = "always" })},
	} {
		d := diagnosis{
			Mount: mount{Type: "ext4", Options: []string{"rw"}}, Space: room{Free: 10 << 30, Total: 20 << 30, Inodes: 1 << 20},
			Kernel: kernelFacts{OpenFiles: 20_000, Background: 64 << 20, Dirty: 1 << 30, WritebackMs: 5000, Clock: "tsc"},
			Probes: []probed{{plainWrite, 1 << 10, 9, 1, 2, 3}, {syncedWrite, 1 << 10, 9, 300, 400, 500}, {dsyncWrite, 1 << 10, 9, 300, 400, 500}},
		}
		c.change(&d)
		d.judge()
		if c.level == "" {
			if len(d.Findings) > 0 {
				t.Errorf("%s: %+v", c.name, d.Findings)
			}
			continue
		}
		if len(d.Findings) != 1 || d.Findings[0].Level != c.level || !strings.Contains(d.Findings[0].What, c.want) || d.Findings[0].Do == "" {
			t.Errorf("%s: %+v", c.name, d.Findings)
		}
		if (d.failures() > 0) != (c.level == levelFail) {
			t.Errorf("%s: %d failures", c.name, d.failures())
		}
	}
}

// What is worst comes first.
func TestDoctorSortsFindings(t *testing.T) {
	t.Parallel()
	d := diagnosis{Mount: mount{Type: "tmpfs"}, Space: room{Free: 1, Total: 2}, Kernel: kernelFacts{HugePages: "always", OpenFiles: 7}}
	d.judge()
	var levels []string
	for _, f := range d.Findings {
		levels = append(levels, f.Level)
	}
	if !slices.Equal(slices.Compact(levels), []string{levelFail, levelWarn, levelNote}) {
		t.Errorf("%v", levels)
	}
}

const mounts = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:5 / /proc rw - proc proc rw
30 22 8:2 /sub /var/lib rw,noatime - xfs /dev/sdb rw,nobarrier
31 22 8:3 / /with\040space rw - ext4 /dev/sdc rw
32 22 0:9 / /var/lib rw - tmpfs tmpfs rw
a line that is none
`

func TestMountOf(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/": "ext4 / 8:1", "/var/library": "ext4 / 8:1", "/proc": "proc /proc 0:5",
		"/var/lib/sluice": "tmpfs /var/lib 0:9", "/var/lib": "tmpfs /var/lib 0:9", "/with space/x": "ext4 /with space 8:3",
	} {
		m := mountOf(mounts, path)
		if got := m.Type + " " + m.Point + " " + m.Device; got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if m := mountOf("", "/"); m.Type != "" || m.has("rw") {
		t.Errorf("%+v", m)
	}
	if m := mountOf(mounts, "/"); !m.has("relatime") || !m.has("nobarrier", "errors=remount-ro") || m.has("nobarrier") {
		t.Errorf("%+v", m)
	}
}

func FuzzMountOf(f *testing.F) {
	f.Add(mounts, "/var/lib")
	f.Add("1 2 3 4 / \\134 - a", "/")
	f.Fuzz(func(t *testing.T, text, path string) {
		if m := mountOf(text, path); m.Type != "" && !above(m.Point, path) {
			t.Errorf("%q is on %+v", path, m)
		}
	})
}

// The binary, on a real disk: it leaves what is there alone, and says the same for machines as for people.
func TestDoctorCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("untouched"), 0o644))
	p := start(t, "doctor", "--json", dir)
	out, err := p.cmd.Output() // an exit status other than 0 is compared below
	if _, failed := errors.AsType[interface {
		error
		ExitCode() int
	}](err); err != nil && !failed {
		t.Fatal(err)
	}
	var d diagnosis
	must(t, json.Unmarshal(out, &d))
	if len(d.Probes) != len(kinds) || len(d.Expect) != 3 || d.Space.Total <= 0 {
		t.Errorf("%s", out)
	}
	if got, want := p.cmd.ProcessState.ExitCode(), min(d.failures(), 1); got != want {
		t.Errorf("status %d, want %d: %s", got, want, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "mine")); string(got) != "untouched" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestDoctorCommandIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 20 { // on a fast disk it may be done before it is interrupted
		p := start(t, "doctor", dir)
		ended, err := p.cmd.StdoutPipe() // open while it runs
		must(t, err)
		must(t, p.cmd.Start())
		over := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, ended)
			over <- err
		}()
		for begun := false; !begun && len(over) == 0; { // the file is there while it works
			left, err := os.ReadDir(dir)
			must(t, err)
			begun = len(left) > 0
		}
		_ = p.cmd.Process.Signal(syscall.SIGINT) // it may have ended
		must(t, <-over)
		got, said := p.status(), p.stderr.String()
		empty(t, dir)
		if strings.Contains(said, "sluice: doctor: interrupted") {
			if got != exitFailure {
				t.Errorf("status %d: %s", got, said)
			}
			return
		}
	}
	t.Error("it was never interrupted, 20 times")
}

func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"doctor", "a", "b"}, exitUsage, "accepts at most 1 arg"},
		{[]string{"doctor", "--fix"}, exitUsage, "unknown flag"},
		{[]string{"doctor", "no/such/directory"}, exitFailure, "no such file or directory"},
		{[]string{"doctor", file}, exitFailure, "is not a directory"},
	} {
		status, _, errs := sluice(t, "", c.args...)
		if status != c.status || !strings.HasPrefix(errs, "sluice: doctor: ") || !strings.Contains(errs, c.want) {
			t.Errorf("%v: status %d, %s", c.args, status, errs)
		}
	}
}
