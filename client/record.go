package client

import (
	"time"

	"sluice/wire/batch"
)

// Record is one record of a log.
type Record struct {
	Offset  uint64    // given by the server; a Producer ignores it
	Time    time.Time // to the millisecond; a Producer takes the zero time to be the present
	Key     []byte    // nil = none
	Value   []byte    // nil = null
	Headers []Header
}

// Header is a name and a value beside a record. A nil Value is null.
type Header = batch.RecordHeader

// headerFixed bounds what a header adds beside its bytes: two lengths at their widest.
const headerFixed = 10

// sizeOf bounds what the record adds to a batch.
func sizeOf(r *Record) int {
	key, value := len(r.Key), len(r.Value)
	if r.Key == nil {
		key = -1
	}
	if r.Value == nil {
		value = -1
	}
	n := batch.RecordSize(key, value)
	for i := range r.Headers {
		n += headerFixed + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}
