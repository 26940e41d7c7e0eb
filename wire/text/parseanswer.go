package text

import (
	"bytes"
	"fmt"
	"iter"
	"math"
)

// AnswerKind is an answer's first word.
type AnswerKind uint8

const (
	AnswerOK AnswerKind = iota + 1
	AnswerRec
	AnswerData
	AnswerErr
)

var answerNames = [...]string{AnswerOK: "OK", AnswerRec: "REC", AnswerData: "DATA", AnswerErr: "ERR"}

// String is the word as a line spells it; "" for the zero kind.
func (k AnswerKind) String() string {
	if int(k) < len(answerNames) {
		return answerNames[k]
	}
	return "?"
}

// Answer is one parsed answer line. It is meant to be used again: ParseAnswer sets every field. It keeps a view of the
// line for Uint, Int, Str, Fields and Err, and dies with it.
type Answer struct {
	Kind AnswerKind
	N    int64 // DATA: length in bytes. REC: the value's length, -1 null. Else 0

	// REC only. Key is the key's length in bytes, -1 null; Time is Unix ms; Headers counts headers that were left out.
	Offset       uint64
	Time         int64
	Key, Headers int64

	// ERR only.
	Code Code
	Text string

	fields []byte // the name=value words, each with the space before it
}

// ParseAnswer reads one answer's line, given without its EOL. Names it does not know are kept, for Uint and the like;
// anything else that the grammar does not have is an error, an unknown code too. Behind an error the position in the
// stream is unknown, and the connection of no more use. Only ERR allocates, for its text.
//
// No length has met a limit yet: the caller bounds Payload before it makes room for it.
func ParseAnswer(line []byte, a *Answer) error {
	*a = Answer{}
	if len(line) >= MaxLine {
		return fmt.Errorf("answer line too long: %d bytes, at most %d", len(line), MaxLine-1)
	}
	for i, c := range line {
		if c < ' ' || c >= 0x7f {
			return badAnswer(line, "byte "+column(i)+" is no printable ASCII")
		}
	}
	word, rest := cutWord(line)
	switch string(word) {
	case "OK":
		a.Kind = AnswerOK
		return a.setFields(line, rest)
	case "REC":
		a.Kind = AnswerRec
		return a.parseRec(line, rest)
	case "DATA":
		a.Kind = AnswerData
		return a.parseData(line, rest)
	case "ERR":
		a.Kind = AnswerErr
		return a.parseErr(line, rest)
	}
	return badAnswer(line, "it begins with none of OK, REC, DATA, ERR")
}

func badAnswer(line []byte, why string) error {
	return fmt.Errorf("not an answer of this protocol: %s: %s", quote(line), why)
}

// cutWord gives the first word and what follows it, the space included.
func cutWord(line []byte) (word, rest []byte) {
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

func (a *Answer) parseData(line, rest []byte) error {
	if len(rest) == 0 {
		return badAnswer(line, "the length is missing")
	}
	word, rest := cutWord(rest[1:])
	n, ok := ParseNumber(word)
	if !ok {
		return badAnswer(line, "the length is no number")
	}
	a.N = n
	return a.setFields(line, rest)
}

func (a *Answer) parseRec(line, rest []byte) error {
	if err := a.setFields(line, rest); err != nil {
		return err
	}
	for _, f := range [...]struct {
		name string
		dst  *int64
		must bool
	}{{"time", &a.Time, true}, {"key", &a.Key, true}, {"n", &a.N, true}, {"headers", &a.Headers, false}} {
		v, ok := a.find(f.name)
		if !ok && !f.must {
			continue
		}
		if *f.dst, ok = parseInt(v); !ok {
			return badAnswer(line, f.name+" is missing or no number")
		}
	}
	var ok bool
	if a.Offset, ok = a.Uint("offset"); !ok {
		return badAnswer(line, "offset is missing or no number")
	}
	if a.Key < -1 || a.N < -1 || a.Headers < 0 || a.Key > 0 && a.N > math.MaxInt64-a.Key {
		return badAnswer(line, "a length is out of range")
	}
	return nil
}

func (a *Answer) parseErr(line, rest []byte) error {
	if len(rest) == 0 {
		return badAnswer(line, "the code is missing")
	}
	word, rest := cutWord(rest[1:])
	if a.Code = lookupCode(word); a.Code == 0 {
		return badAnswer(line, "the code is unknown")
	}
	// The first lone "-" ends the fields: none of them can hold a space. The text may well have more of it.
	fields, text, ok := bytes.Cut(rest, []byte(" - "))
	if !ok {
		return badAnswer(line, "the text is missing")
	}
	a.Text = string(text)
	return a.setFields(line, fields)
}

// setFields checks the name=value words, and keeps them.
func (a *Answer) setFields(line, fields []byte) error {
	for rest := fields; len(rest) > 0; {
		var word []byte
		before := fields[:len(fields)-len(rest)]
		word, rest = cutWord(rest[1:])
		name, value, ok := bytes.Cut(word, []byte{'='})
		if !ok || len(name) == 0 {
			return badAnswer(line, "a word is no name=value")
		}
		if _, twice := findField(before, name); twice {
			return badAnswer(line, "a name stands twice")
		}
		if !escapesFine(value) {
			return badAnswer(line, "a value's percent-encoding is wrong")
		}
	}
	a.fields = fields
	return nil
}

func findField[T ~string | ~[]byte](fields []byte, name T) ([]byte, bool) {
	for len(fields) > 0 {
		var word []byte
		word, fields = cutWord(fields[1:])
		if len(word) > len(name) && word[len(name)] == '=' && string(word[:len(name)]) == string(name) {
			return word[len(name)+1:], true
		}
	}
	return nil, false
}

func (a *Answer) find(name string) ([]byte, bool) { return findField(a.fields, name) }

// Payload is the number of bytes that follow the line before their own EOL; -1: this answer has none, and no EOL follows.
func (a *Answer) Payload() int64 {
	switch a.Kind {
	case AnswerRec:
		return max(a.Key, 0) + max(a.N, 0)
	case AnswerData:
		return a.N
	}
	return -1
}

// Uint gives the number behind name; false if there is none, or no number from 0 to 2^64-1.
func (a *Answer) Uint(name string) (uint64, bool) {
	v, ok := a.find(name)
	if !ok {
		return 0, false
	}
	return parseUint(v)
}

// Int gives the number behind name, which may be negative; false if there is none, or no number of 64 bits.
func (a *Answer) Int(name string) (int64, bool) {
	v, ok := a.find(name)
	if !ok {
		return 0, false
	}
	return parseInt(v)
}

// Str gives the value behind name, its percent-encoding taken off; false if there is none.
func (a *Answer) Str(name string) (string, bool) {
	v, ok := a.find(name)
	if !ok {
		return "", false
	}
	return mustUnescape(v), true
}

// Fields goes over all names and decoded values, in the line's order.
func (a *Answer) Fields() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest := a.fields; len(rest) > 0; {
			var word []byte
			word, rest = cutWord(rest[1:])
			name, value, _ := bytes.Cut(word, []byte{'='})
			if !yield(string(name), mustUnescape(value)) {
				return
			}
		}
	}
}

// Err gives an ERR as the server's error, with nothing of the line in it; nil for any other answer.
func (a *Answer) Err() *Error {
	if a.Kind != AnswerErr {
		return nil
	}
	e := &Error{Code: a.Code, Text: a.Text, Skip: -1}
	for name, value := range a.Fields() {
		e.Fields = append(e.Fields, Field{name, value})
	}
	return e
}
