package text

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// MaxTopic is the length of the longest topic name, bytes: with a suffix of ours it still fits a directory entry.
const MaxTopic = 249

const topicRule = "use 1 to 249 of A-Z a-z 0-9 . _ -"

// CheckTopic tells whether a client may use the name: 1 to MaxTopic of A-Z a-z 0-9 . _ -, neither "." nor "..", and
// not beginning with "__", which the server keeps for itself. The error is one sentence and says which rule is broken.
func CheckTopic(name []byte) error {
	if why := topicFault(name); why != "" {
		return errors.New("topic " + quote(name) + " " + why)
	}
	return nil
}

// topicFault is CheckTopic without the sentence: "" is fine.
func topicFault(name []byte) string {
	switch {
	case len(name) == 0:
		return "has no name: " + topicRule
	case len(name) > MaxTopic:
		return "is too long: " + topicRule
	case name[0] == '.' && (len(name) == 1 || string(name) == ".."):
		return "is a directory's own name: choose another"
	case name[0] == '_' && len(name) > 1 && name[1] == '_':
		return "begins with __, which only the server's own topics do: choose another"
	}
	for _, c := range name {
		if !topicByte[c] {
			return "has a character no topic has: " + topicRule
		}
	}
	return ""
}

var topicByte = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-" {
		t[c] = true
	}
	return t
}()

// ParseTopic takes "topic" or "topic/3" apart. Without "/" the partition is 0. The error is one sentence.
func ParseTopic(word []byte) (name []byte, partition int32, err error) {
	name, partition, why := splitTopic(word)
	if why != "" {
		return nil, 0, errors.New("topic " + quote(word) + " " + why)
	}
	return name, partition, nil
}

func splitTopic(word []byte) (name []byte, partition int32, why string) {
	slash := bytes.IndexByte(word, '/')
	if slash < 0 {
		return word, 0, topicFault(word)
	}
	n, ok := ParseNumber(word[slash+1:])
	if !ok || n > math.MaxInt32 {
		return nil, 0, "has a bad partition: after / comes a number from 0 to 2147483647"
	}
	return word[:slash], int32(n), topicFault(word[:slash])
}

// AppendTopic appends "topic" for partition 0, else "topic/3".
func AppendTopic[T ~string | ~[]byte](dst []byte, name T, partition int32) []byte {
	dst = append(dst, name...)
	if partition == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, '/'), int64(partition), 10)
}
