package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/disk"
)

// diagnosis is what doctor found out. Its JSON is that of the command; what a system does not tell is "" or -1.
type diagnosis struct {
	Directory string        `json:"directory"`
	Mount     mount         `json:"mount"`
	Space     room          `json:"space"`
	Device    device        `json:"device"`
	Kernel    kernelFacts   `json:"kernel"`
	Probes    []probed      `json:"probes"`
	Expect    []expectation `json:"expect"`
	Findings  []finding     `json:"findings"`

	failed error // of a probe: the directory cannot be written to
}

// room counts bytes and inodes; a file system that makes inodes as it needs them has -1.
type room struct {
	Free   int64 `json:"free_bytes"`
	Total  int64 `json:"total_bytes"`
	Inodes int64 `json:"free_inodes"`
}

// device is what the kernel says of the disk below. WriteCache is "write back", "write through" or "".
type device struct {
	WriteCache string `json:"write_cache"`
	Rotational bool   `json:"rotational"`
}

// kernelFacts are settings that a log server feels.
type kernelFacts struct {
	Release     string `json:"release"`
	Clock       string `json:"clock_source"`
	HugePages   string `json:"transparent_huge_pages"`
	OpenFiles   int64  `json:"open_files"`
	Background  int64  `json:"dirty_background_bytes"` // in effect: where it is a share of memory, of what is available
	Dirty       int64  `json:"dirty_bytes"`
	WritebackMs int64  `json:"dirty_writeback_ms"`
	ExpireMs    int64  `json:"dirty_expire_ms"`
}

// probed is one kind of write, done again and again; latencies are microseconds.
type probed struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	Count int    `json:"count"`
	P50   int64  `json:"p50_us"`
	P99   int64  `json:"p99_us"`
	Max   int64  `json:"max_us"`
}

// A kind of write. A probe ends after its time or its count, so that a slow disk costs no patience and a fast one no
// space: 60 MB in all.
type kind struct {
	name  string
	bytes int
	most  int
	time  time.Duration
	do    func(disk.File, []byte, int64) error
}

const (
	plainWrite  = "write"
	syncedWrite = "write+fdatasync"
	dsyncWrite  = "write, RWF_DSYNC"
	groupBytes  = 16 << 10 // 16 appends of 1 KiB that share a sync
)

var kinds = []kind{
	{plainWrite, 1 << 10, 1000, 200 * time.Millisecond, writeOnly},
	{syncedWrite, 1 << 10, 2000, time.Second, writeAndSync},
	{syncedWrite, groupBytes, 500, 700 * time.Millisecond, writeAndSync},
	{syncedWrite, 64 << 10, 300, 700 * time.Millisecond, writeAndSync},
	{dsyncWrite, 1 << 10, 2000, 700 * time.Millisecond, writeDurable},
	{dsyncWrite, 64 << 10, 300, 700 * time.Millisecond, writeDurable},
}

func writeOnly(f disk.File, p []byte, pos int64) error {
	_, err := f.WriteAt(disk.ByTool, p, pos)
	return err
}

func writeAndSync(f disk.File, p []byte, pos int64) error {
	if err := writeOnly(f, p, pos); err != nil {
		return err
	}
	return f.Sync(disk.ByTool)
}

func writeDurable(f disk.File, p []byte, pos int64) error {
	_, err := f.WriteSync(disk.ByTool, p, pos)
	return err
}

// prober is how doctor sees the world; tests bring another.
type prober struct {
	fs   disk.FS
	now  func() time.Time
	read func(path string) ([]byte, error) // a file of /proc or /sys
	room func(dir string) (room, error)
	open func() int64 // limit of open files
}

func newProber(dir string) prober {
	return prober{fs: disk.OS(dir), now: time.Now, read: os.ReadFile, room: roomOf, open: openFiles}
}

func roomOf(dir string) (room, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return room{}, fmt.Errorf("space of %s: %w", dir, err)
	}
	r := room{Free: int64(s.Bavail) * int64(s.Bsize), Total: int64(s.Blocks) * int64(s.Bsize), Inodes: int64(s.Ffree)}
	if s.Files == 0 {
		r.Inodes = -1
	}
	return r, nil
}

func openFiles() int64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return -1
	}
	return int64(min(l.Cur, math.MaxInt64))
}

// diagnose gathers everything, and judges nothing. step is told what is being done. Errors: the directory is not there,
// or the context ended; a disk that does not work is a finding.
func (p *prober) diagnose(ctx context.Context, dir string, step func(string)) (*diagnosis, error) {
	path, err := filepath.Abs(dir)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, err
	}
	d := &diagnosis{Directory: path, Probes: []probed{}, Expect: []expectation{}, Findings: []finding{}}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is not a directory", path), err)
	}
	if d.Space, err = p.room(path); err != nil {
		return nil, err
	}
	if text, err := p.read("/proc/self/mountinfo"); err == nil {
		d.Mount = mountOf(string(text), path)
	}
	d.Device = p.device(d.Mount.Device)
	d.Kernel = p.kernel()
	d.failed = p.writes(ctx, d, step)
	if ctx.Err() != nil {
		return nil, errors.New("interrupted; the temporary file is removed")
	}
	return d, nil
}

