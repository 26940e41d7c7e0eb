package stages

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/disk"
	"sluice/disk/fstest"
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
	store, err := disk.OpenStore(fstest.Fail(mem, g.pass), testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(conf, testLogger(t), mem, store)
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
