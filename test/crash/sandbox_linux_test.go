package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/test/process"
)

// inSandbox tells whether this is the process inside of a sandbox, which has mounts and process numbers of its own. Its
// loop devices are given back, too, when it ends.
func inSandbox(t *testing.T) bool {
	t.Helper()
	if !process.Apart(t, syscall.CLONE_NEWNS|syscall.CLONE_NEWPID, "mounts") {
		return false
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("proc", "/proc", "proc", 0, ""))
	return true
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A volume is a file system that can be ill-treated.
type volume struct {
	t   *testing.T
	dir string
	dev *os.File // the loop device; open, so that it outlives an unmounting
}

// newVolume makes an ext4 of so many MiB on a loop device, over a sparse file in the given directory.
func newVolume(t *testing.T, backing string, size int64, mkfs ...string) *volume {
	t.Helper()
	tool, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("skipped: there is no mkfs.ext4 on this machine")
	}
	file := filepath.Join(backing, "image")
	f, err := os.Create(file)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size<<20))
	if out, err := exec.CommandContext(t.Context(), tool, append(mkfs, "-q", "-F", file)...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	v := &volume{t: t, dir: t.TempDir(), dev: attach(t, f)}
	t.Cleanup(func() { _ = unix.Unmount(v.dir, unix.MNT_DETACH) }) // the test may have done it
	v.mount("")
	return v
}

// attach puts a free loop device over a file. It goes with its last user.
func attach(t *testing.T, f *os.File) *os.File {
	t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("skipped: this machine has no loop devices: %v", err)
	}
	defer control.Close()
	for range 20 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Skipf("skipped: no loop device is free: %v", err)
		}
		dev, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			t.Skipf("skipped: no loop device is free: %v", err)
		}
		conf := &unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(dev.Fd()), conf); err == nil {
			t.Cleanup(func() { _ = dev.Close() })
			return dev
		}
		must(t, dev.Close())
		if err != unix.EBUSY { // another test was faster
			t.Skipf("skipped: a loop device takes no file: %v", err)
		}
	}
	t.Skip("skipped: every free loop device was taken by somebody else")
	return nil
}

func (v *volume) mount(options string) {
	v.t.Helper()
	must(v.t, unix.Mount(v.dev.Name(), v.dir, "ext4", 0, options))
}

// cutPower loses everything that is not synced, as the loss of power does; the journal is not flushed. Nothing can be
// written from then on. Who holds files open must end before restore.
func (v *volume) cutPower() {
	v.t.Helper()
	const shutdown, withoutJournal = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	dir, err := os.Open(v.dir)
	must(v.t, err)
	defer dir.Close()
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, withoutJournal); err != nil {
		v.t.Skipf("skipped: this kernel cannot shut a file system down: %v", err)
	}
}

// restore mounts the file system again, which replays its journal.
func (v *volume) restore() {
	v.t.Helper()
	until(v.t, "a file system that nobody uses", func() bool {
		err := unix.Unmount(v.dir, 0)
		if err != unix.EBUSY { // the kernel may be at work on what a killed process had open
			must(v.t, err)
		}
		return err == nil
	})
	v.mount("")
}

// tmpfs mounts a file system in memory of so many MiB.
func tmpfs(t *testing.T, size int64) string {
	t.Helper()
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // the sandbox ends anyway
	return dir
}

// fill writes a file until there is no room left, and gives its name.
func fill(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) >= 512; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	return name
}
