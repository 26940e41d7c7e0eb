package fstest_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sluice/disk"
	"sluice/disk/fstest"
)

// dump is all names with their content.
func dump(t testing.TB, f disk.FS) map[string]string {
	t.Helper()
	found := make(map[string]string)
	var visit func(dir string)
	visit = func(dir string) {
		list, err := f.List(by, dir)
		must(t, err)
		for _, e := range list {
			name := path.Join(dir, e.Name)
			if e.Dir {
				found[name+"/"] = ""
				visit(name)
				continue
			}
			found[name] = get(t, f, name)
		}
	}
	visit(".")
	return found
}

// TestPromises holds Mem.Crash to what a Sync, a SyncDir and a WriteSync promise, whatever else survives.
func TestPromises(t *testing.T) {
	for _, p := range fstest.Promises() {
		t.Run(p.Name, func(t *testing.T) {
			f := fstest.NewMem()
			must(t, p.Do(fstest.Trace(f, func(string) {})))
			must(t, p.Check(f))
			must(t, p.Check(f.Kill()))
			for seed := range uint64(200) {
				for _, keep := range []float64{0, .1, .5, .9, 1} {
					rng := rand.New(rand.NewPCG(seed, 0))
					if err := p.Check(f.Crash(rng, keep)); err != nil {
						t.Fatalf("seed %d, keep %v: %v", seed, keep, err)
					}
				}
			}
		})
	}
}

