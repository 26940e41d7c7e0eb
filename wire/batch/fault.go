package batch

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrShort means that bytes are missing: fewer than a header, or than the batch claims. Reading on may bring them.
var ErrShort = errors.New("batch: fewer bytes than the batch needs; read on, or send it whole")

// ErrDecodedTooLarge means that the decoded records don't fit under the cap given to Reader.Reset.
var ErrDecodedTooLarge = errors.New("batch: the decoded records are larger than the limit; raise the limit, or read the batch undecoded")

// Kind tells faults apart where a protocol has an answer of its own for them.
type Kind uint8

// The kinds. Everything that has no name here is Malformed.
const (
	Malformed Kind = iota
	Checksum
	TooSmall      // it claims fewer bytes than a header has
	TooLarge      // larger than whoever takes it allows
	UnknownCodec  // 5 to 7
	ServerTime    // its time type is one that only a server sets
	Transactional // it belongs to a transaction
)

// Fault tells what is wrong with a batch. No later byte can mend it.
type Fault struct {
	Kind  Kind
	Batch int    // index of the batch in its payload, from 0
	Pos   int    // byte position of that batch in the payload
	Why   string // the rest of a sentence about the batch
}

func (f *Fault) Error() string {
	return fmt.Sprintf("batch %d at byte %d is refused: %s", f.Batch, f.Pos, f.Why)
}

// faultf stays out of line: its arguments are boxed, which must not weigh on the paths that find nothing wrong.
//
//go:noinline
func faultf(format string, args ...any) *Fault {
	return &Fault{Why: fmt.Sprintf(format, args...)}
}

func (f *Fault) of(k Kind) *Fault {
	f.Kind = k
	return f
}

// recordFault is faultf for the record with that index in its batch.
//
//go:noinline
func recordFault(index int32, format string, args ...any) *Fault {
	return &Fault{Why: fmt.Sprintf("record %d: ", index) + fmt.Sprintf(format, args...)}
}

func bytesAre(n int) string {
	if n == 1 {
		return "1 byte is"
	}
	return strconv.Itoa(n) + " bytes are"
}
