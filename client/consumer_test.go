package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/client"
	"sluice/wire/batch"
)

// stored makes one stored batch: values from offset base on.
func stored(base uint64, epoch int32, codec batch.Codec, values ...string) []byte {
	var b batch.Builder
	b.Reset(nil)
	for i, v := range values {
		b.Add(1_700_000_000_000+int64(i), []byte("k"), []byte(v), []batch.RecordHeader{{Key: "h", Value: []byte(v)}})
	}
	out, err := b.Finish(codec)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	batch.SetBase(out, base, epoch)
	return out
}

func startReader(t *testing.T, scripts ...func(*peer)) *fake {
	f := startFake(t, scripts...)
	f.roomy = true
	return f
}

// fetch reads a FETCH and fails the test if it isn't the one wanted. False: the client left.
func (p *peer) fetch(want string) bool {
	line := p.line()
	if line == "" {
		return false
	}
	if line != want {
		p.t.Errorf("got %q, want %q", line, want)
	}
	return true
}

// data answers a FETCH.
func (p *peer) data(from, next, end int, batches ...[]byte) {
	b := []byte(strings.Join(asStrings(batches), ""))
	p.say("DATA %d from=%d next=%d end=%d synced=%d epoch=0\r\n%s", len(b), from, next, end, next, b)
}

func asStrings(list [][]byte) (out []string) {
	for _, b := range list {
		out = append(out, string(b))
	}
	return out
}

// read loops to the end, and gives what was yielded: "offset=value", or what kind of error.
func read(t *testing.T, c *client.Consumer, step func(error)) (got []string) {
	for r, err := range c.Records(t.Context()) {
		if err != nil {
			got = append(got, kind(err))
			step(err)
			continue
		}
		got = append(got, fmt.Sprintf("%d=%s", r.Offset, r.Value))
	}
	return got
}

func kind(err error) string {
	var gap *client.GapError
	var corrupt *client.CorruptError
	var out *client.OutOfRangeError
	var fenced *client.FencedError
	var answer *client.Error
	switch damaged := errors.As(err, &corrupt); {
	case damaged && strings.Contains(err.Error(), " at byte "): // of what was fetched, which nobody knows
		return err.Error()
	case errors.As(err, &gap) && damaged:
		return fmt.Sprintf("damaged[%d,%d)", gap.From, gap.Next)
	case errors.As(err, &gap) && errors.As(err, &out):
		return fmt.Sprintf("removed[%d,%d)", gap.From, gap.Next)
	case damaged:
		return fmt.Sprintf("corrupt[%d,%d)", corrupt.From, corrupt.Next)
	case errors.As(err, &out):
		return fmt.Sprintf("%d-is-outside[%d,%d)", out.Offset, out.Oldest, out.Next)
	case errors.As(err, &fenced):
		return fmt.Sprintf("fenced-at-%d", fenced.End)
	case errors.As(err, &answer):
		return answer.Code.String()
	case errors.Is(err, client.ErrProtocol):
		return "protocol"
	default:
		return err.Error()
	}
}

