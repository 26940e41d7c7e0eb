package disk

import (
	"errors"
	"fmt"
	"io/fs"
)

// startsFile says how the runs on this directory ended, as far as that shows a crash loop. It is no part of any promise:
// a damaged one counts from nought.
const startsFile = "starts"

// starts is what the file holds.
type starts struct {
	Deaths int  `json:"deaths"` // runs in a row that ended unclean, soon after their start
	Young  bool `json:"young"`  // a run is under way that would be one more if it ended now
}

// BeginRun notes durably that a run begins. deaths is how many runs before it, in a row, ended neither by EndRun nor
// behind a SettleRun. Errors: I/O, ErrNoSpace; deaths counts all the same.
func (s *Store) BeginRun() (deaths int, err error) {
	var was starts
	if _, err = loadTwofold(s.fs, ByOpen, startsFile, &was); errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
		was, err = starts{}, nil
	}
	if was.Young {
		was.Deaths++
	}
	return was.Deaths, errors.Join(err, s.saveStarts(ByOpen, starts{was.Deaths, true}))
}

// SettleRun notes that the run has lasted: whatever its end will be, it does not count. Errors: as BeginRun.
func (s *Store) SettleRun() error { return s.saveStarts(ByController, starts{}) }

// EndRun notes an orderly end. deaths is what the next run shall begin with: 0, or what BeginRun has told if this run
// came to nothing. Errors: as BeginRun.
func (s *Store) EndRun(deaths int) error { return s.saveStarts(ByController, starts{deaths, false}) }

func (s *Store) saveStarts(by By, v starts) error {
	if err := saveTwofold(s.fs, by, startsFile, v); err != nil {
		return err
	}
	if err := s.fs.SyncDir(by, root); err != nil {
		return fmt.Errorf("write %s: sync the data directory: %w", startsFile, err)
	}
	return nil
}
