package disk

import (
	"math/rand/v2"
	"testing"
)

// TestStretches holds what is remembered of a segment to a bitmap: it is never more than was added, it is all of it while that
// is in few stretches, and the last one that was added is always there. A spot's offset is twice its position.
func TestStretches(t *testing.T) {
	at := func(pos int64) spot { return spot{pos, uint64(2 * pos)} }
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var s segment
		var known [1000]bool
		forgot := false
		for range 1 + rng.IntN(200) {
			from := rng.Int64N(1000)
			to := min(1000, from+rng.Int64N(1+rng.Int64N(100)))
			s.checked.add(stretch{at(from), at(to)}, 0)
			for i := from; i < to; i++ {
				known[i] = true
			}
			n := 0
			for i := 1; i < len(known); i++ {
				if known[i] && !known[i-1] || i == 1 && known[0] {
					n++
				}
			}
			forgot = forgot || n > maxStretches
			for i := range int64(1000) {
				r, ok := s.checkedAt(i)
				switch {
				case ok && !known[i], !ok && i >= from && i < to, !ok && known[i] && !forgot:
					t.Fatalf("seed %d: position %d is known: %t, want %t", seed, i, ok, known[i])
				case ok && (i < r.from.pos || i >= r.to.pos || r.from != at(r.from.pos) || r.to != at(r.to.pos)):
					t.Fatalf("seed %d: position %d: %+v", seed, i, r)
				case ok && !forgot && (r.from.pos > 0 && known[r.from.pos-1] || r.to.pos < 1000 && known[r.to.pos]):
					t.Fatalf("seed %d: position %d: %+v could reach further", seed, i, r)
				}
			}
			if list := s.checked.list.Load(); list != nil && len(*list) > maxStretches {
				t.Fatalf("seed %d: %d stretches", seed, len(*list))
			}
		}
		s.checked.forget()
		if _, ok := s.checkedAt(500); ok {
			t.Fatal("forgotten, and yet known")
		}
	}
}

// TestStretchBehindForget: what was found right before all was forgotten is not remembered behind it, and what was found
// since then is.
func TestStretchBehindForget(t *testing.T) {
	var s segment
	r := stretch{spot{0, 0}, spot{100, 10}}
	before := s.checked.gen.Load()
	s.checked.forget()
	s.checked.add(r, before)
	if _, ok := s.checkedAt(50); ok {
		t.Fatal("bytes that were looked at before they were found damaged are known to be right")
	}
	s.checked.add(r, s.checked.gen.Load())
	if _, ok := s.checkedAt(50); !ok {
		t.Fatal("never known again")
	}
}
