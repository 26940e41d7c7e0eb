package disk

import (
	"errors"
	"fmt"
	"math"
	"path"
	"sort"
)

const (
	epochsName = "epochs"

	// maxEpochs bounds the table: an entry is at most 34 bytes of JSON, and a small file has smallMax. That is a start
	// after a crash every hour, with appends in each, for three years.
	maxEpochs = 30_000
)

// epochStart says that the batches from offset first on are of this epoch, until the next entry.
type epochStart struct {
	epoch int32
	first uint64
}

// epochTable is a log's epochs, ascending in both fields, never empty. It is not changed once it is shown to anyone.
type epochTable []epochStart

// at is the epoch that the batch with that base offset must have (R9).
func (t epochTable) at(base uint64) int32 {
	if last := t[len(t)-1]; base >= last.first {
		return last.epoch
	}
	return t[max(sort.Search(len(t), func(i int) bool { return t[i].first > base })-1, 0)].epoch
}

func (t epochTable) last() epochStart { return t[len(t)-1] }

// with returns the table with an epoch that begins at an offset. Epochs without a record left are dropped: an epoch that
// is asked for and not there ends where the one before it does.
func (t epochTable) with(epoch int32, first uint64) epochTable {
	n := len(t)
	for n > 0 && t[n-1].first >= first {
		n--
	}
	return append(t[:n:n], epochStart{epoch, first})
}

// epochsFile is the JSON value: pairs of epoch and first offset.
type epochsFile struct {
	Epochs [][2]uint64 `json:"epochs"`
}

// loadEpochs reads the epoch table of the log in dir; mend: a copy must be written anew. Errors: fs.ErrNotExist,
// errDamaged, I/O.
func loadEpochs(f FS, by By, dir string) (t epochTable, mend bool, err error) {
	var stored epochsFile
	name := path.Join(dir, epochsName)
	mend, err = loadTwofold(f, by, name, &stored)
	if err != nil {
		return nil, false, err
	}
	for i, e := range stored.Epochs {
		if e[0] > math.MaxInt32 || e[1] > maxOffset || i > 0 && (e[0] <= stored.Epochs[i-1][0] || e[1] <= stored.Epochs[i-1][1]) {
			return nil, false, fmt.Errorf("%s is %w: entry %d is out of order or too large", name, errDamaged, i)
		}
		t = append(t, epochStart{int32(e[0]), e[1]})
	}
	if len(t) == 0 {
		return nil, false, fmt.Errorf("%s is %w: it is empty", name, errDamaged)
	}
	return t, mend, nil
}

// saveEpochs writes both copies; the caller makes their names durable.
func saveEpochs(f FS, by By, dir string, t epochTable) error {
	stored := epochsFile{Epochs: make([][2]uint64, len(t))}
	for i, e := range t {
		stored.Epochs[i] = [2]uint64{uint64(e.epoch), e.first}
	}
	return saveTwofold(f, by, path.Join(dir, epochsName), stored)
}

// Epoch is the one that appends are stamped with, or, until the first append of this run has found its way, the last one
// that is stored. Any goroutine.
func (l *Log) Epoch() int32 { return l.epochTable().last().epoch }

// EpochEnd finds the largest epoch at or below epoch that the log has, and where it ends: at the first offset of the next
// one, or at Next. have is -1 when the log has only later ones; end is then where those begin. Any goroutine.
func (l *Log) EpochEnd(epoch int32) (have int32, end uint64) {
	next := l.next.Load() // before the table: an epoch begins at Next
	t := l.epochTable()
	i := sort.Search(len(t), func(i int) bool { return t[i].epoch > epoch })
	if i < len(t) {
		end = t[i].first
	} else {
		end = next
	}
	if i == 0 {
		return -1, end
	}
	return t[i-1].epoch, end
}

// epochTable is nil in a log that was not opened: then nothing is known of its epochs, and nothing is checked.
func (l *Log) epochTable() epochTable {
	if t := l.epochs.Load(); t != nil {
		return *t
	}
	return nil
}

var errManyEpochs = errors.New("its epoch table is full")

// nextEpoch is the table with one epoch more, from the log's end on. seen is the highest epoch that a mark tells of: when
// the table was rebuilt from batches, the last epochs may have left none.
func (t epochTable) nextEpoch(seen int32, from uint64) (epochTable, error) {
	epoch := max(t.last().epoch, seen)
	if epoch == math.MaxInt32 || len(t) >= maxEpochs {
		return nil, fmt.Errorf("%w after %d unclean starts; go on in a new topic", errManyEpochs, len(t))
	}
	return t.with(epoch+1, from), nil
}
