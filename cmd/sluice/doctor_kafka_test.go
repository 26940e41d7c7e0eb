package main

import (
	be "encoding/binary"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeBroker answers every Metadata with one broker at the address that it is told to tell; empty: its own.
func fakeBroker(t *testing.T, cluster, tell string) (addr string) {
	t.Helper()
	l := listenOn(t)
	if tell == "" {
		tell = l.Addr().String()
	}
	host, port, err := net.SplitHostPort(tell)
	must(t, err)
	n, err := strconv.Atoi(port)
	must(t, err)
	answer := kmsg.NewPtrMetadataResponse()
	answer.Version, answer.ClusterID, answer.Brokers = 4, &cluster, []kmsg.MetadataResponseBroker{{Host: host, Port: int32(n)}}
	serveOn(t, l, func(nc net.Conn) {
		body := answer.AppendTo(readFrame(t, nc)[4:8:8])
		if _, err := nc.Write(append(be.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// readFrame reads a request whole: closing a socket with unread bytes takes the answer from the other side.
func readFrame(t *testing.T, nc net.Conn) []byte {
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		t.Error(err)
	}
	frame := make([]byte, max(8, be.BigEndian.Uint32(head[:])))
	if _, err := io.ReadFull(nc, frame); err != nil {
		t.Error(err)
	}
	return frame
}

func listenOn(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() }) // it may be closed already
	return l
}

// serveOn does its work on each connection, one after the other, until the test ends.
func serveOn(t *testing.T, l net.Listener, work func(net.Conn)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return // closed
			}
			work(nc)
			_ = nc.Close() // the other side may have been first
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
}

// A server of ours can be reached by what it tells, and that is said, for people and for programs.
func TestDoctorKafka(t *testing.T) {
	t.Parallel()
	srv, _ := at(t)
	out := fine(t, "", "doctor", "--kafka", srv.Kafka)
	for _, want := range []string{"asked     " + srv.Kafka, "broker 0  " + srv.Kafka + "  reached from here", "note  you asked over loopback"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	var a advice
	must(t, json.Unmarshal([]byte(fine(t, "", "doctor", "--json", "--kafka", srv.Kafka)), &a))
	if a.Asked != srv.Kafka || len(a.Cluster) != 22 || len(a.Brokers) != 1 || a.Brokers[0] != (told{Address: srv.Kafka, Reached: true}) || len(a.Findings) != 1 {
		t.Errorf("%+v", a)
	}
}

// What a client could not use is told with its reason and with what to do, and the status says so.
func TestDoctorKafkaFinds(t *testing.T) {
	t.Parallel()
	nobody := listenOn(t)
	closed := nobody.Addr().String()
	must(t, nobody.Close())
	web := listenOn(t)
	serveOn(t, web, func(nc net.Conn) {
		readFrame(t, nc)
		if _, err := nc.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")); err != nil {
			t.Error(err)
		}
	})
	hangsUp := listenOn(t)
	serveOn(t, hangsUp, func(net.Conn) {})
	srv, _ := at(t)
	other := fakeBroker(t, "other", "")
	for _, c := range []struct {
		name, addr string
		status     int
		want       []string
	}{
		{"a forwarded port", fakeBroker(t, "one", closed), exitFailure, []string{"not reached from here", "fail  clients are told to go on to " + closed, "--set stages.kafka.advertised=", "could not go on from here"}},
		{"another cluster", fakeBroker(t, "one", other), exitFailure, []string{"another server answers at " + other}},
		{"told the port of another protocol", fakeBroker(t, "one", srv.Addr), exitFailure, []string{"not reached from here"}},
		{"nobody", closed, exitFailure, []string{"can't be reached", "Kafka listener"}},
		{"the text protocol", srv.Addr, exitFailure, []string{"another protocol", "Kafka listener"}},
		{"a web server", web.Addr().String(), exitFailure, []string{"not in Kafka's protocol"}},
		{"one that hangs up", hangsUp.Addr().String(), exitFailure, []string{"closes the connection", "TLS"}},
		{"fine", fakeBroker(t, "one", ""), exitFine, []string{"reached from here"}},
		{"no port", "localhost", exitUsage, []string{"no host:port"}},
		{"nothing", "", exitUsage, []string{"no host:port"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, out, errs := sluice(t, "", "doctor", "--kafka", c.addr)
			for _, want := range c.want {
				if status != c.status || !strings.Contains(out+errs, want) {
					t.Errorf("status %d, want %d and %q:\n%s%s", status, c.status, want, out, errs)
				}
			}
		})
	}
	if status, _, errs := sluice(t, "", "doctor", ".", "--kafka", closed); status != exitUsage || !strings.Contains(errs, "two questions") {
		t.Errorf("a directory and an address: status %d, %s", status, errs)
	}
}

// What an address that was told means depends on where it was asked.
func TestDoctorKafkaJudges(t *testing.T) {
	for _, c := range []struct{ asked, host, want string }{
		{"192.0.2.1:9092", "127.0.0.1", "warn: clients are told to go on to 127.0.0.1:9092, which on any other machine"},
		{"192.0.2.1:9092", "localhost", "warn"},
		{"logs.example.com:9092", "::1", "warn"},
		{"localhost:9092", "127.0.0.1", "note: you asked over loopback"},
		{"[::1]:9092", "::1", "note: you asked over loopback"},
		{"192.0.2.1:9092", "logs.example.com", "note: clients are told the name logs.example.com"},
		{"logs.example.com:9092", "logs.example.com", ""},
		{"192.0.2.1:9092", "192.0.2.1", ""},
		{"192.0.2.1:9092", "192.0.2.2", ""},
	} {
		a := &advice{Asked: c.asked}
		a.judge(told{Address: net.JoinHostPort(c.host, "9092"), Reached: true}, c.host)
		got := ""
		if len(a.Findings) > 0 {
			got = a.Findings[0].Level + ": " + a.Findings[0].What
		}
		if len(a.Findings) > 1 || !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("asked at %s, told %s: %q, want %q", c.asked, c.host, got, c.want)
		}
	}
}
