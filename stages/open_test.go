package stages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/sched"
)

// filled is a file system that a server has made n topics of one record on, and
// has left in order.
func filled(t *testing.T, n int) *fstest.Mem {
	t.Helper()
	fs := fstest.NewMem()
	s := startServerOn(t, fs, noTicks())
	c := dial(t, s)
	for i := range n {
		c.send("MSG t%d 1\nx\n", i)
		c.want("OK first=0 next=1 ack=written synced=*")
	}
	c.send("SHUTDOWN\n")
	c.want("OK")
	finished(t, s)
	return fs
}

// health asks /healthz.
func health(t *testing.T, s *Server) (status int, body string) {
	t.Helper()
	answer, err := http.Get("http://" + s.HTTPAddr() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// While one log takes its time to open, the others open, and /healthz tells how
// far it is.
func TestHealthTellsHowTheOpeningGoes(t *testing.T) {
	const logs = 6
	mem := filled(t, logs)
	g := newGate(func(op fstest.Op) bool {
		return op.By == disk.ByOpen && op.Kind == fstest.List && op.Name == "topics/t3/0"
	})
	conf := noTicks()
	conf.Listen, conf.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	store, err := disk.OpenStore(fstest.Fail(mem, g.pass), disk.StoreOptions{}, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(conf, testLogger(t), mem, store, sched.Descriptors{Connections: 1})
	var lock sync.Mutex
	var shown []string
	s.opening.show = func(opened, all int) {
		lock.Lock()
		defer lock.Unlock()
		shown = append(shown, fmt.Sprint(opened, "/", all))
	}
	done := make(chan error, 1)
	go func() { done <- s.open() }()
	<-g.came
	waitFor(t, func() bool { return s.opening.opened.Load() == logs-1 })
	if status, body := health(t, s); status != http.StatusServiceUnavailable || body != "opening 5 of 6 logs\n" {
		t.Errorf("while opening: %d %q", status, body)
	}
	close(g.open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.start()
	if status, body := health(t, s); status != http.StatusOK || body != "ok\n" {
		t.Errorf("once open: %d %q", status, body)
	}
	if n, _ := s.Opened(); n != logs || !slices.Equal(shown, strings.Fields("1/6 2/6 3/6 4/6 5/6 6/6")) {
		t.Errorf("%d logs were opened, shown was %v", n, shown)
	}
	c := dial(t, s)
	for i := range logs {
		c.send("HEAD t%d\n", i)
		c.want("OK oldest=0 next=1 synced=1 epoch=* segment=0 segments=1 bytes=* partitions=1")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Rows C6 and C9, and logs whose directory can't be read: such a log or topic says why
// it takes nothing, everywhere; the server starts, the others are served, and what is
// readable is read. A broken topic can be dropped, and made anew.
func TestC6C9BrokenLogsHurtNoOthers(t *testing.T) {
	mem := filled(t, 6)
	before := startServerOn(t, mem, noTicks())
	w := dial(t, before)
	w.send("DROP t1\nCREATE t1 segment.bytes=16KiB\n")
	w.want("OK", "OK")
	for i := range 10 { // three a segment
		w.send("MSG t1 5000\n%5000d\n", i)
		w.want(fmt.Sprintf("OK first=%d next=%d ack=written synced=*", i, i+1))
	}
	if err := before.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	store, err := disk.OpenStore(mem, disk.StoreOptions{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		mem.Remove("test", "topics/t1/0/00000000000000000000.log"),
		scribble(mem, "topics/t3/topic.json"), scribble(mem, "topics/t3/topic.json.2"),
		store.CreateTopic("test", "t4x", map[string]string{"partitions": "2", "from.the.future": "1"}),
		store.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	core, lines := observer.New(zap.ErrorLevel)
	conf := noTicks()
	conf.Listen, conf.HTTP, conf.Disk.Reserve = "127.0.0.1:0", "", 0
	s, err := startOn(fstest.Fail(mem, func(op fstest.Op) error {
		if op.Kind == fstest.List && op.Name == "topics/t2/0" {
			return syscall.EIO
		}
		return nil
	}), conf, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // how it went is looked at below
	c := dial(t, s)
	for _, topic := range []string{"t0", "t5"} {
		c.send("MSG %s 1 ack=synced\ny\nREAD %s 0 limit=1\n", topic, topic)
		c.want("OK first=1 next=2 ack=synced synced=2", "REC offset=0 time=* key=-1 n=1", "x", "OK next=1 end=2 epoch=*")
	}
	for topic, why := range map[string]string{"t1": "missing", "t2": "input/output error", "t3": "damaged", "t4x": "from.the.future", "t4x/1": "from.the.future"} {
		c.send("MSG %s 1\ny\nFLUSH %s\n", topic, topic)
		for range 2 {
			if got := c.line(); !strings.HasPrefix(got, "ERR LOG_FAILED - ") || !strings.Contains(got, why) {
				t.Errorf("%s: got %q, want LOG_FAILED and %q", topic, got, why)
			}
		}
		if _, body := s.health(); !strings.Contains(body, "log "+topic+": ") {
			t.Errorf("/healthz does not name %s: %s", topic, body)
		}
		if n := lines.FilterField(zap.String("log", "topics/"+strings.TrimSuffix(topic, "/1")+"/"+map[bool]string{true: "1", false: "0"}[strings.HasSuffix(topic, "/1")])).Len(); n != 1 {
			t.Errorf("%d lines about %s: %v", n, topic, lines.All())
		}
		if topic == "t1" { // opened, and damaged
			continue
		}
		c.send("READ %s 5\nHEAD %s\nTAIL %s oldest\n", topic, topic, topic)
		for range 3 {
			c.refused("ERR LOG_FAILED - ")
		}
	}
	c.send("READ t1 3 limit=1\nREAD t1 0\nREAD t1 9\nSTATS\n")
	c.want("REC offset=3 time=* key=-1 n=5000", fmt.Sprintf("%5000d", 3), "OK next=4 end=10 epoch=*")
	c.refused("ERR CORRUPT from=0 next=3 - ")
	c.want("REC offset=9 time=* key=-1 n=5000", fmt.Sprintf("%5000d", 9), "OK next=10 end=10 epoch=*")
	if _, b := c.data(); strings.Count(string(b), " state=failed reason=\"") != 5 || strings.Count(string(b), "segments=1 state=ok\n") != 3 {
		t.Errorf("STATS:\n%s", b)
	}
	c.send("CREATE t3\nDROP t3\nCREATE t3\nDROP t2\nMSG t3 1\nz\n")
	c.refused("ERR EXISTS")
	c.want("OK", "OK", "OK", "OK first=0 next=1 ack=written synced=0")
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func scribble(fs disk.FS, name string) error {
	f, err := fs.Open("test", name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt("test", []byte("####"), 3)
	return errors.Join(err, f.Close("test"))
}
