package stages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/sched"
)

// startHTTP serves health and profiles, from before the logs are opened: a start
// that takes its time can be watched.
func (s *Server) startHTTP() (err error) {
	if s.conf.HTTP == "" {
		return nil
	}
	if s.httpListener, err = net.Listen("tcp", s.conf.HTTP); err != nil {
		return fmt.Errorf("HTTP can't listen (setting http): %w", err)
	}
	s.httpListener = &fewListener{Listener: s.httpListener, slots: make(chan struct{}, httpMost)}
	s.http = newHTTP(s)
	s.httpGroup = sched.NewGroup(context.Background())
	s.httpGroup.Go("http", func(context.Context) error { return s.http.Serve(s.httpListener) })
	return nil
}

// httpMost bounds the connections of HTTP, which are few and short. More wait in the
// backlog: the descriptors that they would take belong to others.
const httpMost = 16

const _ = uint(sched.DescriptorSlack - httpMost - refusalsMost - 8) // negative does not compile

// fewListener accepts only as many connections as it has slots.
type fewListener struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a slot, then for a connection. The close of the server closes the
// connections too, so it does not wait for ever.
func (l *fewListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotConn{Conn: nc, slots: l.slots}, nil
}

// slotConn gives its slot back when it is first closed.
type slotConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *slotConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.slots })
	return err
}

func (s *Server) stopHTTP() error {
	if s.http == nil {
		return nil
	}
	err := s.http.Close() // a profile under way is of no use to a process that ends
	if wait := s.httpGroup.Wait(); !errors.Is(wait, http.ErrServerClosed) {
		err = errors.Join(err, wait)
	}
	return err
}

// health is the answer of /healthz: whether clients are served, and what is wrong.
// A log that has failed is no reason to be taken for dead: the others are served,
// and a restart by a supervisor would not mend it.
func (s *Server) health() (status int, body string) {
	switch {
	case s.draining():
		return http.StatusServiceUnavailable, "stopping\n"
	case !s.opening.over.Load():
		return http.StatusServiceUnavailable, fmt.Sprintf("opening %d of %d logs\n", s.opening.opened.Load(), s.opening.all.Load())
	}
	wrong := s.wrong()
	if len(wrong) == 0 {
		return http.StatusOK, "ok\n"
	}
	return http.StatusOK, strings.Join(wrong, "\n") + "\n"
}

// wrongMax bounds what /healthz says; STATS has all of it.
const wrongMax = 100

// wrong lists what somebody should look at.
func (s *Server) wrong() (list []string) {
	if e := s.admission.refusal(); e != nil {
		list = append(list, e.Code.String()+": "+e.Text)
	}
	for _, t := range s.catalog.all() {
		for _, p := range t.parts {
			if len(list) == wrongMax {
				return list
			}
			if err := p.log.Err(); err != nil {
				list = append(list, fmt.Sprintf("log %s: %v", p, err))
			} else if slow := s.degraded(p); slow != "" {
				list = append(list, fmt.Sprintf("log %s: %s", p, slow))
			}
		}
	}
	slices.Sort(list)
	return list
}

// newHTTP serves health and profiles. Profiles carry the label "stage".
func newHTTP(s *Server) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		status, body := s.health()
		w.WriteHeader(status)
		// A client that left has no use for the answer.
		_, _ = w.Write([]byte(body))
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second}
}
