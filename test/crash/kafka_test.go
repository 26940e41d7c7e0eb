package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/crash/oracle"
	"sluice/test/crash/witness"
	"sluice/test/kafka/clients"
	"sluice/test/process"
	"sluice/wire/batch"
)

// kafkaProducers are the clients that keep sending while a server dies and comes back, each with another codec.
var kafkaProducers = []struct{ client, codec string }{{"franz-go", "none"}, {"confluent-kafka", "snappy"}, {"Java", "gzip"}}

// Real Kafka producers, which are idempotent and wait for acks=all, go on through kills of the server: in the end every record
// is in the log exactly once, in order, at the offset that was acknowledged. With acks=1 and no idempotence every record that
// was acknowledged is at its offset: a kill takes nothing that was written.
func TestA1A5E5KafkaProducersThroughKills(t *testing.T) {
	t.Parallel()
	kills, seed := int(number(t, "SLUICE_KAFKA_KILLS", 2)), firstSeed(t)
	if testing.Short() {
		kills = 1
	}
	for _, p := range kafkaProducers {
		for _, acks := range []string{"all", "1"} {
			t.Run(fmt.Sprintf("%s, acks=%s", p.client, acks), func(t *testing.T) {
				t.Parallel()
				s := newStay(t, seed)
				s.start()
				s.create("k")
				f := s.flow(p.client, clients.Request{Topic: "k", Codec: p.codec, Acks: acks, Idempotent: acks == "all", Count: 12_000, Size: 1000})
				for n := range kills {
					f.reach((n + 1) * f.r.Count / (kills + 1))
					s.pause(20 * time.Millisecond)
					s.kill()
					s.start()
				}
				f.join()
				s.kill() // the last ones were acknowledged, too
				s.start()
				f.check(s.numbers("k"))
				s.verify(s.stop())
			})
		}
	}
}

// A stay is one directory and one address, while servers come and go.
type stay struct {
	t    *testing.T
	rng  *rand.Rand
	seed uint64
	data string
	door *door
	bin  string
	srv  *process.Server
}

func newStay(t *testing.T, seed uint64) *stay {
	return &stay{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), data: t.TempDir(), door: newDoor(t), bin: process.Binary(t)}
}

// start begins a server that tells its clients the address of the door.
func (s *stay) start() {
	s.t.Helper()
	var err error
	s.srv, err = process.Start(s.bin, "--data", s.data, "--http", "", "--set", "crash_loop.deaths=0", "--set", "stages.kafka.advertised="+s.door.addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.srv.Kill)
	s.door.leadTo(s.srv.Kafka)
}

func (s *stay) kill() {
	s.srv.Kill()
	s.door.leadTo("")
}

func (s *stay) stop() error { return s.srv.Stop() }

// verify has every byte read offline.
func (s *stay) verify(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Errorf("%v\n%s", err, s.srv.Log())
	}
	if out, err := exec.Command(s.bin, "verify", s.data).CombinedOutput(); err != nil {
		s.t.Errorf("sluice verify: %v\n%s", err, out)
	}
}

// pause lets some time pass, so that a kill comes at any moment of the load.
func (s *stay) pause(most time.Duration) {
	select {
	case <-time.After(time.Duration(s.rng.Int64N(int64(most)))):
	case <-s.srv.Ended():
	}
}

func (s *stay) ask(format string, args ...any) *witness.Conn {
	s.t.Helper()
	c, err := witness.Dial(s.srv.Text, &oracle.Recorder{})
	if err == nil {
		s.t.Cleanup(c.Close)
		_, err = c.Ask(format, args...)
	}
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.srv.Log())
	}
	return c
}

// create makes a topic that rolls now and then.
func (s *stay) create(topic string) { s.ask("CREATE %s segment.bytes=2MiB", topic) }

// numbers reads a topic back through the text protocol: the numbers of its records, by offset.
func (s *stay) numbers(topic string) (out []int) {
	s.t.Helper()
	c := s.ask("HEAD %s", topic)
	next := c.Uint("next")
	var reader batch.Reader
	for uint64(len(out)) < next {
		b, err := c.Ask("FETCH %s %d bytes=4194304", topic, len(out))
		if err != nil || len(b) == 0 {
			s.t.Fatalf("%d bytes at %d of %d: %v", len(b), len(out), next, err)
		}
		for len(b) > 0 {
			h, err := batch.Verify(b)
			if err == nil {
				err = reader.Reset(b, 64<<20)
			}
			if err != nil || h.BaseOffset != uint64(len(out)) {
				s.t.Fatalf("at offset %d a batch for %d: %v", len(out), h.BaseOffset, err)
			}
			var r batch.Record
			for reader.Next(&r) {
				out = append(out, numberOf(s.t, r.Value))
			}
			b = b[h.Size:]
		}
	}
	return out
}

