package crash

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"sluice/test/crash/oracle"
	"sluice/test/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// number is what an environment variable says, or its default.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// firstSeed is the seed of a test's first round. Without SLUICE_SEED it is always the same: what chance finds is no verdict
// on a change.
func firstSeed(t *testing.T) uint64 {
	t.Helper()
	return number(t, "SLUICE_SEED", 1)
}

// check asks the oracle, and saves a history that is not fine.
func check(t *testing.T, events []*oracle.Event) {
	t.Helper()
	found := oracle.Check(events)
	if len(found) == 0 {
		return
	}
	for _, v := range found[:min(len(found), 10)] {
		t.Error(v)
	}
	f, err := os.CreateTemp("", "sluice-history-"+strings.NewReplacer("/", "-", " ", "").Replace(t.Name())+"-*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := oracle.Save(f, events); err != nil {
		t.Fatal(err)
	}
	t.Fatalf("%d violations; the history is in %s", len(found), f.Name())
}

// TestHistory checks again the history that SLUICE_HISTORY names.
func TestHistory(t *testing.T) {
	name := os.Getenv("SLUICE_HISTORY")
	if name == "" {
		t.Skip("skipped: SLUICE_HISTORY names no history to check again")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events, err := oracle.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range oracle.Check(events) {
		t.Error(v)
	}
	t.Logf("%d events", len(events))
}
