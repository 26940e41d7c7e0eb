package client_test

import (
	"errors"
	"fmt"
	"testing"

	"sluice/client"
	"sluice/wire/batch"
)

// FuzzServer lets a server say anything at all behind its greeting. Whatever it is, the client ends, in bounded memory,
// and a Consumer yields offsets that follow each other, where it steps over gaps, too.
func FuzzServer(f *testing.F) {
	good := stored(10, 0, batch.None, "a", "b", "c")
	f.Add(fmt.Appendf(nil, "DATA %d from=10 next=13 end=13 synced=13 epoch=0\r\n%s\r\n", len(good), good))
	f.Add(fmt.Appendf(nil, "DATA %d from=10 next=13 end=99 synced=13 epoch=0\r\n%s\r\nDATA 0", len(good), good[:50]))
	f.Add([]byte("OK first=0 next=1 ack=written synced=0\r\n"))
	f.Add([]byte("OK first=0 next=1 ack=everything synced=0\r\n"))
	f.Add([]byte("ERR CORRUPT from=10 next=10 - a range of nothing\r\n"))
	f.Add(fmt.Appendf(nil, "ERR CORRUPT from=7 next=12 - damaged\r\nDATA %d from=12 next=13 end=13\r\n%s\r\n", len(good), good))
	f.Add([]byte("ERR CORRUPT from=10 next=9223372036854775807 - damaged\r\nERR CORRUPT from=0 next=18446744073709551615 - damaged\r\n"))
	f.Add([]byte("ERR OUT_OF_RANGE oldest=13 next=15 - gone\r\nERR NO_TOPIC - no\r\n"))
	f.Add([]byte("ERR SHUTTING_DOWN - bye\r\n"))
	f.Add([]byte("DATA 9999999999 from=0 next=1 end=1\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		bubble(t, func(t *testing.T) {
			script := func(p *peer) {
				_, _ = p.nc.Write(said) // the client may have heard enough
			}
			fake := startReader(t, script)
			o := fake.options()
			o.Retry.For = -1
			c := fake.client(o)
			consumer, err := c.Consumer("t", client.ConsumerOptions{From: client.Offset(10), MaxDecoded: 1 << 20})
			must(t, err)
			next := uint64(10)
			for r, err := range consumer.Records(t.Context()) {
				if gap, ok := errors.AsType[*client.GapError](err); ok {
					if gap.From != next || gap.Next <= next {
						t.Errorf("at offset %d a gap [%d, %d)", next, gap.From, gap.Next)
					}
					next = gap.Next
					consumer.Seek(next)
				}
				if err != nil {
					continue
				}
				if r.Offset != next {
					t.Errorf("offset %d was due, not %d", next, r.Offset)
				}
				next++
			}
			for _, ack := range []client.Ack{client.AckDefault, client.AckNone} {
				p, err := c.Producer("t", client.ProducerOptions{Ack: ack})
				must(t, err)
				_, _ = p.Append(t.Context(), rec("a")) // any outcome will do, as long as there is one
				_ = p.Close(t.Context())               // as above
			}
			_, _ = c.Head(t.Context(), "t")     // the first connection answers PING only; the next says what it likes
			_, _ = c.Topics(t.Context())        // as above
			_, _ = c.Stats(t.Context())         // as above
			_, _ = c.Flush(t.Context(), "t")    // as above
			_ = c.Create(t.Context(), "t", nil) // as above
			must(t, c.Close())
		})
	})
}
