package text

import "bytes"

// LooksLikeHTTP tells whether a line is a piece of HTTP: its last word begins with "HTTP/", its first word ends with
// ':' (a header), or it is an HTTP method with a path. A browser can be made to send such lines here by any web page,
// with requests of ours in what follows them, so the server closes the connection without reading on.
//
// No line that Parse accepts looks like HTTP, so it is enough to ask after Parse has refused one. That is also why
// "HEAD HTTP/3", which is partition 3 of a topic, passes: no browser ends a line that way.
func LooksLikeHTTP(line []byte) bool {
	first, rest, more := bytes.Cut(line, space)
	if len(first) > 0 && first[len(first)-1] == ':' {
		return true
	}
	last := line[bytes.LastIndexByte(line, ' ')+1:]
	if version, ok := bytes.CutPrefix(last, []byte("HTTP/")); ok {
		if _, number := ParseNumber(version); !number {
			return true
		}
	}
	return more && len(rest) > 0 && rest[0] == '/' && httpMethod(first)
}

var space = []byte{' '}

func httpMethod(word []byte) bool {
	var up [len("OPTIONS")]byte
	if len(word) > len(up) {
		return false
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	switch string(up[:len(word)]) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return true
	}
	return false
}
