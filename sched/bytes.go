package sched

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	leaseMinBits = 12 // 4 KiB: below that, the bookkeeping costs more than the bytes
	leaseMaxBits = 27
	// LeaseMax is the largest single lease: a 64 MiB batch and the line before it.
	LeaseMax = 1 << leaseMaxBits
)

// Bytes is a budget of memory that is handed out as reusable buffers. Whoever
// finds it used up waits, and so does the client behind it. Any goroutine may
// call its methods.
type Bytes struct {
	total   int64
	used    atomic.Int64
	waiting atomic.Int32
	sem     *semaphore.Weighted
	classes [leaseMaxBits + 1]sync.Pool // by size class: 1<<i bytes
}

// NewBytes returns a budget of total bytes.
func NewBytes(total int64) *Bytes {
	return &Bytes{total: total, sem: semaphore.NewWeighted(total)}
}

// Buf is one leased buffer. It belongs to one goroutine at a time, or its parts do.
type Buf struct {
	B      []byte // as long as asked for; its capacity is the class, and may be used
	class  int
	budget *Bytes
	more   atomic.Int32 // holders beside one
}

// Lease waits until the budget has room for n bytes, rounded up to a power of
// two, and returns a buffer that is not cleared. It fails when ctx ends first,
// and at once when n is more than LeaseMax or the whole budget could ever hold.
func (b *Bytes) Lease(ctx context.Context, n int) (*Buf, error) {
	if n < 0 || n > LeaseMax {
		return nil, fmt.Errorf("sched: a lease of %d bytes is outside 0 to %d", n, LeaseMax)
	}
	class := classOf(n)
	if err := b.Reserve(ctx, int64(1)<<class); err != nil {
		return nil, err
	}
	return b.get(class, n), nil
}

// TryLease is Lease for who would rather do without than wait: nil when the
// budget has no room now.
func (b *Bytes) TryLease(n int) *Buf {
	class := classOf(n)
	if n < 0 || n > LeaseMax || !b.TryReserve(int64(1)<<class) {
		return nil
	}
	return b.get(class, n)
}

// LeaseSize is what a lease of n bytes takes out of a budget.
func LeaseSize(n int) int { return 1 << classOf(n) }

func classOf(n int) int { return max(leaseMinBits, bits.Len(uint(max(n, 1)-1))) }

func (b *Bytes) get(class, n int) *Buf {
	buf, _ := b.classes[class].Get().(*Buf)
	if buf == nil {
		buf = &Buf{B: make([]byte, 1<<class), class: class, budget: b}
	}
	buf.B = buf.B[:n]
	return buf
}

// Retain adds a holder: the buffer is given back only when each of them has released it. A holder calls it, before it
// hands a part of the buffer to another goroutine.
func (f *Buf) Retain() { f.more.Add(1) }

// Release gives the buffer back, once its last holder has called it. The caller must not touch it afterwards: the
// next lease may already be writing into it.
func (f *Buf) Release() {
	if f.more.Add(-1) >= 0 {
		return
	}
	f.more.Store(0)
	size := int64(1) << f.class
	f.B = f.B[:size]
	if Invariants {
		f.B[0] = 0xDB                      // a late reader sees nonsense at once
		for n := 1; n < len(f.B); n *= 2 { // copies: a loop over bytes is slow where coverage counts
			copy(f.B[n:], f.B[:n])
		}
	}
	f.budget.classes[f.class].Put(f)
	f.budget.Free(size)
}

// Used returns the bytes that are leased now, and the whole budget.
func (b *Bytes) Used() (used, total int64) { return b.used.Load(), b.total }

// Wanted tells whether anybody waits for some of the budget.
func (b *Bytes) Wanted() bool { return b.waiting.Load() > 0 }

// Reserve takes n bytes of the budget for memory that is not a buffer of it.
// The caller gives them back with Free. Errors: as Lease.
func (b *Bytes) Reserve(ctx context.Context, n int64) error {
	if n > b.total {
		return fmt.Errorf("sched: %d bytes can never fit a budget of %d", n, b.total)
	}
	if ctx.Err() == nil && b.TryReserve(n) {
		return nil
	}
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return err
	}
	b.used.Add(n)
	return nil
}

// TryReserve is Reserve for who would rather do without than wait. It tells whether the bytes are taken.
func (b *Bytes) TryReserve(n int64) bool {
	if !b.sem.TryAcquire(n) {
		return false
	}
	b.used.Add(n)
	return true
}

// Free gives reserved bytes back.
func (b *Bytes) Free(n int64) {
	b.used.Add(-n)
	b.sem.Release(n)
}