// lying is the batch with another length in its last record: its checksum is right, and that record can't be read.
func lying(b []byte) []byte {
	b = slices.Clone(b)
	last := bytes.LastIndex(b, []byte("\x02k")) // the key's length and the key; before them offset delta, time, attributes, length
	b[last-4]++
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// nobody is the script of a connection that must not be made.
func nobody(p *peer) { p.t.Error("another connection was made") }

const ask = "FETCH t %s bytes=1048576"

func asking(from string) string { return fmt.Sprintf(ask, from) }

func TestReadsAcrossEverything(t *testing.T) {
	abc := stored(10, 3, batch.None, "a", "b", "c")
	de := stored(13, 3, batch.LZ4, "d", "e")
	broken := stored(13, 3, batch.None, "d", "e")
	broken[len(broken)-1] ^= 1
	short := func(p *peer) { // dies in the middle of the bytes
		p.fetch(asking("11"))
		_, _ = fmt.Fprintf(p.nc, "DATA %d from=11 next=13 end=15 synced=0 epoch=0\r\n%s", len(abc), abc[:20])
	}
	for _, c := range []struct {
		name    string
		options client.ConsumerOptions
		scripts []func(*peer)
		want    string
	}{
		{"from the middle of a batch", client.ConsumerOptions{From: client.Offset(11)}, []func(*peer){func(p *peer) {
			p.fetch(asking("11"))
			p.data(11, 15, 15, abc, de)
			p.drain()
		}}, "11=b 12=c 13=d 14=e"},
		{"the end as it was at first", client.ConsumerOptions{}, []func(*peer){func(p *peer) {
			p.fetch(asking("oldest"))
			p.data(10, 13, 13, abc)
			p.drain()
		}}, "10=a 11=b 12=c"},
		{"limit", client.ConsumerOptions{Limit: 2, From: client.Last(3)}, []func(*peer){func(p *peer) {
			p.fetch(asking("-3"))
			p.data(10, 13, 30, abc)
			p.drain()
		}}, "10=a 11=b"},
		{"an empty log", client.ConsumerOptions{From: client.Newest()}, []func(*peer){func(p *peer) {
			p.fetch(asking("newest"))
			p.data(7, 7, 7)
			p.drain()
		}}, ""},
		{"a connection that dies before, inside and after an answer", client.ConsumerOptions{From: client.Offset(11), Prefetch: 1},
			[]func(*peer){unreachable, func(p *peer) { p.line() }, short, short, func(p *peer) {
				p.fetch(asking("11"))
				p.data(11, 13, 15, abc)
			}, func(p *peer) {
				p.fetch(asking("13") + " epoch=3")
				p.data(13, 15, 15, de)
				p.drain()
			}}, "11=b 12=c 13=d 14=e"},
		{"retried answers", client.ConsumerOptions{From: client.Offset(13)}, []func(*peer){func(p *peer) {
			p.fetch(asking("13"))
			p.say("ERR OVERLOADED - too many")
		}, func(p *peer) {
			p.fetch(asking("13"))
			p.data(13, 15, 15, de)
			p.drain()
		}}, "13=d 14=e"},
		{"stepping over what the server calls corrupt", client.ConsumerOptions{From: client.Offset(10), Prefetch: 1},
			[]func(*peer){func(p *peer) {
				p.fetch(asking("10"))
				p.say("ERR CORRUPT from=8 next=13 - damaged")
				p.fetch(asking("13")) // on the same connection
				p.data(13, 15, 15, de)
				p.drain()
			}, nobody}, "damaged[10,13) 13=d 14=e"},
		{"damage where the start is no offset yet", client.ConsumerOptions{From: client.Last(7)}, []func(*peer){func(p *peer) {
			p.fetch(asking("-7"))
			p.say("ERR CORRUPT from=8 next=13 - damaged")
			p.fetch(asking("13"))
			p.data(13, 15, 15, de)
			p.drain()
		}, nobody}, "damaged[8,13) 13=d 14=e"},
		{"damage that is none of what was asked for", client.ConsumerOptions{From: client.Offset(10)}, []func(*peer){func(p *peer) {
			p.fetch(asking("10"))
			p.say("ERR CORRUPT from=4 next=10 - damaged")
			p.drain()
		}}, "corrupt[4,10)"},
		{"damage up to the end", client.ConsumerOptions{From: client.Offset(10), Prefetch: 1}, []func(*peer){func(p *peer) {
			p.fetch(asking("10"))
			p.data(10, 13, 15, abc)
			p.fetch(asking("13"))
			p.say("ERR CORRUPT from=13 next=15 - damaged")
			p.drain()
		}, nobody}, "10=a 11=b 12=c damaged[13,15)"},
		{"stepping over what this client finds corrupt", client.ConsumerOptions{From: client.Offset(10), Prefetch: 1},
			[]func(*peer){func(p *peer) {
				p.fetch(asking("10"))
				p.data(10, 15, 16, abc, broken)
				p.drain()
			}, func(p *peer) {
				p.fetch(asking("15"))
				p.data(15, 16, 16, stored(15, 3, batch.None, "f"))
				p.drain()
			}}, "10=a 11=b 12=c damaged[13,15) 15=f"},
		{"stepping over the rest of a batch", client.ConsumerOptions{From: client.Offset(10), Prefetch: 1},
			[]func(*peer){func(p *peer) {
				p.fetch(asking("10"))
				p.data(10, 13, 15, lying(abc))
				p.drain()
			}, func(p *peer) {
				p.fetch(asking("13"))
				p.data(13, 15, 15, de)
				p.drain()
			}}, "10=a 11=b damaged[12,13) 13=d 14=e"},
		{"removed records", client.ConsumerOptions{From: client.Offset(2)}, []func(*peer){func(p *peer) {
			p.fetch(asking("2"))
			p.say("ERR OUT_OF_RANGE oldest=13 next=15 - gone")
			p.fetch(asking("13"))
			p.data(13, 15, 15, de)
			p.drain()
		}, nobody}, "removed[2,13) 13=d 14=e"},
		{"an offset that the log does not have yet", client.ConsumerOptions{From: client.Offset(20)}, []func(*peer){func(p *peer) {
			p.fetch(asking("20"))
			p.say("ERR OUT_OF_RANGE oldest=13 next=15 - the log ends at 15")
			p.drain()
		}}, "20-is-outside[13,15)"},
		{"the end that was there at first is gone", client.ConsumerOptions{From: client.Offset(10), Prefetch: 1}, []func(*peer){func(p *peer) {
			p.fetch(asking("10"))
			p.data(10, 13, 15, abc)
		}, func(p *peer) {
			p.fetch(asking("13") + " epoch=3")
			p.data(13, 13, 13)
			p.drain()
		}}, "10=a 11=b 12=c"},
		{"another log behind the same name", client.ConsumerOptions{From: client.Offset(10), Prefetch: 1}, []func(*peer){func(p *peer) {
			p.fetch(asking("10"))
			p.data(10, 13, 15, abc)
		}, func(p *peer) {
			p.fetch(asking("13") + " epoch=3")
			p.say("ERR FENCED epoch=4 end=12 - the log has diverged")
			p.drain()
		}, func(p *peer) {
			p.fetch(asking("12"))
			p.data(12, 13, 13, stored(12, 4, batch.None, "C"))
			p.drain()
		}}, "10=a 11=b 12=c fenced-at-12 12=C"},
		{"a disk that can't be read is no gap", client.ConsumerOptions{From: client.Offset(10)}, []func(*peer){func(p *peer) {
			p.fetch(asking("10"))
			p.say("ERR LOG_FAILED - the log can't be read there now: input/output error; look at the disk, and ask again")
			p.drain()
		}}, "LOG_FAILED"},
		{"no topic", client.ConsumerOptions{}, []func(*peer){func(p *peer) {
			p.fetch(asking("oldest"))
			p.say("ERR NO_TOPIC - no topic t")
			p.drain()
		}}, "NO_TOPIC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := startReader(t, c.scripts...)
				cl := f.client(f.options())
				consumer, err := cl.Consumer("t", c.options)
				must(t, err)
				got := read(t, consumer, func(err error) {
					var gap *client.GapError
					var fenced *client.FencedError
					switch {
					case errors.As(err, &gap):
						consumer.Seek(gap.Next)
					case errors.As(err, &fenced):
						consumer.Seek(fenced.End)
					}
				})
				if strings.Join(got, " ") != c.want {
					t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
				}
				must(t, cl.Close())
			})
		})
	}
}

