package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Levels of findings. Only fail changes the exit status.
const (
	levelFail = "fail" // `synced` means nothing here, or nothing can be written
	levelWarn = "warn" // this will hurt
	levelNote = "note" // good to know
)

// finding is one thing to know, and what to do about it.
type finding struct {
	Level string `json:"level"`
	What  string `json:"what"`
	Do    string `json:"do"`
}

// expectation is what the disk adds to the latency of an ack; latencies are microseconds.
type expectation struct {
	Ack      string `json:"ack"`
	P50      int64  `json:"p50_us"`           // one connection, one request at a time
	P99      int64  `json:"p99_us"`           //
	GroupMax int64  `json:"group_p99_us"`     // sixteen connections: a request waits for the sync under way, and then for its own
	GroupAck int64  `json:"group_per_second"` // acks a second of those sixteen, at most
}

const (
	groupSize = 16

	tooFast       = 20        // us: no disk is known to make 1 KiB durable in less
	slowP50       = 5_000     // us
	slowP99       = 50_000    // us
	rotates       = 2_000     // us
	fewBytes      = 1 << 30   // free
	fewInodes     = 10_000    //
	fewFiles      = 4096      // open
	manyDirty     = 256 << 20 // bytes before the kernel begins to write
	fewDirty      = 32 << 20  // bytes at which the kernel makes writers wait
	setBackground = 64 << 20
	setDirty      = 1 << 30
)

// judge fills in what to expect and what was found.
func (d *diagnosis) judge() {
	d.Expect = d.expect()
	for _, rule := range []func(*diagnosis) []finding{
		judgeWriting, judgeFileSystem, judgeOptions, judgeSync, judgeDevice, judgeRoom, judgeDirty, judgeProcess,
	} {
		d.Findings = append(d.Findings, rule(d)...)
	}
	rank := []string{levelFail, levelWarn, levelNote}
	slices.SortStableFunc(d.Findings, func(a, b finding) int { return slices.Index(rank, a.Level) - slices.Index(rank, b.Level) })
}

// failures are the findings that change the exit status.
func (d *diagnosis) failures() (n int) {
	for _, f := range d.Findings {
		if f.Level == levelFail {
			n++
		}
	}
	return n
}

func (d *diagnosis) probe(name string, bytes int) (probed, bool) {
	i := slices.IndexFunc(d.Probes, func(p probed) bool { return p.Name == name && p.Bytes == bytes && p.Count > 0 })
	if i < 0 {
		return probed{}, false
	}
	return d.Probes[i], true
}

func (d *diagnosis) expect() []expectation {
	list := []expectation{}
	if p, ok := d.probe(plainWrite, 1<<10); ok {
		list = append(list, expectation{"written", p.P50, p.P99, p.P99, 0})
	}
	one, ok1 := d.probe(syncedWrite, 1<<10)
	group, ok2 := d.probe(syncedWrite, groupBytes)
	if ok1 && ok2 {
		list = append(list, expectation{"synced", one.P50, one.P99, 2 * max(one.P99, group.P99), groupSize * 1e6 / max(group.P50, 1)})
	}
	if p, ok := d.probe(dsyncWrite, 1<<10); ok && ok2 {
		list = append(list, expectation{"synced, sync=dsync", p.P50, p.P99, 2 * max(p.P99, group.P99), groupSize * 1e6 / max(p.P50, group.P50, 1)})
	}
	return list
}

func judgeWriting(d *diagnosis) []finding {
	switch {
	case d.failed == nil:
		return nil
	case errors.Is(d.failed, unix.ENOSPC) || errors.Is(d.failed, unix.EDQUOT):
		return []finding{{levelFail, fmt.Sprintf("there is no room to write: %v", d.failed), "free space, or name another directory"}}
	}
	return []finding{{levelFail, fmt.Sprintf("it cannot be written to: %v", d.failed), "see to it that the user who runs the server may write here, and that the file system is not mounted read-only"}}
}

func judgeFileSystem(d *diagnosis) []finding {
	t := d.Mount.Type
	switch {
	case t == "tmpfs" || t == "ramfs":
		return []finding{{levelFail, t + " is memory: fdatasync does nothing, and all of it is gone with the power", "put the data on a disk"}}
	case t == "overlay" && d.Mount.has("volatile"):
		return []finding{{levelFail, "this overlay is mounted volatile: it leaves every sync out", "put the data on a volume of its own"}}
	case t == "overlay":
		return []finding{{levelWarn, "overlay is a container's own layer: it goes with the container, and its syncs are as good as those of the file system below", "put the data on a volume of its own"}}
	case slices.Contains([]string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "afs", "9p", "virtiofs"}, t) || strings.HasPrefix(t, "fuse"):
		return []finding{{levelWarn, t + ": a sync is as good as the program or the machine that serves these files, which nobody can tell from here; locks too", "use a disk of this machine, and replicas for the loss of it"}}
	case t == "btrfs" || t == "zfs":
		return []finding{{levelNote, t + " writes every block to a new place, and an fdatasync writes its log too: the tail of `synced` is longer than on ext4 or XFS", "compare with the p99 above; for the lowest latency use ext4 or XFS"}}
	}
	return nil
}

