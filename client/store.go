package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sluice/wire/text"
)

// Position is where a reader of a partition stands.
type Position struct {
	Next  uint64 `json:"next"`  // the first record not yet processed
	Epoch int64  `json:"epoch"` // of the record before it; -1: not known
}

// Store keeps the position of one reader across runs. A Consumer calls it from the goroutines that call the Consumer.
type Store interface {
	// Load returns the position, and false if none was saved yet.
	Load(ctx context.Context) (Position, bool, error)
	// Save keeps the position; when it returns, the position must survive what the caller wants it to survive.
	Save(ctx context.Context, p Position) error
}

// FileStore keeps a position in a small JSON file. Save writes a new file beside it, syncs it, renames it and syncs
// the directory: a crash leaves the old position or the new one, and after Save a power cut keeps the new one.
// One Consumer at a time may use a file.
type FileStore struct {
	Path  string
	Topic string // written into the file, and checked: a file of another topic is refused
}

type filePosition struct {
	Topic string `json:"topic"`
	Position
}

const maxPositionFile = 4 << 10

// Load reads the file; one that is not there yet is no error.
func (f FileStore) Load(context.Context) (Position, bool, error) {
	b, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, false, nil
	}
	if err != nil {
		return Position{}, false, fmt.Errorf("load position: %w", err)
	}
	var p filePosition
	if len(b) > maxPositionFile {
		return Position{}, false, fmt.Errorf("load position: %s has %d bytes, it is none of ours", f.Path, len(b))
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return Position{}, false, fmt.Errorf("load position: %s: %w", f.Path, err)
	}
	if p.Topic != f.Topic {
		return Position{}, false, fmt.Errorf("load position: %s is of topic %q, not %q", f.Path, p.Topic, f.Topic)
	}
	if err := checkPosition(p.Position); err != nil {
		return Position{}, false, fmt.Errorf("load position: %s: %w", f.Path, err)
	}
	return p.Position, true, nil
}

func checkPosition(p Position) error {
	if !Offset(p.Next).valid() || p.Epoch < -1 {
		return fmt.Errorf("next=%d epoch=%d is no position", p.Next, p.Epoch)
	}
	return nil
}

// Save replaces the file.
func (f FileStore) Save(_ context.Context, p Position) error {
	b, err := json.Marshal(filePosition{f.Topic, p})
	if err != nil {
		return fmt.Errorf("save position: %w", err)
	}
	if err := replaceFile(f.Path, append(b, '\n')); err != nil {
		return fmt.Errorf("save position: %w", err)
	}
	return nil
}

// replaceFile makes path hold b, at every moment either the old bytes or all of b. What a crash leaves aside is
// overwritten by the next call.
func replaceFile(path string, b []byte) error {
	aside := path + ".new"
	if err := writeSynced(aside, b); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	if err := os.Rename(aside, path); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

const _ = uint(maxPositionFile - text.MaxTopic - 256) // a position always fits