// numberOf takes "CODEC-NUMBER....".
func numberOf(t *testing.T, value []byte) int {
	t.Helper()
	_, word, _ := strings.Cut(strings.TrimRight(string(value), "."), "-")
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatalf("no client has sent %q", value)
	}
	return n
}

// A flow is one producer's stream of records.
type flow struct {
	t    *testing.T
	s    *stay
	name string
	r    clients.Request
	done chan struct{}
	news chan struct{} // holds one if there is something new
	err  error         // once it is done
	mu   struct {
		sync.Mutex
		acked map[int]int64 // number: offset
		again []int         // acknowledged twice
	}
}

// driver starts a client that is a program.
func (s *stay) driver(name string) clients.Driver {
	s.t.Helper()
	c, err := clients.Named(name)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := c.Start(s.t.Context())
	if missing := (clients.Missing{}); errors.As(err, &missing) {
		s.t.Skipf("skipped: %s: %s", name, missing.Why)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// flow starts a client and has it send; join waits for it.
func (s *stay) flow(name string, r clients.Request) *flow {
	s.t.Helper()
	d := s.driver(name)
	r.Server, r.First, r.Time = s.door.addr(), 1, 1_700_000_000_000
	f := &flow{t: s.t, s: s, name: name, r: r, done: make(chan struct{}), news: make(chan struct{}, 1)}
	f.mu.acked = make(map[int]int64, r.Count)
	go func() { // ends with the driver, which ends with the test; join waits for it
		defer close(f.done)
		var a clients.Answer
		a, f.err = d.Stream(r, f.acked)
		if f.err == nil && !a.OK {
			f.err = fmt.Errorf("%s%s", a.Error, a.Unsupported)
		}
		f.err = errors.Join(f.err, d.Close())
	}()
	return f
}

func (f *flow) acked(i int, offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, twice := f.mu.acked[i]; twice {
		f.mu.again = append(f.mu.again, i)
	}
	f.mu.acked[i] = offset
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// reach waits until so many records are acknowledged.
func (f *flow) reach(n int) {
	f.t.Helper()
	limit := time.After(witness.Limit)
	for {
		f.mu.Lock()
		got := len(f.mu.acked)
		f.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-f.news:
		case <-f.done:
			f.t.Fatalf("%s ended with %d of %d records acknowledged: %v\n%s", f.name, got, n, f.err, f.s.srv.Log())
		case <-f.s.srv.Ended():
			f.t.Fatalf("the server has ended by itself: %s", f.s.srv.Log())
		case <-limit:
			f.t.Fatalf("%s: %d of %d records were acknowledged within %v\n%s", f.name, got, n, witness.Limit, f.s.srv.Log())
		}
	}
}

// join waits until everything is acknowledged.
func (f *flow) join() {
	f.t.Helper()
	f.reach(f.r.Count)
	select {
	case <-f.done:
	case <-time.After(witness.Limit):
		f.t.Fatalf("%s has had all it sent acknowledged, and does not end", f.name)
	}
	if f.err != nil {
		f.t.Fatalf("%s: %v\n%s", f.name, f.err, f.s.srv.Log())
	}
}

// check compares the log with what was acknowledged.
func (f *flow) check(log []int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	wrong := 0
	fault := func(format string, args ...any) {
		if wrong++; wrong <= 10 {
			f.t.Errorf("%s, seed %d: "+format, append([]any{f.name, f.s.seed}, args...)...)
		}
	}
	if len(f.mu.again) > 0 {
		fault("acknowledged twice: %v", f.mu.again[:min(10, len(f.mu.again))])
	}
	for i := range f.r.Count {
		if o, ok := f.mu.acked[i+1]; !ok || o >= int64(len(log)) || o < 0 || log[o] != i+1 {
			fault("record %d was acknowledged (%t) at offset %d and is not there; the log ends at %d", i+1, ok, o, len(log))
		}
	}
	if !f.r.Idempotent {
		return
	}
	for o, n := range log {
		if n != o+1 {
			fault("offset %d holds record %d", o, n)
		}
	}
	if len(log) != f.r.Count {
		fault("%d records are in the log, of %d", len(log), f.r.Count)
	}
}
