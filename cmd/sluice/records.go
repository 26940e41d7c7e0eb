package main

import (
	"bufio"
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"sluice/client"
)

// printer writes records for people and for programs.
type printer struct {
	out  *bufio.Writer
	keys string
	json []byte // of one record, reused

	second int64  // Unix, of the record before
	date   []byte // that second, as text: most records share it with the one before
}

// record writes one. It is no choice made once, as a call through a variable would move each record to the heap.
func (p *printer) record(r *client.Record, asJSON bool) error {
	if asJSON {
		return p.object(r)
	}
	return p.line(r)
}

// line writes "value", or "key SEP value". A record without a key has no separator: append --keys reads it back so.
func (p *printer) line(r *client.Record) error {
	if p.keys != "" && r.Key != nil {
		if _, err := p.out.Write(r.Key); err != nil {
			return err
		}
		if _, err := p.out.WriteString(p.keys); err != nil {
			return err
		}
	}
	if _, err := p.out.Write(r.Value); err != nil {
		return err
	}
	return p.out.WriteByte('\n')
}

// object writes a record as --json has it: offset, time, key, value, headers. Bytes that are no UTF-8 stand in base64
// under the name with 64 behind it; null and absent key and value are left out. It is made by hand, as this is where a
// read --json spends its time.
func (p *printer) object(r *client.Record) error {
	b := strconv.AppendUint(append(p.json[:0], `{"offset":`...), r.Offset, 10)
	b = p.appendTime(append(b, `,"time":"`...), r.Time)
	b = append(b, '"')
	b = appendMember(b, "key", r.Key)
	b = appendMember(b, "value", r.Value)
	for i, h := range r.Headers {
		if i == 0 {
			b = append(b, `,"headers":[{"name":`...)
		} else {
			b = append(b, `,{"name":`...)
		}
		b = appendMember(appendString(b, h.Key), "value", h.Value)
		b = append(b, '}')
	}
	if len(r.Headers) > 0 {
		b = append(b, ']')
	}
	p.json = append(b, '}', '\n')
	_, err := p.out.Write(p.json)
	return err
}

// appendTime appends 2006-01-02T15:04:05.000Z.
func (p *printer) appendTime(b []byte, t time.Time) []byte {
	if second := t.Unix(); len(p.date) == 0 || second != p.second {
		p.second, p.date = second, t.UTC().AppendFormat(p.date[:0], "2006-01-02T15:04:05.")
	}
	ms := t.Nanosecond() / 1e6
	return append(append(b, p.date...), '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z')
}

// appendMember appends ,"name":"value", or nothing for null.
func appendMember(b []byte, name string, value []byte) []byte {
	if value == nil {
		return b
	}
	b = append(append(b, `,"`...), name...)
	if utf8.Valid(value) {
		return appendString(append(b, `":`...), value)
	}
	b = base64.StdEncoding.AppendEncode(append(b, `64":"`...), value)
	return append(b, '"')
}

// appendString appends a JSON string. What is no UTF-8 becomes U+FFFD, which only a header's name can hold here.
func appendString[T ~string | ~[]byte](b []byte, s T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			continue
		} else if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || n > 1 {
				i += n - 1
				continue
			}
		}
		b = appendEscape(append(b, s[from:i]...), s[i])
		from = i + 1
	}
	return append(append(b, s[from:]...), '"')
}

// appendEscape appends a byte that can't stand in a JSON string as it is.
func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c == '\t':
		return append(b, `\t`...)
	case c >= utf8.RuneSelf:
		return append(b, `\ufffd`...)
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
