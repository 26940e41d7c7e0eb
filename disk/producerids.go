package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"

	"go.uber.org/zap"
)

// producerIDsFile says which producer ids have been given away: all before next.
const producerIDsFile = "producers.json"

type producerIDs struct {
	Next int64 `json:"next"`
}

// ReserveProducerIDs takes n ids, [first, first+n), of which none is ever given again: that is durable when it returns.
// Errors: ErrNoSpace, I/O; no id is lost by them. Any goroutine, one at a time.
func (s *Store) ReserveProducerIDs(by By, n int64) (first int64, err error) {
	var ids producerIDs
	_, err = loadTwofold(s.fs, by, producerIDsFile, &ids)
	switch {
	case errors.Is(err, errDamaged), err == nil && ids.Next < 0:
		// From somewhere in the upper half: ids are counted from 0, and nobody has come so far.
		ids.Next = math.MaxInt64/2 + rand.Int64N(math.MaxInt64/4)
		s.log.Warn("no copy of the file is good that says which producer ids are given away; it is made anew, far from those",
			zap.String("file", producerIDsFile), zap.Int64("next", ids.Next))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("reserve producer ids: %w", err)
	}
	first = ids.Next
	if first > math.MaxInt64-n {
		return 0, errors.New("reserve producer ids: all are used up")
	}
	ids.Next += n
	if err := saveTwofold(s.fs, by, producerIDsFile, ids); err != nil {
		return 0, fmt.Errorf("reserve producer ids: %w", err)
	}
	if err := s.syncDir(by, root); err != nil {
		return 0, fmt.Errorf("reserve producer ids: %w", err)
	}
	return first, nil
}
