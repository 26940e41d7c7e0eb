package oracle

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/batch"
	"sluice/wire/kafka"
)

var (
	seed  = flag.Uint64("seed", 1, "of the requests")
	count = flag.Int("requests", fromEnvironment(), "of the requests that are made, and of those with bytes changed; SLUICE_ORACLE_REQUESTS sets it too")
)

// usual is enough for each line of the table to be needed.
const usual = 2500

func fromEnvironment() int {
	if n, err := strconv.Atoi(os.Getenv("SLUICE_ORACLE_REQUESTS")); err == nil {
		return n
	}
	return usual
}

// referee compares what two brokers make of the same requests.
type referee struct {
	ours, theirs *peer
	explained    map[*difference]int
	unexplained  map[string]*example
}

// example is the first of the differences of a kind that nothing explains.
type example struct {
	n, times int
	at       string
	frame    []byte
}

func newReferee(t *testing.T, explained map[*difference]int) *referee {
	r := &referee{explained: explained, unexplained: map[string]*example{}}
	r.ours, r.theirs = startPeers(t)
	for _, p := range []*peer{r.ours, r.theirs} {
		p.fill(t)
	}
	return r
}

// fill gives the topics that are read the same records, and those of producers one.
func (p *peer) fill(t *testing.T) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	batches := func(topic string, partition int32, n int) {
		for range n {
			req := kmsg.NewPtrProduceRequest()
			req.Version, req.Acks = 7, 1
			req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: plain(rng, batch.None)}}}}
			resp := kmsg.NewPtrProduceResponse()
			p.mustAsk(t, req, resp)
			if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
				t.Fatalf("%s: Produce: %v", p.addr, kafka.Code(code))
			}
		}
	}
	batches("fetch", 0, 3)
	batches("fetch", 2, 1)
	for i := range topics["sequence"] / 2 {
		batches("sequence", i, 1)
	}
}

// compare sends a request to both.
func (r *referee) compare(t *testing.T, n int, req request, change func([]byte) []byte) {
	t.Helper()
	frames := [2][]byte{change(frameOf(req.make(r.ours.ids))), change(frameOf(req.make(r.theirs.ids)))}
	about, alone := req.parts, false
	switch h, err := understood(frames[0][4:]); {
	case err != nil:
		about = remarks{"": malformed(err)}
		alone = kafka.Flexible(req.key, req.version)
	case about == nil:
		about = remarksOf(h, r.ours.names)
	}
	got, err := r.find(r.ours, req, frames[0])
	if err != nil {
		t.Fatalf("seed %d, request %d, %x: %v", *seed, n, frames[0], err)
	}
	if alone { // the other one counts to 2^32 where that many tags are claimed
		if got[""] != string(closed) {
			t.Errorf("seed %d, request %d, %x: %v", *seed, n, frames[0], got)
		}
		return
	}
	want, err := r.find(r.theirs, req, frames[1])
	if err != nil {
		t.Fatalf("seed %d, request %d, %x, the other: %v", *seed, n, frames[1], err)
	}
	for _, at := range differing(got, want) {
		if d := explain(req.key, about, at, got[at], want[at]); d != nil {
			r.explained[d]++
			continue
		}
		what := fmt.Sprintf("%v version %d, %q: ours is %s, theirs %s", req.key, req.version, about.at(at), orNothing(got[at]), orNothing(want[at]))
		if r.unexplained[what] == nil {
			r.unexplained[what] = &example{n: n, at: at, frame: frames[0]}
		}
		r.unexplained[what].times++
	}
}

func (r *referee) find(p *peer, req request, frame []byte) (findings, error) {
	reaction, err := p.ask(frame)
	if err != nil {
		return nil, err
	}
	return p.findings(reaction, req.key, req.version)
}

// understood is what our own decoders say of a frame.
func understood(frame []byte) (kafka.Header, error) {
	h, err := kafka.ParseHeader(frame)
	if err != nil {
		return h, err
	}
	switch h.Key {
	case kafka.Produce:
		err = new(kafka.ProduceRequest).Parse(h.Version, h.Body)
	case kafka.Fetch:
		err = new(kafka.FetchRequest).Parse(h.Version, h.Body)
	default:
		_, err = kafka.Decode(h, nil)
	}
	return h, err
}