// writes does every kind of write in one new file, and removes it.
func (p *prober) writes(ctx context.Context, d *diagnosis, step func(string)) (err error) {
	name := ".sluice-doctor-" + rand.Text() + ".tmp"
	f, err := p.fs.Create(disk.ByTool, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(disk.ByTool), p.fs.Remove(disk.ByTool, name)) }()
	t := target{file: f}
	for i, k := range kinds {
		step(fmt.Sprintf("probing %s: %s of %s, %d of %d", d.Directory, k.name, kib(k.bytes), i+1, len(kinds)))
		r, err := p.repeat(ctx, &t, k)
		if err != nil {
			return err
		}
		d.Probes = append(d.Probes, r)
	}
	return nil
}

// target is the file that is written, from its start to its end as a segment is, with space reserved ahead in growing
// steps.
type target struct {
	file     disk.File
	pos      int64
	reserved int64
}

func (t *target) reserve(n int) error {
	if t.pos+int64(n) <= t.reserved {
		return nil
	}
	for t.pos+int64(n) > t.reserved {
		t.reserved += min(max(t.reserved, 64<<10), 16<<20)
	}
	return t.file.Allocate(disk.ByTool, t.reserved)
}

func (p *prober) repeat(ctx context.Context, t *target, k kind) (probed, error) {
	block := make([]byte, k.bytes)
	if _, err := rand.Read(block); err != nil { // what compresses to nothing may cost nothing
		return probed{}, err
	}
	took := make([]time.Duration, 0, k.most)
	for start := p.now(); len(took) < k.most && ctx.Err() == nil; {
		if err := t.reserve(k.bytes); err != nil {
			return probed{}, err
		}
		before := p.now()
		if before.Sub(start) > k.time && len(took) > 0 {
			break
		}
		if err := k.do(t.file, block, t.pos); err != nil {
			return probed{}, err
		}
		took = append(took, p.now().Sub(before))
		t.pos += int64(k.bytes)
	}
	slices.Sort(took)
	return probed{Name: k.name, Bytes: k.bytes, Count: len(took), P50: quantile(took, 50), P99: quantile(took, 99), Max: quantile(took, 100)}, nil
}

// quantile is in microseconds, rounded up: nothing takes no time.
func quantile(sorted []time.Duration, percent int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	d := sorted[(len(sorted)*percent+99)/100-1]
	return int64((d + time.Microsecond - 1) / time.Microsecond)
}

// device reads what /sys says of a disk, or of the disk that a partition is on.
func (p *prober) device(id string) device {
	var d device
	if id == "" {
		return d
	}
	for _, queue := range []string{"/queue/", "/../queue/"} {
		base := "/sys/dev/block/" + id + queue
		if cache := p.word(base + "write_cache"); cache != "" {
			return device{WriteCache: cache, Rotational: p.word(base+"rotational") == "1"}
		}
	}
	return d
}

func (p *prober) kernel() kernelFacts {
	const vm = "/proc/sys/vm/"
	available := p.available()
	threshold := func(name string) int64 {
		if n := p.number(vm + name + "_bytes"); n > 0 {
			return n
		}
		ratio := p.number(vm + name + "_ratio")
		if ratio < 0 || available < 0 {
			return -1
		}
		return available / 100 * ratio
	}
	huge := p.word("/sys/kernel/mm/transparent_hugepage/enabled")
	if _, rest, ok := strings.Cut(huge, "["); ok {
		huge, _, _ = strings.Cut(rest, "]")
	}
	ms := func(name string) int64 { return max(-1, p.number(vm+name)*10) }
	return kernelFacts{
		Release: p.word("/proc/sys/kernel/osrelease"), HugePages: huge, OpenFiles: p.open(),
		Clock:      p.word("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		Background: threshold("dirty_background"), Dirty: threshold("dirty"),
		WritebackMs: ms("dirty_writeback_centisecs"), ExpireMs: ms("dirty_expire_centisecs"),
	}
}

// available is the memory that the kernel could use for dirty pages, of which its ratios are a share; -1: unknown.
func (p *prober) available() int64 {
	text, err := p.read("/proc/meminfo")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemAvailable:" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil && n < math.MaxInt64>>10 {
				return n << 10
			}
		}
	}
	return -1
}

// word is a file's content, "" where there is none.
func (p *prober) word(path string) string {
	text, err := p.read(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (p *prober) number(path string) int64 {
	n, err := strconv.ParseInt(p.word(path), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func kib(n int) string { return fmt.Sprintf("%d KiB", n>>10) }