// TestC1DamagedHeaders: a batch whose place, length or version was damaged on its way from the disk, which its checksum does
// not cover, is a gap with the nearest end that is known for sure. No record is told under another offset.
func TestC1DamagedHeaders(t *testing.T) {
	a, b, c := stored(10, 3, batch.None, "a", "b"), stored(12, 3, batch.LZ4, "c", "d"), stored(14, 3, batch.None, "e", "f")
	flip := func(b []byte, at int, mask byte) []byte {
		b = slices.Clone(b)
		b[at] ^= mask
		return b
	}
	for _, x := range []struct {
		name    string
		from    int
		batches [][]byte
		want    string
	}{
		{"the base of the first", 10, [][]byte{flip(a, 3, 1), b, c}, "damaged[10,12)"},
		{"of the first, to one that may hold what is due", 11, [][]byte{flip(stored(9, 3, batch.None, "z", "a", "b"), 7, 3), b, c}, "damaged[11,12)"},
		{"of one in the middle", 10, [][]byte{a, flip(b, 3, 1), c}, "10=a 11=b damaged[12,14)"},
		{"of one in the middle, to a little less", 10, [][]byte{a, flip(b, 7, 1), c}, "10=a 11=b damaged[12,14)"},
		{"of the last", 10, [][]byte{a, b, flip(c, 0, 0x80)}, "10=a 11=b 12=c 13=d damaged[14,16)"},
		{"its length", 10, [][]byte{a, flip(b, 10, 0xff), c}, "10=a 11=b damaged[12,16)"},
		{"its version", 10, [][]byte{a, flip(b, 16, 1), c}, "10=a 11=b damaged[12,16)"},
		{"the second is missing", 10, [][]byte{a, c}, "10=a 11=b damaged[12,14)"},
		{"the last is cut", 10, [][]byte{a, b, c[:len(c)-1]}, "10=a 11=b 12=c 13=d damaged[14,16)"},
	} {
		t.Run(x.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := startReader(t, func(p *peer) {
					p.fetch(asking(fmt.Sprint(x.from)))
					p.data(x.from, 16, 16, x.batches...)
					p.drain()
				}, nobody)
				cl := f.client(f.options())
				consumer, err := cl.Consumer("t", client.ConsumerOptions{From: client.Offset(uint64(x.from))})
				must(t, err)
				if got := strings.Join(read(t, consumer, func(error) {}), " "); got != x.want {
					t.Errorf("got %s, want %s", got, x.want)
				}
				must(t, cl.Close())
			})
		})
	}
}

