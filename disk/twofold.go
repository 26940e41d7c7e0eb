package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
)

// A small file that must not be lost is kept twice, under its name and under its name + ".2", each with its own
// checksum. One damaged or missing copy is written anew from the other; if no copy is good, nothing is guessed (C9).
const secondCopy = ".2"

const smallMax = 1 << 20 // bytes: a longer small file is damaged

// envelope is the content of such a file: any JSON value, and the checksum of its bytes as they stand there.
type envelope struct {
	Value json.RawMessage `json:"value"`
	CRC   string          `json:"crc32c"`
}

func sumOf(value []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(value, crcTable)) }

// errDamaged: the file is there, and no copy of it is good.
var errDamaged = errors.New("damaged")

// loadTwofold reads the value of dir/name. old is the text of a copy that is good, to be compared with by mend.
// Errors: fs.ErrNotExist when no copy is there, errDamaged when none is good, I/O.
func loadTwofold(f FS, by By, name string, value any) (mend bool, err error) {
	first, err1 := readCopy(f, by, name)
	second, err2 := readCopy(f, by, name+secondCopy)
	for _, err := range []error{err1, err2} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamaged) {
			return false, fmt.Errorf("read %s: %w", name, err)
		}
	}
	good := first
	switch {
	case err1 == nil:
	case err2 == nil:
		good = second
	case errors.Is(err1, fs.ErrNotExist) && errors.Is(err2, fs.ErrNotExist):
		return false, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	default:
		return false, fmt.Errorf("%s and its copy are %w", name, errDamaged)
	}
	if err := json.Unmarshal(good, value); err != nil {
		return false, fmt.Errorf("%s is %w: %w", name, errDamaged, err)
	}
	return err1 != nil || err2 != nil || string(first) != string(second), nil
}

// readCopy returns the value inside one copy.
func readCopy(f FS, by By, name string) ([]byte, error) {
	text, err := readSmall(f, by, name)
	if err != nil {
		return nil, err
	}
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil || e.CRC != sumOf(e.Value) {
		return nil, errDamaged
	}
	return e.Value, nil
}

func readSmall(f FS, by By, name string) (text []byte, err error) {
	file, err := f.Open(by, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close(by)) }()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > smallMax {
		return nil, errDamaged
	}
	text = make([]byte, size)
	return text, readFull(by, file, text, 0)
}

// saveTwofold writes both copies aside and renames them, the second first. The caller makes their names durable.
func saveTwofold(f FS, by By, name string, value any) error {
	inner, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	text, err := json.Marshal(envelope{inner, sumOf(inner)})
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	text = append(text, '\n')
	for _, name := range []string{name + secondCopy, name} {
		if err := writeAside(f, by, name, text); err != nil {
			return full(fmt.Errorf("write %s: %w", name, err))
		}
	}
	return nil
}

// writeAside makes a file appear under its name complete and synced, or not at all.
func writeAside(f FS, by By, name string, text []byte) error {
	aside := name + tmpEnding
	if err := removeIfThere(f, by, aside); err != nil {
		return unmade(err)
	}
	file, err := f.Create(by, aside)
	if err != nil {
		return unmade(err)
	}
	_, err = file.WriteAt(by, text, 0)
	if err == nil {
		err = file.Sync(by)
	}
	if err = errors.Join(err, file.Close(by)); err != nil {
		return errors.Join(err, removeIfThere(f, by, aside))
	}
	return f.Rename(by, aside, name)
}