// TestPromisesOS: without a power cut the promises hold on the operating system's file system as well.
func TestPromisesOS(t *testing.T) {
	for _, p := range fstest.Promises() {
		f := disk.OS(t.TempDir())
		must(t, p.Do(f))
		if err := p.Check(f); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

const sector = 512

// TestCrashOutcomes: what may happen does happen, and nothing else. An outcome is the names with the first letter of each of
// their sectors.
func TestCrashOutcomes(t *testing.T) {
	fill := func(s string, sectors int) []byte { return []byte(strings.Repeat(s, sectors*sector)) }
	for _, c := range []struct {
		name string
		do   func(t *testing.T, f disk.FS, a disk.File) // a has one synced sector of a's, and its name is synced
		want []string
	}{
		{"overwrite", func(t *testing.T, f disk.FS, a disk.File) {
			_, err := a.WriteAt(by, fill("b", 1), 0)
			must(t, err)
		}, []string{"a:a", "a:b"}},
		{"write and size apart", func(t *testing.T, f disk.FS, a disk.File) {
			_, err := a.WriteAt(by, fill("b", 2), 0)
			must(t, err)
		}, []string{"a:a", "a:b", "a:a0", "a:ab", "a:b0", "a:bb"}},
		{"two versions of a sector", func(t *testing.T, f disk.FS, a disk.File) {
			_, err := a.WriteAt(by, fill("b", 1), 0)
			must(t, err)
			_, err = a.WriteAt(by, fill("c", 1), 0)
			must(t, err)
		}, []string{"a:a", "a:b", "a:c"}},
		{"allocate", func(t *testing.T, f disk.FS, a disk.File) {
			must(t, a.Allocate(by, 3*sector))
		}, []string{"a:a", "a:a00"}},
		{"truncate", func(t *testing.T, f disk.FS, a disk.File) {
			must(t, a.Truncate(by, 0))
			_, err := a.WriteAt(by, fill("b", 1), sector)
			must(t, err)
		}, []string{"a:", "a:a", "a:a0", "a:ab", "a:00", "a:0b"}},
		{"synchronous write over unsynced ones", func(t *testing.T, f disk.FS, a disk.File) {
			_, err := a.WriteAt(by, fill("b", 2), 0)
			must(t, err)
			_, err = a.WriteSync(by, fill("c", 1), sector)
			must(t, err)
		}, []string{"a:ac", "a:bc"}},
		{"create and remove", func(t *testing.T, f disk.FS, a disk.File) {
			put(t, f, "b", "")
			must(t, f.Remove(by, "a"))
		}, []string{"", "a:a", "b:", "a:a b:"}},
		{"rename", func(t *testing.T, f disk.FS, a disk.File) {
			must(t, f.Rename(by, "a", "b"))
			must(t, f.Rename(by, "b", "c"))
		}, []string{"a:a", "b:a", "c:a"}},
		{"rename without the data", func(t *testing.T, f disk.FS, a disk.File) {
			put(t, f, "b", string(fill("b", 1)))
			must(t, f.Rename(by, "b", "a"))
		}, []string{"a:a", "a:b", "a:0", "a:", "a:a b:", "a:a b:0", "a:a b:b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fstest.NewMem()
			a, err := f.Create(by, "a")
			must(t, err)
			_, err = a.WriteAt(by, fill("a", 1), 0)
			must(t, err)
			must(t, a.Sync(by))
			must(t, f.SyncDir(by, "."))
			c.do(t, f, a)
			seen := make(map[string]bool)
			for seed := range uint64(2000) {
				seen[outcome(t, f.Crash(rand.New(rand.NewPCG(seed, 1)), .5))] = true
			}
			want := make(map[string]bool)
			for _, w := range c.want {
				want[w] = true
			}
			if !maps.Equal(seen, want) {
				t.Errorf("seen %v, want %v", seen, want)
			}
			if got, want := outcome(t, f.Crash(rand.New(rand.NewPCG(0, 0)), 1)), outcome(t, f); got != want {
				t.Errorf("keeping all gives %q, want %q", got, want)
			}
		})
	}
}

func outcome(t *testing.T, f disk.FS) string {
	t.Helper()
	list, err := f.List(by, ".")
	must(t, err)
	var files []string
	for _, e := range list {
		s := e.Name + ":"
		content := get(t, f, e.Name)
		for at := 0; at < len(content); at += sector {
			part := content[at:min(at+sector, len(content))]
			if strings.Trim(part, part[:1]) != "" {
				t.Fatalf("%s has a torn sector", e.Name)
			}
			s += strings.Replace(part[:1], "\x00", "0", 1)
		}
		files = append(files, s)
	}
	return strings.Join(files, " ")
}

// random does n operations on f, as they come.
func random(t testing.TB, rng *rand.Rand, f disk.FS, n int) {
	t.Helper()
	for range n {
		name, other := fmt.Sprintf("d%d/%d", rng.IntN(2), rng.IntN(4)), fmt.Sprintf("d%d/%d", rng.IntN(2), rng.IntN(4))
		file, err := f.Open(by, name)
		if err != nil {
			_ = f.MkdirAll(by, path.Dir(name))
			if file, err = f.Create(by, name); err != nil {
				return // the process is dead
			}
		}
		pos, p := rng.Int64N(10000), []byte(strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(6000)))
		switch rng.IntN(9) {
		case 0:
			_ = f.Rename(by, name, other) // fails where there is no such directory
		case 1:
			_ = f.Remove(by, name)
		case 2:
			_ = file.Truncate(by, pos)
		case 3:
			_ = file.Allocate(by, pos)
		case 4:
			_ = file.Sync(by)
		case 5:
			_ = f.SyncDir(by, path.Dir(name))
		case 6:
			_, _ = file.WriteSync(by, p, pos)
		default:
			_, _ = file.WriteAt(by, p, pos)
		}
		_ = file.Close(by)
	}
}

// TestKillAndCrash: a clone has its own life; the same seed gives the same clone; what is left after a crash is synced; and
// after everything is synced, nothing is lost.
func TestKillAndCrash(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		f := fstest.NewMem()
		random(t, rng, f, 20)
		before, unsynced := dump(t, f), fmt.Sprint(f.Unsynced())
		killed := f.Kill()
		if got := dump(t, killed); !maps.Equal(got, before) {
			t.Fatalf("seed %d: a kill changes what is there", seed)
		}
		if got := fmt.Sprint(killed.Unsynced()); got != unsynced {
			t.Fatalf("seed %d: unsynced %s, after a kill %s", seed, unsynced, got)
		}
		crash := func(f *fstest.Mem) map[string]string { return dump(t, f.Crash(rand.New(rand.NewPCG(seed, 3)), .5)) }
		crashed := crash(f)
		if !maps.Equal(crashed, crash(f)) || !maps.Equal(crashed, crash(killed)) {
			t.Fatalf("seed %d: the same seed gives different clones", seed)
		}
		clone := f.Crash(rand.New(rand.NewPCG(seed, 3)), .5)
		if got := clone.Unsynced(); len(got) > 0 || !maps.Equal(crashed, crash(clone)) {
			t.Fatalf("seed %d: after a crash %v is unsynced", seed, got)
		}
		twin := f.Kill()
		random(t, rng, f, 20)
		later := crash(f)
		random(t, rng, clone, 20)
		random(t, rng, twin, 20)
		if !maps.Equal(later, crash(f)) {
			t.Fatalf("seed %d: the origin changes with its clones", seed)
		}
		if !maps.Equal(before, dump(t, killed)) || !maps.Equal(crashed, crash(killed)) {
			t.Fatalf("seed %d: a clone changes with its origin", seed)
		}
		for name := range dump(t, killed) {
			if strings.HasSuffix(name, "/") {
				must(t, killed.SyncDir(by, name))
				continue
			}
			file, err := killed.Open(by, name)
			must(t, err)
			must(t, file.Sync(by))
			must(t, file.Close(by))
		}
		must(t, killed.SyncDir(by, "."))
		if got := dump(t, killed.Crash(rng, 0)); !maps.Equal(got, before) {
			t.Fatalf("seed %d: synced things are lost", seed)
		}
	}
}

