package disk_test

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"

	"sluice/disk"
)

// A child that is being started holds copies of all descriptors until its exec;
// the directory must be free all the same once it is closed.
func TestLockIsFreeWhileChildrenStart(t *testing.T) {
	fs := disk.OS(t.TempDir())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := exec.Command(self, "-test.run=^$").Run(); err != nil {
				t.Errorf("start a child: %v", err)
				return
			}
		}
	})
	for range 300 {
		lock, err := fs.Lock(disk.ByOpen, "LOCK")
		if errors.Is(err, disk.ErrLocked) {
			t.Error("the lock outlived its close")
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

// Whoever asks whether a directory is in use keeps nobody from taking it.
func TestLockIsFreeWhileSomebodyAsks(t *testing.T) {
	root := t.TempDir()
	fs := disk.OS(root)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := disk.InUse(root); err != nil {
					t.Errorf("ask: %v", err)
					return
				}
			}
		})
	}
	for range 200 {
		lock, err := fs.Lock(disk.ByOpen, "LOCK")
		if err != nil {
			t.Errorf("nobody has it: %v", err)
			break
		}
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

// TestH5LockFileRemoved: whoever removes the LOCK of a directory that is in use lets nobody else in, and is told that it is
// in use.
func TestH5LockFileRemoved(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, disk.OS(root))
	for range 2 { // the second time there is one again, which is nobody's
		if live, err := disk.InUse(root); err != nil || !live {
			t.Errorf("in use: %v, %v", live, err)
		}
		must(t, os.Remove(root+"/LOCK"))
		if other, err := disk.OpenStore(disk.OS(root), disk.StoreOptions{}, nop); !errors.Is(err, disk.ErrLocked) {
			t.Fatalf("a second store: %v, %v", other, err)
		}
	}
	must(t, s.Close())
	if live, err := disk.InUse(root); err != nil || live {
		t.Errorf("closed, and in use: %v, %v", live, err)
	}
	must(t, openStore(t, disk.OS(root)).Close())
}
