package disk

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestGrowWithoutReserve is Allocate where there is no fallocate: it must not cut off what a write adds meanwhile.
func TestGrowWithoutReserve(t *testing.T) {
	file, err := OS(t.TempDir()).Create(ByRoller, "a")
	if err != nil {
		t.Fatal(err)
	}
	f := file.(*osFile)
	const n = 20000
	var wg sync.WaitGroup
	wg.Go(func() {
		for size := int64(0); size < n; {
			var err error
			if size, err = f.Size(); err != nil {
				t.Error(err)
				return
			}
			if err := f.grow(min(size+1, n)); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range n {
		if _, err := f.WriteAt(ByWriter, []byte("x"), int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	b := make([]byte, n)
	if _, err := f.ReadAt(ByReader, b, 0); err != nil {
		t.Fatal(err)
	}
	for i, c := range b {
		if c != 'x' {
			t.Fatalf("byte %d is %q", i, c)
		}
	}
	if err := f.grow(2 * n); err != nil {
		t.Fatal(err)
	}
	if size, err := f.Size(); err != nil || size != 2*n {
		t.Fatalf("size %d, %v", size, err)
	}
	if err := f.Close(ByRoller); err != nil {
		t.Fatal(err)
	}
}

// TestOSMakesRoot: the root and the directories above it are made, however many are missing.
func TestOSMakesRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := OS(root).MkdirAll(ByOpen, "."); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		t.Fatalf("%v, %v", info, err)
	}
}
