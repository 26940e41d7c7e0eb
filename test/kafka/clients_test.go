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
// reading by assignment, offset and time, and each meets the errors that it should. The text protocol judges them. In the end
// each reads what all of them wrote.
func TestRealClients(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: real Kafka clients are no part of -short")
	}
	b, bare := peer(t, false), peer(t, true)
	results := make([]column, len(clients.All))
	each := func(phase string, f func(*testing.T, *trial, *column)) {
		t.Run(phase, func(t *testing.T) {
			for i, c := range clients.All {
				t.Run(c.Name, func(t *testing.T) {
					t.Parallel()
					f(t, begin(t, b, bare, c), &results[i])
				})
			}
		})
	}
	each("alone", takeSteps)
	var logs []string
	for i, c := range clients.All {
		if results[i].version != "" {
			logs = append(logs, topicName(c)+"-log")
		}
	}
	if err := b.create(t.Context(), "all", 1); err != nil {
		t.Fatal(err)
	}
	records, err := gather(t.Context(), b, "all", logs)
	if err != nil {
		t.Fatal(err)
	}
	each("together", func(t *testing.T, tr *trial, col *column) {
		if why := col.cells["produce, gzip"]; why != "yes" { // what it cannot write it cannot read
			col.cells[together] = why
			return
		}
		tr.take(t, col, step{together, func(tr *trial, ctx context.Context) error { return tr.readAll(ctx, records) }})
	})
	if os.Getenv("SLUICE_KAFKA_PEER") == "" && !t.Failed() {
		checkPage(t, results)
	}
}

func topicName(c clients.Client) string {
	return strings.NewReplacer(" ", "-", "'", "").Replace(strings.ToLower(c.Name))
}

// begin starts a client's driver, which ends with the test.
func begin(t *testing.T, b, bare broker, c clients.Client) *trial {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // that one ends before Close, below
	d, err := c.Start(ctx)
	t.Cleanup(cancel)
	var missing clients.Missing
	if errors.As(err, &missing) {
		t.Skipf("skipped: %s: %s", c.Name, missing.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &trial{name: topicName(c), b: b, bare: bare, d: d, begin: time.Now().Add(-time.Hour).UnixMilli()}
}

// takeSteps takes a client through all steps but the last one.
func takeSteps(t *testing.T, tr *trial, col *column) {
	a, err := tr.do(clients.Request{Op: "version"})
	if err != nil {
		t.Fatal(err)
	}
	for topic, partitions := range map[string]int{"log": 1, "many": 3} {
		if err := tr.b.create(t.Context(), tr.topic(topic), partitions); err != nil {
			t.Fatal(err)
		}
	}
	*col = column{a.Version, map[string]string{}}
	for _, s := range steps {
		tr.take(t, col, s)
	}
}

// take takes one step, and puts what came of it into the column.
func (tr *trial) take(t *testing.T, col *column, s step) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := s.do(tr, ctx)
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
