package text

import "strconv"

// Code is the kind of an error, the word behind "ERR". The zero Code is none.
type Code uint8

// The codes in the order of the protocol's table, which says what each means for the payload and the connection.
const (
	CodeBadCommand Code = iota + 1
	CodeTooLarge
	CodeBadFrame
	CodeBadTopic
	CodeNoTopic
	CodeBadBatch
	CodeBadCRC
	CodeOutOfRange
	CodeCorrupt
	CodeRefused
	CodeFenced
	CodeDiskFull
	CodeLogFailed
	CodeUnknown
	CodeOverloaded
	CodeTimeout
	CodeShuttingDown
	CodeDenied
	CodeExists
	CodeBadSetting
)

var codeNames = [...]string{
	CodeBadCommand: "BAD_COMMAND", CodeTooLarge: "TOO_LARGE", CodeBadFrame: "BAD_FRAME", CodeBadTopic: "BAD_TOPIC",
	CodeNoTopic: "NO_TOPIC", CodeBadBatch: "BAD_BATCH", CodeBadCRC: "BAD_CRC", CodeOutOfRange: "OUT_OF_RANGE",
	CodeCorrupt: "CORRUPT", CodeRefused: "REFUSED", CodeFenced: "FENCED", CodeDiskFull: "DISK_FULL",
	CodeLogFailed: "LOG_FAILED", CodeUnknown: "UNKNOWN", CodeOverloaded: "OVERLOADED", CodeTimeout: "TIMEOUT",
	CodeShuttingDown: "SHUTTING_DOWN", CodeDenied: "DENIED", CodeExists: "EXISTS", CodeBadSetting: "BAD_SETTING",
}

// String is the code as a line spells it; "" for the zero Code.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "?"
}

func lookupCode(word []byte) Code {
	for c := 1; c < len(codeNames); c++ {
		if string(word) == codeNames[c] {
			return Code(c)
		}
	}
	return 0
}

// Field is a name and a value of an ERR line. Value is raw here and percent-encoded on the line.
type Field struct{ Name, Value string }

// Error is an ERR answer, made by Parse or by the server, and got back by the client from Answer.Err.
//
// Skip and Close are the server's orders to itself and not on the line. Skip counts the payload bytes that follow the
// refused line and are to be read over, the EOL behind them not counted; -1: no payload follows, so no EOL either. It is
// as large as the client claimed: who skips needs no memory for it, but may prefer to close the connection. Close: the
// connection ends behind this answer.
type Error struct {
	Code   Code
	Fields []Field
	Text   string
	Skip   int64
	Close  bool
}

// Error is the line without its "ERR ".
func (e *Error) Error() string { return string(appendErrorBody(nil, e, 0)) }

const (
	maxErrorText  = 1024 // bytes of an ERR line's text
	maxErrorValue = 256  // bytes of a value in an ERR line: a setting's name, at worst, which nobody bounds but MaxLine
	maxEcho       = 64   // bytes of a user's word in an error's text
)

// AppendError appends the whole ERR line. req is the request's number on its connection, given where the client would
// not know otherwise which request this answers (ack=none); 0 leaves it out. The line is printable ASCII whatever the
// error holds: control and non-ASCII bytes in the text are percent-encoded, text and values are cut where they are long.
func AppendError(dst []byte, e *Error, req uint64) []byte {
	return AppendEOL(appendErrorBody(append(dst, "ERR "...), e, req))
}

func appendErrorBody(dst []byte, e *Error, req uint64) []byte {
	dst = append(dst, e.Code.String()...)
	if req > 0 {
		dst = AppendUint(dst, "req", req)
	}
	for _, f := range e.Fields {
		dst = appendEscapedMax(appendName(dst, f.Name), f.Value, maxErrorValue)
	}
	return appendText(append(dst, " - "...), e.Text)
}

// appendText keeps '%' and spaces: a word that is echoed in a text was encoded when it was put there. Errors that were
// joined have a line end between them; on one line they are parts of a sentence.
func appendText(dst []byte, s string) []byte {
	end := len(dst) + maxErrorText
	for i := range len(s) {
		if len(dst) >= end {
			return append(dst, "..."...)
		}
		switch c := s[i]; c {
		case ' ', '%':
			dst = append(dst, c)
		case '\n':
			dst = append(dst, "; "...)
		default:
			dst = appendEscapedByte(dst, c)
		}
	}
	return dst
}

// quote puts a user's word into an error's text.
func quote[T ~string | ~[]byte](word T) string { return `"` + echo(word) + `"` }

// echo makes a user's word safe to show: encoded as a value is, and cut.
func echo[T ~string | ~[]byte](word T) string {
	return string(appendEscapedMax(nil, word, maxEcho))
}

func column(at int) string { return strconv.Itoa(at + 1) }
