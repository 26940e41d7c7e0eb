package text

import (
	"math"
	"time"
	"unsafe"
)

// Parse reads one request's line, given without its EOL, into r. It returns nil if the line is fine, and then it has
// allocated nothing. The error is the answer to send: BAD_COMMAND, or BAD_TOPIC if that is all that is wrong. With an
// error only r.Verb, and for MSG and BATCH r.Ack, are of use, both as far as they could be read.
//
// The blank lines between requests are for the caller to pass over: here an empty line is an error.
func Parse(line []byte, r *Request) *Error {
	r.reset()
	if len(line) >= MaxLine {
		return LineTooLong()
	}
	p := parser{line: line, r: r}
	e := p.parse()
	if e != nil {
		p.settle(e)
	}
	return e
}

// LineTooLong is the answer to a line that does not end within MaxLine bytes.
func LineTooLong() *Error {
	return &Error{Code: CodeBadCommand, Text: "line too long: use at most 4096 bytes with its end", Skip: -1, Close: true}
}

// parser goes over the line once, from left to right. pos is the end of the last word.
type parser struct {
	line  []byte
	r     *Request
	form  *form
	pos   int
	args  int  // so many arguments were there
	named bool // a name=value was there
	seen  nameSet
	topic []byte // as on the line; taken apart last, as every other fault goes before BAD_TOPIC
}

func (p *parser) parse() *Error {
	if e := p.verb(); e != nil {
		return e
	}
	for p.pos < len(p.line) {
		start := p.pos + 1
		end, equals := scanWord(p.line, start)
		if end == start || end < len(p.line) && p.line[end] != ' ' {
			return p.badByte(end)
		}
		p.pos = end
		var e *Error
		switch word := p.line[start:end]; {
		case equals < 0:
			e = p.argument(word)
		case p.r.Verb == VerbCreate || p.r.Verb == VerbAlter:
			e = p.setting(word, equals-start)
		default:
			e = p.option(word, equals-start)
		}
		if e != nil {
			return e
		}
	}
	return p.finish()
}

// scanWord gives the end of the word that begins at start, and the position of its first '=', -1 if there is none.
// A word ends at a space, at the line's end, or at a byte that no line may have.
func scanWord(line []byte, start int) (end, equals int) {
	equals = -1
	for i := start; i < len(line); i++ {
		c := line[i]
		if c <= ' ' || c >= 0x7f {
			return i, equals
		}
		if c == '=' && equals < 0 {
			equals = i
		}
	}
	return len(line), equals
}

func (p *parser) verb() *Error {
	end, _ := scanWord(p.line, 0)
	if end == 0 || end < len(p.line) && p.line[end] != ' ' {
		return p.badByte(end)
	}
	p.pos = end
	p.r.Verb = lookupVerb(p.line[:end])
	if p.r.Verb == 0 {
		return badCommand("unknown verb " + quote(p.line[:end]) + ": use " + builtVerbs)
	}
	if forms[p.r.Verb].usage == "" {
		return badCommand("not supported yet: " + p.r.Verb.String())
	}
	p.form = &forms[p.r.Verb]
	return nil
}

func (p *parser) argument(word []byte) *Error {
	if p.args == len(p.form.args) || p.form.args[p.args] == argNone {
		return p.misuse("unknown argument " + quote(word))
	}
	if p.named {
		return p.misuse("argument " + quote(word) + " after a name")
	}
	var ok bool
	switch p.form.args[p.args] {
	case argTopic, argBare:
		p.topic, ok = word, true
	case argLength:
		p.r.Value, ok = parseLength(word)
	case argBatches:
		p.r.Value, ok = ParseNumber(word)
	case argFrom:
		p.r.From, ok = parseFrom(word)
	}
	if !ok {
		return p.badArgument(word)
	}
	p.args++
	return nil
}

