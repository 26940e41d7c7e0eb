package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func fdatasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// allocate makes the file size bytes long, with blocks behind them.
func allocate(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }

// allocateKeepSize reserves blocks and leaves the length to the writes.
func allocateKeepSize(f *os.File, size int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
}

// pwriteDsync writes and returns once it is durable.
func pwriteDsync(f *os.File, p []byte, pos int64) error {
	n, err := unix.Pwritev2(int(f.Fd()), [][]byte{p}, pos, unix.RWF_DSYNC)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// forget makes the kernel drop the clean pages of a file.
func forget(f *os.File) error { return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// forgetAll makes the kernel drop clean pages, names and inodes of the whole machine. Only root may.
func forgetAll() error {
	f, err := os.OpenFile("/proc/sys/vm/drop_caches", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("3\n")
	return errors.Join(err, f.Close())
}

// space is what a folder's file system has left for this process.
func space(dir string) (bytes, files int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Ffree), nil
}

// syncAll lets the disk finish what earlier steps left to it.
func syncAll() { unix.Sync() }

// inMemory tells whether a folder is on a file system without a disk: a sync there costs nothing, and
// every figure with "synced" in it would be a lie.
func inMemory(dir string) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return false, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Type) == unix.TMPFS_MAGIC || int64(s.Type) == unix.RAMFS_MAGIC, nil
}

// A pacer waits until moments that are closer together than the timers of the runtime, which round to a
// millisecond when nothing else runs. It keeps its thread.
type pacer struct{}

func newPacer() (pacer, error) {
	runtime.LockOSThread()
	// The kernel adds 50 us of slack to a sleep unless told otherwise.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		runtime.UnlockOSThread()
		return pacer{}, fmt.Errorf("prctl: %w", err)
	}
	return pacer{}, nil
}

func (pacer) until(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&ts, nil) // EINTR: the loop goes on
	}
}

func (pacer) close() { runtime.UnlockOSThread() }

// processors are the numbers of those that this process may use.
func processors() (cpus []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("which processors: %w", err)
	}
	for n := 0; len(cpus) < set.Count(); n++ {
		if set.IsSet(n) {
			cpus = append(cpus, n)
		}
	}
	return cpus, nil
}

// pin keeps this process's threads, and with them what it starts from now on, on some processors.
func pin(cpus []int) error {
	var set, is unix.CPUSet
	for _, n := range cpus {
		set.Set(n)
	}
	for range 100 { // a thread that is not pinned yet may start another one meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		changed := false
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if unix.SchedGetaffinity(tid, &is) != nil || is == set {
				continue // it has ended, or is pinned
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("pin to processors %v: %w", cpus, err)
			}
			changed = true
		}
		if !changed {
			return nil
		}
	}
	return fmt.Errorf("pin to processors %v: there are always threads that are not", cpus)
}

// cpuOf is the time that all threads of another process have run.
func cpuOf(pid int) (time.Duration, error) {
	const schedulersClock = 2 // of the whole process; the kernel's name is CPUCLOCK_SCHED
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedulersClock), &ts); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// residentOf is the memory of another process, in bytes: now, and at most so far.
func residentOf(pid int) (now, most int64, err error) {
	values, err := procValues(pid, "status")
	return values["VmRSS"] << 10, values["VmHWM"] << 10, err
}

// diskReadsOf is how many bytes another process has had the disk read.
func diskReadsOf(pid int) (int64, error) {
	values, err := procValues(pid, "io")
	return values["read_bytes"], err
}

// stolenTime is how long the machine's processors, all together, were not given to it since it started; 0 where nobody
// says so.
func stolenTime() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal, in hundredths of a second
	if len(fields) < 9 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[8], 10, 64) // what is no number counts as none
	return time.Duration(n) * 10 * time.Millisecond
}

// procValues are the lines "name: number" of a file in /proc.
func procValues(pid int, file string) (map[string]int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	values := make(map[string]int64)
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				values[name] = n
			}
		}
	}
	return values, err
}

// openFilesOf counts the descriptors of another process.
func openFilesOf(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list), err
}

// drain takes n bytes off a connection without copying them: a consumer in another machine costs this one nothing.
// got is told of what has come so far.
func drain(c *net.TCPConn, n int, got func(int)) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var scratch [1]byte // the kernel writes nothing to it
	for n > 0 {
		var took int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			took, failed = recvTrunc(int(fd), &scratch[0], n)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return err
		case errors.Is(failed, unix.EINTR):
			continue
		case failed != nil:
			return failed
		case took == 0:
			return io.ErrUnexpectedEOF
		}
		n -= took
		got(took)
	}
	return nil
}

// recvTrunc is recv(2) with MSG_TRUNC, which of a TCP socket drops what it takes.
func recvTrunc(fd int, p *byte, n int) (int, error) {
	took, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(p)), uintptr(n), unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(took), nil
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimRight(string(u.Release[:]), "\x00")
}
