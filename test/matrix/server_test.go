package matrix

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"sluice/stages"
	"sluice/test/process"
)

// server is what the sessions of a cell speak to.
type server interface {
	addr() string
	stop() error // gracefully
	kill()       // as kill -9 does; a server in this process can't be killed
}

// inside runs a server in this process, where the race detector sees it.
func inside(t *testing.T, c *configuration, dir string) (server, error) {
	conf := stages.Default()
	if err := c.set(&conf); err != nil {
		return nil, err
	}
	conf.Data, conf.Listen, conf.HTTP, conf.Kafka = dir, "127.0.0.1:0", "", ""
	errors, logged := observer.New(zap.ErrorLevel)
	log := zap.New(zapcore.NewTee(errors, zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)).Core()))
	s, err := stages.Start(conf, log)
	if err != nil {
		return nil, err
	}
	return insideServer{s, logged}, nil
}

type insideServer struct {
	s      *stages.Server
	logged *observer.ObservedLogs // errors
}

func (s insideServer) addr() string { return s.s.Addr() }
func (s insideServer) kill()        { panic("BUG: a server inside the test can't be killed") }

func (s insideServer) stop() error {
	if err := s.s.Stop(context.Background()); err != nil {
		return err
	}
	if s.logged.Len() > 0 {
		return fmt.Errorf("it logged an error: %+v", s.logged.All()[0])
	}
	return nil
}

// outside runs the built binary.
func outside(t *testing.T, c *configuration, dir string) (server, error) {
	args := []string{"--data", dir}
	for _, pair := range c.pairs() {
		args = append(args, "--set", pair)
	}
	p, err := process.Start(process.Binary(t), args...)
	if err != nil {
		return nil, err
	}
	t.Cleanup(p.Kill) // if the behaviour hangs; it has ended otherwise
	return outsideServer{p}, nil
}

type outsideServer struct{ p *process.Server }

func (s outsideServer) addr() string { return s.p.Text }

func (s outsideServer) stop() error {
	if err := s.p.Stop(); err != nil {
		return fmt.Errorf("%w; its log:\n%s", err, s.p.Log())
	}
	return nil
}

func (s outsideServer) kill() { s.p.Kill() }
