package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/disk"
	"sluice/sched"
)

// scrubber re-reads what is stored in sealed segments, so that a disk that loses bytes
// is noticed while a copy can still be had, and not by the reader who needs them (R9).
// It goes through one log after the other, in the order of their names, at scrub.rate,
// and rests behind each round. In: ticks. Out: the log, and STATS. It holds one buffer,
// and a descriptor only while a tick lasts. Ends with the ticks.
type scrubber struct {
	catalog *catalog
	rate    int64 // bytes a second
	log     *zap.Logger

	run struct { // touched by the Run goroutine only
		part   *partition // the log at hand; nil: none
		topic  string     // its place in the round, also once it is gone
		id     int32
		cursor *disk.ScrubCursor
		credit int64 // bytes that may be read now; below 0: a batch was larger
		rest   time.Time
	}
	stats struct { // for STATS
		sync.Mutex
		ScrubStats
	}
}

// ScrubStats is how far the scrubber is, and what it found.
type ScrubStats struct {
	Rate   int64  `json:"rate"` // bytes a second; 0: it is off
	Log    string `json:"log"`  // the one at hand; empty: it rests
	Bytes  int64  `json:"bytes"`
	Rounds int64  `json:"rounds"` // finished ones
	Damage int64  `json:"damage"` // ranges that were found, each once a round
	Last   string `json:"last,omitempty"`
}

const (
	scrubTick = 100 * time.Millisecond
	scrubStep = 256 << 10 // bytes between two looks at whether the log is still there

	// scrubRest is from the end of a round to the next: on a small directory a round
	// takes seconds, and a disk that is always read never sleeps.
	scrubRest = time.Hour

	// scrubLeast is what a call costs that has read nothing: a log full of segments that
	// can't be opened must not take a core.
	scrubLeast = 4 << 10
)

func newScrubber(c *catalog, rate int64, log *zap.Logger) *scrubber {
	s := &scrubber{catalog: c, rate: rate, log: log}
	s.stats.Rate = rate
	return s
}

// Run reads at each tick as much as the rate allows.
func (s *scrubber) Run(ctx context.Context) error {
	if s.rate == 0 {
		return nil
	}
	return sched.Tick(ctx, scrubTick, func(now time.Time) { s.tick(ctx, now) })
}

func (s *scrubber) tick(ctx context.Context, now time.Time) {
	if now.Before(s.run.rest) {
		return
	}
	share := max(s.rate*int64(scrubTick)/int64(time.Second), 1)
	s.run.credit = min(s.run.credit+share, share) // what a late tick missed is not made up for at once
	for s.run.credit > 0 && ctx.Err() == nil {
		if s.run.part == nil && !s.next() {
			s.run.rest = now.Add(scrubRest)
			return
		}
		s.step()
	}
}

// next takes up the log behind the last one. False: the round is over.
func (s *scrubber) next() bool {
	var best *partition
	for _, t := range s.catalog.all() {
		for _, p := range t.parts {
			if p.broken == nil && (t.name > s.run.topic || t.name == s.run.topic && p.id > s.run.id) &&
				(best == nil || t.name < best.topic.name || t.name == best.topic.name && p.id < best.id) {
				best = p
			}
		}
	}
	name := ""
	if s.run.part = best; best != nil {
		s.run.topic, s.run.id, name = best.topic.name, best.id, best.String()
		s.run.cursor = new(disk.ScrubCursor)
	} else {
		s.run.topic, s.run.id, s.run.cursor = "", 0, nil
	}
	s.stats.Lock()
	defer s.stats.Unlock()
	if s.stats.Log = name; best == nil {
		s.stats.Rounds++
	}
	return best != nil
}

// step reads on in the log at hand.
func (s *scrubber) step() {
	p := s.run.part
	n, err := p.log.Scrub(s.run.cursor, min(s.run.credit, scrubStep))
	if s.run.credit -= n; n == 0 {
		s.run.credit -= scrubLeast
	}
	var damage *disk.CorruptError
	switch {
	case errors.Is(err, io.EOF) || p.dropped.Load():
		s.run.part = nil
	case errors.As(err, &damage):
		s.found(p, n, damage)
		return
	case err != nil:
		s.log.Warn("a sealed segment can't be read through, and is left out of this round", zap.Stringer("log", p), zap.Error(err))
	}
	s.stats.Lock()
	defer s.stats.Unlock()
	s.stats.Bytes += n
}

// found tells of damage.
func (s *scrubber) found(p *partition, n int64, damage *disk.CorruptError) {
	s.log.Error("stored records are damaged: restore the segment from a copy, or stop the server and have `sluice repair` set the range aside",
		zap.Stringer("log", p), zap.Uint64("from", damage.From), zap.Uint64("next", damage.Next), zap.Error(damage))
	s.stats.Lock()
	defer s.stats.Unlock()
	s.stats.Bytes += n
	s.stats.Damage++
	s.stats.Last = fmt.Sprintf("%s: %v", p, damage)
}

func (s *scrubber) snapshot() ScrubStats {
	s.stats.Lock()
	defer s.stats.Unlock()
	return s.stats.ScrubStats
}

func (s ScrubStats) text() string {
	out := fmt.Sprintf("rate=%d log=%s bytes=%d rounds=%d damage=%d", s.Rate, s.Log, s.Bytes, s.Rounds, s.Damage)
	if s.Last != "" {
		out += fmt.Sprintf(" last=%q", s.Last)
	}
	return out
}
