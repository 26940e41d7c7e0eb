package client_test

import (
	"context"
	"errors"
	"log"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/zap"

	"sluice/stages"
)

// folder is for what the examples keep.
var folder string

// server is the one that the examples share. They have no testing.T, from which sluicetest would make one; and it starts
// with the first of them, which is behind all tests: some count goroutines and allocations.
var server = sync.OnceValue(func() *stages.Server {
	var err error
	if folder, err = os.MkdirTemp("", "sluice-examples-"); err != nil {
		log.Fatal(err)
	}
	conf := stages.Default()
	conf.Listen, conf.HTTP, conf.Kafka, conf.Data = "127.0.0.1:0", "", "", filepath.Join(folder, "data")
	conf.Disk.Reserve = 0
	srv, err := stages.Start(conf, zap.NewNop())
	if err != nil {
		log.Fatal(err)
	}
	return srv
})

func TestMain(m *testing.M) {
	status := m.Run()
	if folder != "" {
		if err := errors.Join(server().Stop(context.Background()), os.RemoveAll(folder)); err != nil {
			log.Print(err)
			status = max(status, 1)
		}
	}
	os.Exit(status)
}
