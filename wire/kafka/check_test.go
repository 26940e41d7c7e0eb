package kafka

import (
	"bytes"
	"testing"

	"sluice/wire/batch"
)

// patched is a copy of b with p written at pos.
func patched(b []byte, pos int, p ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[pos:], p)
	return b
}

// sealed is patched with the checksum mended.
func sealed(b []byte, pos int, p ...byte) []byte { return resum(patched(b, pos, p...)) }

// Shows that each way in which a client's batch can be wrong has the code that Kafka's clients know for it, in Kafka's order where
// several are.
func TestE4BatchCodes(t *testing.T) {
	good := oneBatchOf(t, batch.None, 2)
	zstd := sealed(good, 22, 4)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	cut := len(good) - 1
	for _, c := range []struct {
		name    string
		version int16
		b       []byte
		want    Code
	}{
		{"good", 11, good, NoError},
		{"lz4", 3, oneBatchOf(t, batch.LZ4, 9), NoError},
		{"zstd", 7, zstd, NoError},
		{"idempotent", 11, sealed(good, 43, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 7), NoError},
		{"leader epoch set", 11, patched(good, 12, 0, 0, 0, 9), NoError},
		{"null", 11, nil, InvalidRecord},
		{"empty", 11, []byte{}, InvalidRecord},
		{"only a length", 11, good[:12], InvalidRecord},
		{"cut off", 11, good[:cut], InvalidRecord},
		{"cut off and too large", 11, patched(good, 8, 0x7f, 0xff, 0xff, 0xff)[:cut], InvalidRecord},
		{"two", 11, join(good, good), InvalidRecord},
		{"two, the first wrong", 11, join(patched(good, 17, 1), good), InvalidRecord},
		{"magic 1", 11, patched(good, 16, 1), InvalidRecord},
		{"magic 0 and small", 11, patched(patched(good, 8, 0, 0, 0, 20), 16, 0), InvalidRecord},
		{"zstd too early", 6, zstd, UnsupportedCompression},
		{"zstd too early, base", 6, patched(zstd, 7, 1), UnsupportedCompression},
		{"base 1", 11, patched(good, 7, 1), InvalidRecord},
		{"base -1, checksum", 11, patched(good, 0, 255, 255, 255, 255, 255, 255, 255, 255), InvalidRecord},
		{"too large", 11, oneBatchOf(t, batch.None, 100), MessageTooLarge},
		{"too large, checksum", 11, patched(oneBatchOf(t, batch.None, 100), 17, 1), MessageTooLarge},
		{"length 48", 11, patched(good, 8, 0, 0, 0, 48), CorruptMessage},
		{"length -1", 11, patched(good, 8, 255, 255, 255, 255), CorruptMessage},
		{"checksum", 11, patched(good, 17, 1), CorruptMessage},
		{"checksum, count", 11, patched(good, 57, 9), CorruptMessage},
		{"left over", 11, join(good, []byte{0}), InvalidRecord},
		{"left over, checksum", 11, join(patched(good, 17, 1), []byte{0}), CorruptMessage},
		{"count 0", 11, sealed(good, 57, 0, 0, 0, 0), InvalidRecord},
		{"count 3", 11, sealed(good, 57, 0, 0, 0, 3), InvalidRecord},
		{"count and delta lie", 11, sealed(sealed(good, 57, 0, 0, 0, 3), 23, 0, 0, 0, 2), InvalidRecord},
		{"delta -1", 11, sealed(good, 23, 255, 255, 255, 255), InvalidRecord},
		{"control", 11, sealed(good, 22, 0x20), InvalidRecord},
		{"control, codec", 11, sealed(good, 22, 0x25), InvalidRecord},
		{"no sequence", 11, sealed(good, 43, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 255, 255, 255, 255), InvalidRecord},
		{"no epoch", 11, sealed(good, 43, 0, 0, 0, 0, 0, 0, 0, 5, 255, 255, 0, 0, 0, 0), InvalidRecord},
		{"codec 5", 11, sealed(good, 22, 5), UnsupportedCompression},
		{"codec 7, time type", 11, sealed(good, 22, 15), UnsupportedCompression},
		{"time type", 11, sealed(good, 22, 8), InvalidTimestamp},
		{"transactional", 11, sealed(good, 22, 0x10), InvalidTxnState},
		{"unknown bit", 11, sealed(good, 21, 0x80), InvalidRecord},
		{"record", 11, sealed(good, 61, 1), InvalidRecord},
	} {
		h, code, err := CheckBatch(c.b, c.version, 300)
		if code != c.want || (err == nil) != (c.want == NoError) {
			t.Errorf("%s: %v, %v, want %v", c.name, code, err, c.want)
		}
		if err == nil && (h.Size != len(c.b) || h != batch.ReadHeader(c.b)) {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
}
