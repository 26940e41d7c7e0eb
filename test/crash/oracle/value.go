package oracle

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// Value names the bytes of one record: the N-th value of a client. No two records of a history are alike. The zero Value
// stands for bytes that no client has made.
type Value struct{ Client, N uint32 }

func (v Value) String() string { return fmt.Sprintf("%d-%d", v.Client, v.N) }

// MarshalText writes a value as it is printed, which keeps histories short.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *Value) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%d-%d", &v.Client, &v.N)
	return err
}

// Encode makes the bytes of a value, which are at least size long: a checksum, the name, and a filling.
func (v Value) Encode(size int) []byte {
	body := v.String() + " "
	if more := size - len(body) - 9; more > 0 {
		body += strings.Repeat(string(rune('a'+v.N%26)), more)
	}
	return fmt.Appendf(nil, "%08x %s", crc32.ChecksumIEEE([]byte(body)), body)
}

// Decode finds the value that made these bytes; the zero Value if a single one of them is different.
func Decode(b []byte) Value {
	sum, body, ok := strings.Cut(string(b), " ")
	if want, err := strconv.ParseUint(sum, 16, 32); !ok || err != nil || len(sum) != 8 || uint32(want) != crc32.ChecksumIEEE([]byte(body)) {
		return Value{}
	}
	var v Value
	if name, _, ok := strings.Cut(body, " "); !ok || v.UnmarshalText([]byte(name)) != nil {
		return Value{}
	}
	return v
}
