package client

import (
	"errors"
	"fmt"
	"strings"

	"sluice/wire/text"
)

// Code is the kind of an error answer, as the protocol names it.
type Code = text.Code

// The codes a caller may meet. BadCommand, BadFrame, TooLarge from this client would be a bug of it or of the server.
const (
	BadCommand   = text.CodeBadCommand
	TooLarge     = text.CodeTooLarge
	BadFrame     = text.CodeBadFrame
	BadTopic     = text.CodeBadTopic
	NoTopic      = text.CodeNoTopic
	BadBatch     = text.CodeBadBatch
	BadCRC       = text.CodeBadCRC
	OutOfRange   = text.CodeOutOfRange
	Corrupt      = text.CodeCorrupt
	Refused      = text.CodeRefused
	Fenced       = text.CodeFenced
	DiskFull     = text.CodeDiskFull
	LogFailed    = text.CodeLogFailed
	Unknown      = text.CodeUnknown
	Overloaded   = text.CodeOverloaded
	Timeout      = text.CodeTimeout
	ShuttingDown = text.CodeShuttingDown
	Denied       = text.CodeDenied
	Exists       = text.CodeExists
	BadSetting   = text.CodeBadSetting
)

var (
	// ErrUnknown: nobody can tell whether it took effect. The records may be in the log, once; sending them again may
	// put them there twice. An error of a Producer that is not ErrUnknown means that nothing of it was appended.
	ErrUnknown = errors.New("outcome unknown")
	// ErrTooLarge: a record is larger than a batch may be. Nothing was sent.
	ErrTooLarge = errors.New("record too large")
	// ErrClosed: the Client, Producer or Consumer was closed before. Nothing was sent.
	ErrClosed = errors.New("closed")
	// ErrStopped: a record before this one failed, and the Producer was told to stop then. Nothing was sent.
	ErrStopped = errors.New("stopped by an earlier failure")
	// ErrProtocol: the other side sent what no server of this protocol sends.
	ErrProtocol = errors.New("not the sluice protocol")
)

// Error is an error answer of the server.
type Error struct {
	Op    string // the request: "append", "fetch", "create" ...
	Topic string // empty where the request has none
	Code  Code
	Text  string // the server's sentence
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Topic != "" {
		b.WriteString(" " + e.Topic)
	}
	fmt.Fprintf(&b, ": %s: %s", e.Code, e.Text)
	return b.String()
}

// Is makes errors.Is(err, ErrUnknown) true for the answer UNKNOWN.
func (e *Error) Is(target error) bool { return target == ErrUnknown && e.Code == Unknown }

// OutOfRangeError: the records asked for are not there: removed, or not yet written.
type OutOfRangeError struct {
	Err          Error  // the answer
	Offset       uint64 // what was asked for
	Oldest, Next uint64 // what there is: [Oldest, Next)
}

// CorruptError: stored records are damaged. Records outside [From, Next) can be read.
type CorruptError struct {
	Err        Error // the answer; or what this client found, as nothing checks bytes between the server's disk and here
	From, Next uint64
}

// FencedError: records that were read are not in the log any more; another epoch has the offsets from End on.
type FencedError struct {
	Err   Error  // the answer
	Epoch int64  // of the log now
	End   uint64 // the first offset at which the log differs from what was read
}

// GapError: a Consumer stands before offsets that have no records to read. Seek(Next) in the loop steps over them.
type GapError struct {
	From, Next uint64 // [From, Next); From is the Consumer's position, or where the damage begins if that is not known yet
	Why        error  // *CorruptError: damaged, or given up in a repair. *OutOfRangeError: removed
}

func (e *GapError) Error() string        { return e.Why.Error() }
func (e *OutOfRangeError) Error() string { return e.Err.Error() }
func (e *CorruptError) Error() string    { return e.Err.Error() }
func (e *FencedError) Error() string     { return e.Err.Error() }

// Unwrap lets errors.As find the reason.
func (e *GapError) Unwrap() error { return e.Why }

// Unwrap lets errors.As find the *Error.
func (e *OutOfRangeError) Unwrap() error { return &e.Err }

// Unwrap lets errors.As find the *Error.
func (e *CorruptError) Unwrap() error { return &e.Err }

// Unwrap lets errors.As find the *Error.
func (e *FencedError) Unwrap() error { return &e.Err }

// noEffect tells of an answer that the request it refuses changed nothing, and that the same request may be
// accepted later: what a retry is for.
func noEffect(c Code) bool {
	switch c {
	case Refused, DiskFull, Overloaded, Timeout, ShuttingDown:
		return true
	default:
		return false
	}
}

// answerError makes the error of an ERR answer. The ranges it carries become typed errors.
func answerError(op, topic string, a *text.Answer) error {
	e := Error{Op: op, Topic: topic, Code: a.Code, Text: a.Text}
	switch a.Code {
	case OutOfRange:
		oldest, ok1 := a.Uint("oldest")
		next, ok2 := a.Uint("next")
		if ok1 && ok2 {
			return &OutOfRangeError{Err: e, Oldest: oldest, Next: next}
		}
	case Corrupt:
		from, ok1 := a.Uint("from")
		next, ok2 := a.Uint("next")
		if ok1 && ok2 && from < next {
			return &CorruptError{Err: e, From: from, Next: next}
		}
	case Fenced:
		epoch, ok1 := a.Int("epoch")
		end, ok2 := a.Uint("end")
		if ok1 && ok2 {
			return &FencedError{Err: e, Epoch: epoch, End: end}
		}
	}
	return &e
}

// protocolError says what was wrong with what the server sent.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// unknown wraps the reason why an outcome is unknown.
func unknown(op, topic string, why error) error {
	if topic != "" {
		op += " " + topic
	}
	return fmt.Errorf("%s: %w: %w", op, ErrUnknown, why)
}