func judgeOptions(d *diagnosis) []finding {
	var list []finding
	if d.Mount.has("nobarrier", "barrier=0") {
		list = append(list, finding{levelFail, "the file system is mounted without barriers: a sync does not reach through the disk's cache", "mount it with barriers, unless every cache below has a battery"})
	}
	if d.Mount.has("data=writeback") {
		list = append(list, finding{levelWarn, "data=writeback: after a power cut the end of a file may hold bytes of deleted files; sluice cuts them off, but they were other people's", "mount it with data=ordered, the default"})
	}
	if d.Mount.has("sync", "dirsync") {
		list = append(list, finding{levelWarn, "the file system is mounted sync: every write waits for the disk, those of `written` too", "mount it without sync; ack=synced asks for as much where it matters"})
	}
	return list
}

func judgeSync(d *diagnosis) []finding {
	p, ok := d.probe(syncedWrite, 1<<10)
	if !ok {
		return nil
	}
	var list []finding
	switch {
	case p.P50 < tooFast && d.Mount.Type != "tmpfs" && d.Mount.Type != "ramfs":
		list = append(list, finding{levelWarn, fmt.Sprintf("an fdatasync takes %s, too fast to be true: the disk, the hypervisor or the file system may answer before the bytes are safe", micros(p.P50)),
			"ask whoever runs the disk whether a power cut loses what was flushed; until then take `synced` for `written`"})
	case p.P50 > slowP50 || p.P99 > slowP99:
		list = append(list, finding{levelWarn, fmt.Sprintf("an fdatasync takes %s, and one in a hundred %s: every ack=synced waits for that", micros(p.P50), micros(p.P99)),
			"use a disk with a protected write cache, leave it to sluice alone, or send many requests at a time: they share a sync"})
	}
	if q, ok := d.probe(dsyncWrite, 1<<10); ok && q.P50*5 < p.P50*4 && q.P99 <= p.P99 {
		list = append(list, finding{levelNote, fmt.Sprintf("a write that is durable at once takes %s here, against %s for write and fdatasync", micros(q.P50), micros(p.P50)),
			"try sync=dsync on topics with ack=synced and few clients"})
	}
	return list
}

func judgeDevice(d *diagnosis) []finding {
	var list []finding
	// Virtual disks say so too, so only one that is as slow as it says is told.
	if p, ok := d.probe(syncedWrite, 1<<10); ok && d.Device.Rotational && p.P50 > rotates {
		list = append(list, finding{levelNote, "the disk rotates: a sync waits for the platter", "send many requests at a time: they share a sync"})
	}
	if d.Device.WriteCache == "write through" && strings.HasPrefix(d.Mount.Source, "/dev/") {
		list = append(list, finding{levelNote, "the disk says that it has no cache to lose: the kernel sends it no flush. That is right for disks with a protected cache, and wrong for a cheap one that lies",
			"believe it only of disks that you know, and of a hypervisor that syncs"})
	}
	return list
}

func judgeRoom(d *diagnosis) []finding {
	var list []finding
	if d.Space.Total > 0 && d.Space.Free < fewBytes {
		list = append(list, finding{levelWarn, fmt.Sprintf("only %s are free", amount(d.Space.Free)), "make room: a full disk refuses appends"})
	}
	if d.Space.Inodes >= 0 && d.Space.Inodes < fewInodes {
		list = append(list, finding{levelWarn, fmt.Sprintf("only %d inodes are free", d.Space.Inodes), "make room for files: a partition takes about ten, and two for each segment"})
	}
	return list
}

func judgeDirty(d *diagnosis) []finding {
	var list []finding
	k := d.Kernel
	if k.Background > manyDirty {
		list = append(list, finding{levelNote, fmt.Sprintf("the kernel lets %s of written bytes gather before it begins to write them: syncs of other files may then take seconds, and a power cut more from topics that sync late or never", amount(k.Background)),
			fmt.Sprintf("sysctl vm.dirty_background_bytes=%d vm.dirty_bytes=%d (docs/durability.md says when)", setBackground, setDirty)})
	}
	if k.Dirty >= 0 && k.Dirty < fewDirty {
		list = append(list, finding{levelWarn, fmt.Sprintf("the kernel makes writers wait at %s of written bytes: `written` then waits for the disk", amount(k.Dirty)),
			fmt.Sprintf("sysctl vm.dirty_bytes=%d", setDirty)})
	}
	if k.WritebackMs == 0 {
		list = append(list, finding{levelNote, "the kernel writes nothing back by time (dirty_writeback_centisecs=0): what no sync covers may wait for ever", "sysctl vm.dirty_writeback_centisecs=500, unless every topic has flush.ms"})
	}
	return list
}

func judgeProcess(d *diagnosis) []finding {
	var list []finding
	k := d.Kernel
	if k.OpenFiles >= 0 && k.OpenFiles < fewFiles {
		list = append(list, finding{levelWarn, fmt.Sprintf("a process may open %d files: each connection takes one, each partition about three", k.OpenFiles), "raise it: ulimit -n, or LimitNOFILE in a systemd unit"})
	}
	if slices.Contains([]string{"hpet", "acpi_pm", "jiffies", "xen", "refined-jiffies"}, k.Clock) {
		list = append(list, finding{levelWarn, "the clock source is " + k.Clock + ": to read the time is a system call, and every request reads it", "boot with clocksource=tsc if the machine has a steady one"})
	}
	if k.HugePages == "always" {
		list = append(list, finding{levelNote, "transparent huge pages are given to everyone: the server's memory may grow by pages that are hardly used", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, if memory is short"})
	}
	return list
}
