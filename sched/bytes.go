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
	sem     *semaphore.Weighted
	classes [leaseMaxBits + 1]sync.Pool // by size class: 1<<i bytes
}

// NewBytes returns a budget of total bytes.
func NewBytes(total int64) *Bytes {
	return &Bytes{total: total, sem: semaphore.NewWeighted(total)}
}

// Buf is one leased buffer. It belongs to one goroutine at a time.
type Buf struct {
	B      []byte // as long as asked for; its capacity is the class, and may be used
	class  int
	budget *Bytes
}

// Lease waits until the budget has room for n bytes, rounded up to a power of
// two, and returns a buffer that is not cleared. It fails when ctx ends first,
// and at once when n is more than LeaseMax or the whole budget could ever hold.
func (b *Bytes) Lease(ctx context.Context, n int) (*Buf, error) {
	if n < 0 || n > LeaseMax {
		return nil, fmt.Errorf("sched: a lease of %d bytes is outside 0 to %d", n, LeaseMax)
	}
	class := max(leaseMinBits, bits.Len(uint(max(n, 1)-1)))
	size := int64(1) << class
	if size > b.total {
		return nil, fmt.Errorf("sched: a lease of %d bytes can never fit a budget of %d", size, b.total)
	}
	if err := b.sem.Acquire(ctx, size); err != nil {
		return nil, err
	}
	b.used.Add(size)
	buf, _ := b.classes[class].Get().(*Buf)
	if buf == nil {
		buf = &Buf{B: make([]byte, size), class: class, budget: b}
	}
	buf.B = buf.B[:n]
	return buf, nil
}

// Release gives the buffer back. The caller must not touch it afterwards: the
// next lease may already be writing into it.
func (f *Buf) Release() {
	size := int64(1) << f.class
	f.B = f.B[:size]
	if Invariants {
		for i := range f.B {
			f.B[i] = 0xDB // a late reader sees nonsense at once
		}
	}
	f.budget.classes[f.class].Put(f)
	f.budget.used.Add(-size)
	f.budget.sem.Release(size)
}

// Used returns the bytes that are leased now, and the whole budget.
func (b *Bytes) Used() (used, total int64) { return b.used.Load(), b.total }
