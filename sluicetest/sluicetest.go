package sluicetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"sluice/client"
	"sluice/stages"
)

// Options change what Start does. The zero value is what Start uses.
type Options struct {
	// Settings are names and values as in the server's YAML file, with dots: {"topic.ack": "synced"}.
	Settings map[string]string
	// Dir keeps the logs; "" = a temporary directory that is removed with the test. With it, a later server of the same
	// test can go on where this one stopped.
	Dir string
	// Quiet leaves the server's log out of the test's.
	Quiet bool
	// ErrorsAreFine keeps errors in the server's log from failing the test.
	ErrorsAreFine bool
}

// Server is a running server.
type Server struct {
	Addr  string // of the text protocol, host:port
	Kafka string // of the Kafka protocol, host:port
	HTTP  string // of health and profiles, host:port
	Dir   string // of the logs

	srv  *stages.Server
	stop func()

	mu     sync.Mutex
	errors []string // what it logged as errors
}

// stopLimit is how long a test may wait for the server to stop.
const stopLimit = 2 * time.Minute

// Start runs a server with default settings until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Options{})
}

// StartWith runs a server until the test ends. Settings that do not exist, or are out of bounds, fail the test.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	conf := stages.Default()
	conf.Listen, conf.HTTP, conf.Kafka = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	conf.Data = o.Dir
	if conf.Data == "" {
		conf.Data = t.TempDir()
	}
	table := stages.Settings()
	for name, value := range o.Settings {
		s, ok := stages.Find(table, name)
		if !ok {
			t.Fatalf("sluicetest: there is no setting %q", name)
		}
		if err := s.Set(&conf, value); err != nil {
			t.Fatalf("sluicetest: %s: %v", name, err)
		}
	}
	s := &Server{Dir: conf.Data}
	srv, err := stages.Start(conf, s.logger(t, o.Quiet))
	if err != nil {
		t.Fatalf("sluicetest: %v", err)
	}
	s.srv, s.Addr, s.Kafka, s.HTTP = srv, srv.Addr(), srv.KafkaAddr(), srv.HTTPAddr()
	s.stop = sync.OnceFunc(func() { s.end(t, o.ErrorsAreFine) })
	t.Cleanup(s.stop)
	return s
}

// logger writes to the test, and keeps errors.
func (s *Server) logger(t testing.TB, quiet bool) *zap.Logger {
	var core zapcore.Core = errorCore{s}
	if !quiet {
		core = zapcore.NewTee(core, zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel)).Core())
	}
	return zap.New(core)
}

// errorCore keeps the messages of errors for the end.
type errorCore struct{ s *Server }

func (errorCore) Enabled(l zapcore.Level) bool        { return l >= zap.ErrorLevel }
func (c errorCore) With([]zapcore.Field) zapcore.Core { return c }
func (errorCore) Sync() error                         { return nil }
func (c errorCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

func (c errorCore) Write(e zapcore.Entry, _ []zapcore.Field) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.errors = append(c.s.errors, e.Message)
	return nil
}

// Stop stops the server now, as SIGTERM would; the test's end does it otherwise. What it finds wrong fails the test.
func (s *Server) Stop() { s.stop() }

func (s *Server) end(t testing.TB, errorsAreFine bool) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), stopLimit, errors.New("the server did not stop in time"))
	defer cancel()
	if err := s.srv.Stop(ctx); err != nil {
		t.Errorf("sluicetest: stop: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errorsAreFine {
		for _, e := range slices.Compact(s.errors) {
			t.Errorf("sluicetest: the server logged an error: %s", e)
		}
	}
}

// Client connects; the connection is closed with the test, before the server stops.
func (s *Server) Client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{Addr: s.Addr})
	if err != nil {
		t.Fatalf("sluicetest: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, client.ErrClosed) {
			t.Errorf("sluicetest: close the client: %v", err)
		}
	})
	return c
}