// What no server of the protocol sends is no data: never yielded, never skipped over, told after Retry.For.
func TestReadsNoNonsense(t *testing.T) {
	abc := stored(10, 0, batch.None, "a", "b", "c")
	for name, answer := range map[string]func(*peer){
		"not the offset asked for":    func(p *peer) { p.data(11, 13, 13, abc) },
		"less than announced":         func(p *peer) { p.data(10, 14, 14, abc) },
		"no data, but there is more":  func(p *peer) { p.data(10, 10, 13) },
		"an OK":                       func(p *peer) { p.say("OK next=13") },
		"missing fields":              func(p *peer) { p.say("DATA 0 from=10") },
		"more bytes than any batch":   func(p *peer) { p.say("DATA 9000000000 from=10 next=13 end=13") },
		"no line end behind the data": func(p *peer) { p.say("DATA 3 from=10 next=13 end=13\r\nabcdef") },
		"a line without end":          func(p *peer) { p.say("%s", strings.Repeat("x", 1<<16)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := startReader(t, func(p *peer) {
					for strings.HasPrefix(p.line(), "FETCH") {
						answer(p)
					}
				})
				cl := f.client(f.options())
				consumer, err := cl.Consumer("t", client.ConsumerOptions{From: client.Offset(10)})
				must(t, err)
				got := read(t, consumer, func(error) {})
				if n := len(got); n == 0 || got[n-1] != "protocol" || len(got) > 4 {
					t.Errorf("got %v", got)
				}
				must(t, cl.Close())
			})
		})
	}
}

func TestFollows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startReader(t, func(p *peer) {
			p.fetch(asking("newest")) // resolved at once: what comes later can't be missed
			p.data(10, 10, 10)
			p.fetch(asking("10") + " wait=5s")
			time.Sleep(5 * time.Second)
			p.data(10, 10, 10)
			p.fetch(asking("10") + " wait=5s")
			// and the connection is lost
		}, func(p *peer) {
			p.fetch(asking("10") + " wait=5s")
			time.Sleep(time.Second)
			p.data(10, 13, 13, stored(10, 0, batch.None, "a", "b", "c"))
			p.fetch(asking("13") + " wait=5s")
			p.drain()
		})
		cl := f.client(f.options())
		consumer, err := cl.Consumer("t", client.ConsumerOptions{From: client.Newest(), Follow: true})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got []string
		for r, err := range consumer.Records(ctx) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				got = append(got, "cancelled")
				continue
			}
			got = append(got, string(r.Value))
			if len(got) == 3 {
				cancel()
			}
		}
		if strings.Join(got, " ") != "a b c cancelled" {
			t.Fatalf("%v", got)
		}
		if next, known := consumer.Position(); next != 13 || !known || consumer.End() != 13 {
			t.Fatalf("position %d %v, end %d", next, known, consumer.End())
		}
		must(t, cl.Close())
	})
}