// TestKillFreesLocks: a lock goes with its process.
func TestKillFreesLocks(t *testing.T) {
	f := fstest.NewMem()
	_, err := f.Lock(by, "LOCK")
	must(t, err)
	for _, next := range []disk.FS{f.Kill(), f.Crash(rand.New(rand.NewPCG(0, 0)), 0)} {
		_, err := next.Lock(by, "LOCK")
		must(t, err)
	}
}

// TestDropped is the sync that fails, and the next that does not tell: the bytes read back until they are evicted, and never
// get to the device, but where a later write makes their page dirty again.
func TestDropped(t *testing.T) {
	mem := fstest.NewMem()
	failed := false
	f := fstest.Trace(fstest.Fail(mem, func(op fstest.Op) error {
		if op.Kind == fstest.Sync && op.Pos == 0 && !failed {
			failed = true
			return &fstest.Dropped{Err: syscall.EIO}
		}
		return nil
	}), func(string) {})
	must(t, f.SyncDir(by, "."))
	file, err := f.Create(by, "a")
	must(t, err)
	must(t, f.SyncDir(by, "."))
	_, err = file.WriteAt(by, []byte(strings.Repeat("a", 3*4096)), 0)
	must(t, err)
	wantIs(t, file.Sync(by), syscall.EIO)
	must(t, file.Sync(by))
	_, err = file.WriteAt(by, []byte("b"), 4096)
	must(t, err)
	must(t, file.Sync(by))
	cached := strings.Repeat("a", 4096) + "b" + strings.Repeat("a", 2*4096-1)
	if got := get(t, f, "a"); got != cached {
		t.Fatal("the cache has lost something")
	}
	want := strings.Repeat("\x00", 4096) + cached[4096:8192] + strings.Repeat("\x00", 4096)
	if got := get(t, mem.Crash(rand.New(rand.NewPCG(0, 0)), 1), "a"); got != want {
		t.Fatal("a power cut leaves other pages than those that got to the device")
	}
	_, err = file.WriteAt(by, []byte("c"), 8192)
	must(t, err)
	killed := mem.Kill()
	file, err = killed.Open(by, "a")
	must(t, err)
	must(t, file.Evict(by, 0, 1<<20))
	if got, want := get(t, killed, "a"), want[:8192]+"c"+cached[8193:]; got != want {
		t.Fatal("after an eviction other pages are read than the device's and the dirty ones")
	}
}

