package text

import (
	"bytes"
	"math"
)

// What Parse does with a line that is wrong. Nothing here is fast, and nothing here runs for a line that is fine.

func badCommand(text string) *Error { return &Error{Code: CodeBadCommand, Text: text} }

// bad begins with the verb, where it is known.
func (p *parser) bad(what string) *Error {
	if p.form == nil {
		return badCommand(what)
	}
	return badCommand(p.r.Verb.String() + ": " + what)
}

// misuse also shows the verb's correct form.
func (p *parser) misuse(what string) *Error { return p.bad(what + ": use " + p.form.usage) }

func (p *parser) unknownName(word []byte, equals int) *Error {
	if equals == 0 {
		return p.misuse("missing name before " + quote(word))
	}
	return p.misuse("unknown name " + quote(word[:equals]))
}

func (p *parser) badArgument(word []byte) *Error {
	switch p.form.args[p.args] {
	case argLength:
		return p.bad("bad length " + quote(word) + ": n is the value's length in bytes, or -1 for null")
	case argBatches:
		return p.bad("bad length " + quote(word) + ": n is the payload's length in bytes")
	}
	return p.bad("bad from " + quote(word) + ": " + fromHint)
}

// badByte is about a byte that may not stand where it does: a space too many, or what no line may have anywhere.
func (p *parser) badByte(at int) *Error {
	switch {
	case len(p.line) == 0:
		return badCommand("empty line: send a request")
	case at == len(p.line):
		return p.bad("space at the end of the line: put exactly one between words")
	case p.line[at] == ' ':
		return p.bad("space too many at byte " + column(at) + ": put exactly one between words")
	}
	return p.bad("byte " + column(at) + " is " + echo(p.line[at:at+1]) + ": use printable ASCII, and percent-encode the rest")
}

// settle decides what becomes of the payload and the connection. A BAD_COMMAND closes, unless the line carries lengths
// that tell where the next request begins. A BAD_TOPIC is never more than that: the rest of its line was fine.
func (p *parser) settle(e *Error) {
	e.Skip = -1
	lengths := false
	switch p.r.Verb {
	case VerbMsg, VerbBatch:
		if n, ok := p.salvage(); ok {
			e.Skip, lengths = n, true
		}
	}
	e.Close = e.Code == CodeBadCommand && !lengths
}

// salvage reads the lengths of a MSG or BATCH line again, whatever else is wrong with it: n is the second argument, and
// a MSG has at most one key=. A line with two of them says nothing certain, even if both are the same. It also finds
// ack=none, wherever it stands, since a client that asked for no answers needs req= to understand a refusal.
func (p *parser) salvage() (skip int64, ok bool) {
	var args, keys int
	var n, key int64
	nOK, keyOK := false, true
	_, rest, more := bytes.Cut(p.line, space)
	for more {
		var word []byte
		word, rest, more = bytes.Cut(rest, space)
		if v, is := bytes.CutPrefix(word, []byte("key=")); is && p.r.Verb == VerbMsg {
			keys++
			key, keyOK = parseLength(v)
		}
		if string(word) == "ack=none" {
			p.r.Ack = AckNone
		}
		if bytes.IndexByte(word, '=') >= 0 {
			args = max(args, 2) // arguments end where names begin
			continue
		}
		if args++; args == 2 {
			n, nOK = p.length(word)
		}
	}
	n, key = max(n, 0), max(key, 0)
	if !nOK || !keyOK || keys > 1 || n > math.MaxInt64-key {
		return -1, false
	}
	return n + key, true
}

func (p *parser) length(word []byte) (int64, bool) {
	if p.r.Verb == VerbMsg {
		return parseLength(word)
	}
	return ParseNumber(word)
}

func hasSlash(word []byte) bool { return bytes.IndexByte(word, '/') >= 0 }