func (p *parser) option(word []byte, equals int) *Error {
	p.named = true
	n := lookupName(word[:equals])
	bit := nameSet(1) << n
	if p.form.names&bit == 0 {
		return p.unknownName(word, equals)
	}
	if p.seen&bit != 0 {
		return p.misuse("name " + quote(word[:equals]) + " given twice")
	}
	p.seen |= bit
	if !p.value(n, word[equals+1:]) {
		return p.bad("bad value " + quote(word) + ": " + string(word[:equals]) + " is " + nameHints[n])
	}
	return nil
}

// value stores an option's value. Words of a closed set, and numbers, never need percent-encoding and have none.
func (p *parser) value(n name, v []byte) (ok bool) {
	r := p.r
	switch n {
	case nameAck:
		r.Ack = lookupAck(v)
		return r.Ack != AckDefault
	case nameKey:
		r.Key, ok = parseLength(v)
	case nameTime:
		r.Time, ok = ParseNumber(v)
		r.HasTime = ok
	case nameLimit:
		r.Limit, ok = ParseNumber(v)
	case nameBytes:
		r.Bytes, ok = ParseNumber(v)
	case nameMin:
		r.Min, ok = ParseNumber(v)
	case nameEpoch:
		r.Epoch, ok = ParseNumber(v)
	case nameWait:
		r.Wait, ok = parseWait(v)
	case nameRaw:
		r.Raw = string(v) == "1"
		return r.Raw
	case nameFormat:
		r.JSON = string(v) == "json"
		return r.JSON || string(v) == "text"
	case nameClient:
		r.Client = v
		return escapesFine(v)
	}
	return ok
}

// parseWait reads a Go duration of 0 and more. The library's parser lets its argument escape, into an error, and so a
// conversion would allocate. The view is safe: result and error are done with before anyone can touch the line.
func parseWait(v []byte) (time.Duration, bool) {
	d, err := time.ParseDuration(unsafe.String(unsafe.SliceData(v), len(v)))
	return d, err == nil && d >= 0
}

func (p *parser) setting(word []byte, equals int) *Error {
	p.named = true
	r, label, value := p.r, word[:equals], word[equals+1:]
	if equals == 0 {
		return p.unknownName(word, equals)
	}
	for i := range r.Settings {
		if string(r.Settings[i].Name) == string(label) {
			return p.misuse("name " + quote(label) + " given twice")
		}
	}
	if len(r.Settings) == MaxPairs {
		return p.misuse("more than 32 settings, " + quote(label) + " is one too many")
	}
	if !escapesFine(value) {
		return p.bad("bad value " + quote(word) + ": percent-encode with % and two hex digits")
	}
	r.pairs[len(r.Settings)] = Pair{label, value}
	r.Settings = r.pairs[:len(r.Settings)+1]
	return nil
}

// finish checks what only the whole line can tell.
func (p *parser) finish() *Error {
	r := p.r
	if p.args < p.form.required {
		return p.misuse("missing " + argWords[p.form.args[p.args]])
	}
	if r.Verb == VerbAlter && len(r.Settings) == 0 {
		return p.misuse("missing name=value")
	}
	if r.Key > 0 && r.Value > math.MaxInt64-r.Key {
		return p.bad("key and n are more than 9223372036854775807 bytes together: send less")
	}
	if r.Verb == VerbTail && p.args == 1 {
		r.From = From{Kind: FromNewest}
	}
	if p.topic == nil {
		return nil
	}
	return p.splitTopic()
}

func (p *parser) splitTopic() *Error {
	name, partition, why := p.topic, int32(0), ""
	if p.form.args[0] == argTopic {
		name, partition, why = splitTopic(p.topic)
	} else if why = topicFault(p.topic); why != "" && hasSlash(p.topic) {
		why = "has a partition: " + p.r.Verb.String() + " takes the topic alone"
	}
	if why != "" {
		return &Error{Code: CodeBadTopic, Text: p.r.Verb.String() + ": topic " + quote(p.topic) + " " + why}
	}
	p.r.Topic, p.r.Partition = name, partition
	return nil
}
