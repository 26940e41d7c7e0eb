package kafka

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/batch"
)

// rounds is how many messages of each version are compared.
const rounds = 40

// seeded gives a test random numbers that are the same each time: what chance finds is no verdict on a change.
func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 1)) }

// word is a string of up to 300 bytes, so that compact lengths have one byte or two.
func word(rng *rand.Rand) string {
	return strings.Repeat("w", 1+rng.IntN(20)*rng.IntN(16))
}

func records(rng *rand.Rand) []byte {
	switch rng.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, rng.IntN(400))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// tagged gives some messages tags that nobody knows.
func tagged(rng *rand.Rand, t *kmsg.Tags, flexible bool) {
	for n := rng.IntN(6) - 3; n > 0 && flexible; n-- {
		t.Set(100+rng.Uint32N(1000), make([]byte, rng.IntN(300)))
	}
}

// eachVersion runs f for each served version of a key.
func eachVersion(t *testing.T, k Key, f func(t *testing.T, version int16)) {
	for v := int16(0); v <= lookup(k).Max; v++ {
		if Serves(k, v) {
			t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) { f(t, v) })
		}
	}
}

// allocated is how many bytes of memory f takes. Whatever else the process does meanwhile counts too, so the least of a few tries is taken.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// oneBatchOf is a batch as a producer sends it.
func oneBatchOf(t testing.TB, codec batch.Codec, n int) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(nil)
	for i := range n {
		b.Add(1000+int64(i), []byte("key"), []byte("value"), nil)
	}
	out, err := b.Finish(codec)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// resum mends the checksum of a whole batch.
func resum(b []byte) []byte {
	h := batch.ReadHeader(b)
	batch.SetProducer(b, h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	return b
}

// shuffled fills the structure that p points to with random values, but for the version. It is a test's way to any message of kmsg.
func shuffled(rng *rand.Rand, v reflect.Value, flexible bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && v.Type().Field(i).Name != "Version" {
				shuffled(rng, f, flexible)
			}
		}
		if t, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			tagged(rng, t, flexible)
		}
	case reflect.Slice:
		n := rng.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			shuffled(rng, v.Index(i), flexible)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		shuffled(rng, v.Elem(), flexible)
	case reflect.String:
		v.SetString(word(rng))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(rng.Uint32N(256)))
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(int8(rng.Uint32())))
	}
}

// be32 is a number as frames have it.
func be32(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
