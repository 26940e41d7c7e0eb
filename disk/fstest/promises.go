package fstest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"sluice/disk"
)

// Promise is something that the contract of disk.FS says of power cuts: whatever else is lost, after Do and a cut Check finds
// no fault. Mem and the operating system's file systems are held to the same list, on which the rules for disk's files rest.
type Promise struct {
	Name  string
	Do    func(f disk.FS) error
	Check func(f disk.FS) error
}

const byTest disk.By = "promise"

// Promises is all of them.
func Promises() []Promise {
	return []Promise{
		{"synced bytes stay", func(f disk.FS) error {
			return errors.Join(writeFile(f, "a", "first", true, true), writeFile(f, "a", "second, longer", false, false))
		}, func(f disk.FS) error {
			got, err := readFile(f, "a")
			if err == nil && len(got) < len("first") {
				err = fmt.Errorf("the file ends at %d", len(got))
			}
			return err
		}},
		{"synced bytes stay beside unsynced ones", func(f disk.FS) error {
			all := strings.Repeat("0123456789abcdef", 1<<10)
			return errors.Join(writeFile(f, "a", all, true, true), inFile(f, "a", func(file disk.File) error {
				_, err := file.WriteAt(byTest, []byte(strings.Repeat("x", 4096)), 8192)
				return err
			}))
		}, func(f disk.FS) error {
			return prefix(f, "a", strings.Repeat("0123456789abcdef", 1<<9))
		}},
		{"a synchronous write stays", func(f disk.FS) error {
			return errors.Join(writeFile(f, "a", "", true, true), inFile(f, "a", func(file disk.File) error {
				_, unsynced := file.WriteAt(byTest, []byte("before"), 0)
				_, synced := file.WriteSync(byTest, []byte(strings.Repeat("y", 4096)), 4096)
				return errors.Join(unsynced, synced)
			}))
		}, func(f disk.FS) error {
			got, err := readFile(f, "a")
			if err == nil && (len(got) < 8192 || got[4096:8192] != strings.Repeat("y", 4096)) {
				err = fmt.Errorf("the bytes are gone; the file ends at %d", len(got))
			}
			return err
		}},
		{"a synchronous write into allocated room stays", func(f disk.FS) error {
			return errors.Join(writeFile(f, "a", "", true, true), inFile(f, "a", func(file disk.File) error {
				err := file.Allocate(byTest, 1<<16)
				_, werr := file.WriteSync(byTest, []byte("here"), 100)
				return errors.Join(err, werr)
			}))
		}, func(f disk.FS) error {
			return prefix(f, "a", strings.Repeat("\x00", 100)+"here")
		}},
		{"a synced length stays", func(f disk.FS) error {
			return errors.Join(writeFile(f, "a", "to be cut", true, true), inFile(f, "a", func(file disk.File) error {
				return errors.Join(file.Truncate(byTest, 5), file.Sync(byTest))
			}))
		}, func(f disk.FS) error { return whole(f, "a", "to be") }},
		{"a synced name stays", func(f disk.FS) error {
			return errors.Join(f.MkdirAll(byTest, "d"), f.SyncDir(byTest, "."), writeFile(f, "d/a", "x", true, false), f.SyncDir(byTest, "d"))
		}, func(f disk.FS) error { return whole(f, "d/a", "x") }},
		{"a synced removal stays", func(f disk.FS) error {
			return errors.Join(writeFile(f, "a", "x", true, true), f.Remove(byTest, "a"), f.SyncDir(byTest, "."))
		}, func(f disk.FS) error { return absent(f, "a") }},
		{"a synced rename stays", func(f disk.FS) error {
			return errors.Join(writeFile(f, "a", "old", true, true), writeFile(f, "b", "new", true, true), f.Rename(byTest, "b", "a"), f.SyncDir(byTest, "."))
		}, func(f disk.FS) error { return errors.Join(whole(f, "a", "new"), absent(f, "b")) }},
		{"a rename is whole", func(f disk.FS) error {
			return errors.Join(writeFile(f, "a", "old", true, true), writeFile(f, "b", "new", true, true), f.Rename(byTest, "b", "a"))
		}, func(f disk.FS) error {
			before := errors.Join(whole(f, "a", "old"), whole(f, "b", "new"))
			if after := errors.Join(whole(f, "a", "new"), absent(f, "b")); before != nil && after != nil {
				return fmt.Errorf("neither as before: %w, nor as after: %w", before, after)
			}
			return nil
		}},
		{"a renamed directory keeps what is in it", func(f disk.FS) error {
			return errors.Join(f.MkdirAll(byTest, "d"), writeFile(f, "d/a", "x", true, false), f.SyncDir(byTest, "d"), f.SyncDir(byTest, "."),
				f.Rename(byTest, "d", "e"), f.SyncDir(byTest, "."))
		}, func(f disk.FS) error { return errors.Join(whole(f, "e/a", "x"), absent(f, "d")) }},
	}
}

// writeFile makes the file if it must, and writes it; sync: its content, too; name: its name in the root.
func writeFile(f disk.FS, name, content string, sync, syncName bool) error {
	file, err := f.Create(byTest, name)
	if errors.Is(err, fs.ErrExist) {
		file, err = f.Open(byTest, name)
	}
	if err != nil {
		return err
	}
	_, err = file.WriteAt(byTest, []byte(content), 0)
	if sync {
		err = errors.Join(err, file.Sync(byTest))
	}
	if syncName {
		err = errors.Join(err, f.SyncDir(byTest, "."))
	}
	return errors.Join(err, file.Close(byTest))
}

func inFile(f disk.FS, name string, do func(disk.File) error) error {
	file, err := f.Open(byTest, name)
	if err != nil {
		return err
	}
	return errors.Join(do(file), file.Close(byTest))
}

func readFile(f disk.FS, name string) (string, error) {
	var b []byte
	err := inFile(f, name, func(file disk.File) error {
		size, err := file.Size()
		if err != nil {
			return err
		}
		b = make([]byte, size)
		if n, err := file.ReadAt(byTest, b, 0); n != len(b) && !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	})
	return string(b), err
}

func whole(f disk.FS, name, want string) error {
	got, err := readFile(f, name)
	if err == nil && got != want {
		err = fmt.Errorf("%s is %.40q, want %.40q", name, got, want)
	}
	return err
}

func prefix(f disk.FS, name, want string) error {
	got, err := readFile(f, name)
	if err == nil && !strings.HasPrefix(got, want) {
		err = fmt.Errorf("%s has %d bytes and does not begin with the %d that were synced", name, len(got), len(want))
	}
	return err
}

func absent(f disk.FS, name string) error {
	_, err := readFile(f, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%s is there: %w", name, errors.Join(err, fs.ErrExist))
}