// TestStop: a process that dies at the n-th change has done those before it, and the last as far as asked for.
func TestStop(t *testing.T) {
	do := func(f disk.FS) {
		_ = f.MkdirAll(by, "d")
		file, err := f.Create(by, "d/a")
		if err != nil {
			return
		}
		_, _ = file.WriteAt(by, []byte("abcd"), 0)
		_, _ = file.WriteSync(by, []byte("efgh"), 4)
		_ = file.Sync(by)
		_ = f.Rename(by, "d/a", "d/b")
	}
	const a, b = "d/ d/a=", "d/ d/b="
	for n, want := range [][3]string{
		{"", "d/", ""}, {"d/", a, "d/"}, {a, a + "abcd", a + "ab"}, {a + "abcd", a + "abcdefgh", a + "abcdef"},
		{a + "abcdefgh", a + "abcdefgh", a + "abcdefgh"}, {a + "abcdefgh", b + "abcdefgh", a + "abcdefgh"}, {b + "abcdefgh", b + "abcdefgh", b + "abcdefgh"},
	} {
		for _, last := range []fstest.Last{fstest.Undone, fstest.Done, fstest.Half} {
			mem := fstest.NewMem()
			f := fstest.Stop(mem, n, last)
			do(f)
			var names []string
			for name, content := range dump(t, mem) {
				if !strings.HasSuffix(name, "/") {
					name += "=" + content
				}
				names = append(names, name)
			}
			slices.Sort(names)
			got := strings.Join(names, " ")
			if got != want[last] || f.Stopped() != (n < 6) || f.Changes() != min(n+1, 6) {
				t.Errorf("stopped at %d, %d: %q, want %q; %v after %d changes", n, last, got, want[last], f.Stopped(), f.Changes())
			}
			if _, err := f.List(by, "."); f.Stopped() != errors.Is(err, fstest.ErrStopped) {
				t.Errorf("stopped at %d: a later list gives %v", n, err)
			}
		}
	}
}

// TestSetSpace: writes beyond the budget are short, allocations fail whole, and what loses its name gives its room back with
// its last handle.
func TestSetSpace(t *testing.T) {
	f := fstest.NewMem()
	put(t, f, "a", "12345")
	f.SetSpace(10)
	want := func(free int64) {
		t.Helper()
		if s, err := f.Space(by); err != nil || s.Free != free || s.Total != 10 {
			t.Fatalf("%+v, %v, want %d free", s, err, free)
		}
	}
	want(5)
	file, err := f.Create(by, "b")
	must(t, err)
	wantIs(t, file.Allocate(by, 6), syscall.ENOSPC)
	must(t, file.Allocate(by, 2))
	want(3)
	n, err := file.WriteAt(by, []byte("abcdefgh"), 0)
	wantIs(t, err, syscall.ENOSPC)
	if n != 5 || get(t, f, "b") != "abcde" {
		t.Fatalf("wrote %d bytes, %q", n, get(t, f, "b"))
	}
	n, err = file.WriteSync(by, []byte("xy"), 7)
	wantIs(t, err, syscall.ENOSPC)
	if n != 0 || get(t, f, "b") != "abcde" {
		t.Fatalf("wrote %d bytes, %q", n, get(t, f, "b"))
	}
	_, err = file.WriteAt(by, []byte("ABCDE"), 0)
	must(t, err)
	must(t, f.Remove(by, "b"))
	want(0)
	killed := f.Kill()
	if s, err := killed.Space(by); err != nil || s.Free != 5 {
		t.Fatalf("%+v, %v", s, err)
	}
	must(t, file.Close(by))
	want(5)
	put(t, f, "c", "123")
	must(t, f.Rename(by, "c", "a"))
	want(7)
}

// TestSlow: operations take the time that the test says.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fstest.Slow(fstest.NewMem(), func(op fstest.Op) {
			if op.Kind == fstest.Create {
				time.Sleep(time.Hour)
			}
		})
		start := time.Now()
		put(t, f, "a", "x")
		if took := time.Since(start); took != time.Hour {
			t.Fatalf("took %v", took)
		}
	})
}

// BenchmarkKill and BenchmarkCrash are the clones of a small data directory.
func BenchmarkKill(b *testing.B) {
	f := fstest.NewMem()
	random(b, rand.New(rand.NewPCG(1, 1)), f, 30)
	for b.Loop() {
		f.Kill()
	}
}

func BenchmarkCrash(b *testing.B) {
	f := fstest.NewMem()
	rng := rand.New(rand.NewPCG(1, 1))
	random(b, rng, f, 30)
	for b.Loop() {
		f.Crash(rng, .5)
	}
}