// A loop that is left goes on behind its last record, and leaves no goroutine: the bubble would not end.
func TestLeavingTheLoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startReader(t, func(p *peer) {
			for i := 10; p.line() != ""; i++ {
				p.data(i, i+1, 1000, stored(uint64(i), 0, batch.None, fmt.Sprint(i)))
			}
		}, func(p *peer) {
			p.fetch(asking("12") + " epoch=0")
			p.data(12, 13, 13, stored(12, 0, batch.None, "12"))
			p.drain()
		})
		cl := f.client(f.options())
		consumer, err := cl.Consumer("t", client.ConsumerOptions{From: client.Offset(10)})
		must(t, err)
		for r, err := range consumer.Records(t.Context()) {
			must(t, err)
			if r.Offset == 11 {
				break
			}
		}
		if n := f.left.Load(); n != 1 {
			t.Errorf("%d connections are closed; the loop's own must be, when the loop has ended", n)
		}
		if got := read(t, consumer, func(error) {}); strings.Join(got, " ") != "12=12" {
			t.Fatalf("%v", got)
		}
		must(t, cl.Close())
	})
}

func TestPrefetchIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := 0
		f := startReader(t, func(p *peer) {
			for p.line() != "" {
				asked++
				p.data(asked-1, asked, 1000, stored(uint64(asked-1), 0, batch.None, "x"))
			}
		})
		cl := f.client(f.options())
		consumer, err := cl.Consumer("t", client.ConsumerOptions{Prefetch: 3})
		must(t, err)
		for _, err := range consumer.Records(t.Context()) {
			must(t, err)
			synctest.Wait() // the fetcher has come as far as it may
			if asked != 4 {
				t.Errorf("%d pieces were fetched for one record, Prefetch is 3", asked)
			}
			break
		}
		must(t, cl.Close())
	})
}

// Records stay as they are, unless the bytes are shared.
func TestRecordsStayValid(t *testing.T) {
	for _, codec := range []batch.Codec{batch.None, batch.LZ4} {
		bubble(t, func(t *testing.T) {
			const n = 50
			f := startReader(t, func(p *peer) {
				for i := 0; p.line() != ""; i++ {
					p.data(i, i+1, n, stored(uint64(i), 0, codec, strings.Repeat(fmt.Sprint(i%10), 1+i*300)))
				}
			})
			cl := f.client(f.options())
			consumer, err := cl.Consumer("t", client.ConsumerOptions{Prefetch: 1})
			must(t, err)
			var kept []client.Record
			for r, err := range consumer.Records(t.Context()) {
				must(t, err)
				kept = append(kept, r)
			}
			if len(kept) != n {
				t.Fatalf("%d records", len(kept))
			}
			for i, r := range kept {
				want := strings.Repeat(fmt.Sprint(i%10), 1+i*300)
				if string(r.Value) != want || string(r.Key) != "k" || len(r.Headers) != 1 || string(r.Headers[0].Value) != want {
					t.Fatalf("record %d was overwritten: %.40q", i, r.Value)
				}
				if r.Time.UnixMilli() != 1_700_000_000_000 {
					t.Fatalf("record %d has the time %v", i, r.Time)
				}
			}
			must(t, cl.Close())
		})
	}
}

// A loop that is cancelled says so: it must not look like one that came to the end.
func TestCancelledLoopsSaySo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := startReader(t, (*peer).drain)
		cl := f.client(f.options())
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for range 50 { // where the goroutines meet is left to chance
			consumer, err := cl.Consumer("t", client.ConsumerOptions{})
			must(t, err)
			var got []error
			for _, err := range consumer.Records(cancelled) {
				got = append(got, err)
			}
			if len(got) != 1 || !errors.Is(got[0], context.Canceled) {
				t.Fatalf("%v", got)
			}
		}
		must(t, cl.Close())
	})
}