// differing are the places at which two findings differ. Where one broker did not answer, that is all there is to say.
func differing(a, b findings) (out []string) {
	if a[""] != b[""] {
		return []string{""}
	}
	all := maps.Clone(a)
	maps.Copy(all, b)
	for at := range all {
		if a[at] != b[at] {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return out
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Shows that requests, of good and bad parts, with bytes changed in them, and numbered by producers, get the same error codes from this server and from
// another implementation, or ones that docs/kafka-errors.md explains.
func TestE4E5Oracle(t *testing.T) {
	explained := map[*difference]int{}
	ran := 0
	for name, f := range map[string]func(*testing.T, *referee){"requests": requests, "bytes": changedBytes, "sequences": sequences} {
		t.Run(name, func(t *testing.T) {
			r := newReferee(t, explained)
			f(t, r)
			r.finish(t)
			ran++
		})
	}
	for i := range differences {
		d := &differences[i]
		t.Logf("%5d times: %v, %q: ours is %s, theirs %s", explained[d], d.key, d.what, d.ours, d.theirs)
		if explained[d] == 0 && ran == 3 && *seed == 1 && *count >= usual {
			t.Errorf("nothing differs any more as the table says: %v, %q: ours is %s, theirs %s", d.key, d.what, d.ours, d.theirs)
		}
	}
}

// requests are made of good and bad parts.
func requests(t *testing.T, r *referee) {
	rng := rand.New(rand.NewPCG(*seed, 1))
	for n := range *count {
		r.compare(t, n, generate(rng), func(b []byte) []byte { return b })
	}
}

// changedBytes are requests in which a few bytes are others.
func changedBytes(t *testing.T, r *referee) {
	rng := rand.New(rand.NewPCG(*seed, 2))
	for n := range *count {
		req := generate(rng)
		for tooMuch[req.key] || req.byID { // an id may change at one broker and happen to stay at the other
			req = generate(rng)
		}
		change := rng.Uint64()
		frame := mutated(rand.New(rand.NewPCG(change, 1)), frameOf(req.make(r.ours.ids)))
		if waits(frame[4:]) {
			continue
		}
		req.parts = nil
		r.compare(t, n, req, func(b []byte) []byte { return mutated(rand.New(rand.NewPCG(change, 1)), b) })
	}
}

// tooMuch are the requests in which a changed number may ask for a million partitions, which the other broker makes.
var tooMuch = map[kafka.Key]bool{kafka.CreateTopics: true, kafka.CreatePartitions: true}

// waits tells whether a changed Fetch may wait for long.
func waits(frame []byte) bool {
	var f kafka.FetchRequest
	h, err := kafka.ParseHeader(frame)
	if err != nil || h.Key != kafka.Fetch {
		return false
	}
	err = f.Parse(h.Version, h.Body)
	return f.MaxWaitMillis > 20 || err != nil && f.MaxWaitMillis < 0 // what is malformed for us only is served by the other one
}

// sequences are what producers send, once, again, out of order and in other epochs.
func sequences(t *testing.T, r *referee) {
	rng := rand.New(rand.NewPCG(*seed, 3))
	for n := range topics["sequence"] {
		id, epoch, next := 1<<41+rng.Int64N(1<<40), int16(0), int32(0)
		if rng.IntN(3) == 0 {
			next = rng.Int32N(1000)
		}
		about := remarks{"": ""}
		for step := range 24 {
			size := 1 + rng.IntN(3)
			e, s := epoch, next
			switch rng.IntN(6) {
			case 0:
				s -= rng.Int32N(9)
			case 1:
				s += rng.Int32N(3)
			case 2:
				e += pick[int16](rng, -1, 1)
				s = pick(rng, s, 0)
			}
			req := kmsg.NewPtrProduceRequest()
			req.Acks = -1
			req.Topics = []kmsg.ProduceRequestTopic{{Topic: "sequence", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: n, Records: numbered(id, max(e, 0), max(s, 0), size)}}}}
			one := fixed(req, 9)
			one.parts = about
			r.compare(t, int(n)*100+step, one, func(b []byte) []byte { return b })
			if e > epoch && s > 0 {
				about = remarks{"": refusedEpoch}
			}
			if e == epoch && s == next {
				next += int32(size)
			} else if e == epoch+1 && s == 0 {
				epoch, next = e, int32(size)
			}
		}
	}
}

// finish tells of what nothing explains.
func (r *referee) finish(t *testing.T) {
	t.Helper()
	for what, e := range r.unexplained {
		t.Errorf("%d times: %s; at first in request %d of seed %d at %q: %x", e.times, what, e.n, *seed, e.at, e.frame)
	}
}

// malformed says in which way a frame is.
func malformed(err error) string {
	switch why := err.Error(); {
	case strings.Contains(why, "goes on behind its last field"):
		return goesOn
	case strings.Contains(why, "has null for"):
		return nullThere
	}
	return "malformed"
}
