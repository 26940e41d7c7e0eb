package kafka

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/test/kafka/clients"
)

// Real Kafka clients of every family do all that they can do: topics, records with every codec and level of acknowledgement,
// reading by assignment, offset and time, and each meets the errors that it should. The text protocol judges them.
func TestRealClients(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: real Kafka clients are no part of -short")
	}
	b, bare := peer(t, false), peer(t, true)
	results := make([]column, len(clients.All))
	t.Run("clients", func(t *testing.T) {
		for i, c := range clients.All {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				results[i] = run(t, b, bare, c)
			})
		}
	})
	if os.Getenv("SLUICE_KAFKA_PEER") == "" && !t.Failed() {
		checkPage(t, results)
	}
}

// run takes a client through the steps.
func run(t *testing.T, b, bare broker, c clients.Client) (col column) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d, err := c.Start(ctx)
	var missing clients.Missing
	if errors.As(err, &missing) {
		t.Skipf("skipped: %s: %s", c.Name, missing.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" '", r) {
			return '-'
		}
		return r
	}, strings.ToLower(c.Name))
	tr := &trial{name: name, b: b, bare: bare, d: d, begin: time.Now().Add(-time.Hour).UnixMilli()}
	a, err := tr.do(clients.Request{Op: "version"})
	if err != nil {
		t.Fatal(err)
	}
	col = column{a.Version, map[string]string{}}
	for topic, partitions := range map[string]int{"log": 1, "many": 3} {
		if err := b.create(t.Context(), tr.topic(topic), partitions); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range steps {
		began := time.Now()
		ctx, cancel := context.WithTimeout(ctx, limit)
		err := s.take(tr, ctx)
		cancel()
		t.Logf("%-35s %v", s.name, time.Since(began).Round(time.Millisecond))
		var no cannot
		switch {
		case errors.As(err, &no):
			col.cells[s.name] = string(no)
		case err != nil:
			col.cells[s.name] = "no"
			t.Errorf("%s: %v", s.name, err)
		default:
			col.cells[s.name] = "yes"
		}
	}
	return col
}
