package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/stages"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is the file that people copy; it must have every setting, and be what the server does without it.
const example = "../../sluice.example.yaml"

func TestExampleConfigIsTheTable(t *testing.T) {
	want := fine(t, "", "config", "example")
	if *update {
		must(t, os.WriteFile(example, []byte(want), 0o644))
	}
	got, err := os.ReadFile(example)
	must(t, err)
	if string(got) != want {
		t.Fatalf("%s is not what \"sluice config example\" prints: run go test ./cmd/sluice -run Example -update", example)
	}
	conf, err := loadConfig(example, nil, nil)
	must(t, err)
	if conf.Config != stages.Default() {
		t.Fatalf("the example differs from the defaults:\n%+v\n%+v", conf.Config, stages.Default())
	}
	for name, origin := range conf.origins {
		if !strings.HasPrefix(origin, example+":") {
			t.Errorf("%s is not in the example, it comes from: %s", name, origin)
		}
	}
}

func TestConfigFaults(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		name, yaml string
		want       []string // FILE stands for the file's name; none: it is fine
	}{
		{"empty", "", nil},
		{"only a comment", "# nothing\n", nil},
		{"nested and dotted", "stages:\n  writer: {queue: 7}\nstages.flusher.count: 3\ntopic:\n  flush.ms: forever\n", nil},
		{"empty section", "stages:\ntopic:\n", nil},
		{"quoted number", "max_connections: \"12\"\n", nil},
		{"empty value", "http: \"\"\n", nil},
		{"unknown name", "data: x\nlisen: 127.0.0.1:1\n", []string{"FILE:2: there is no setting lisen: did you mean listen?"}},
		{"unknown name, nothing near", "zzzzzzzzzzzz: 1\n", []string{"FILE:1: there is no setting zzzzzzzzzzzz"}},
		{"unknown name inside", "stages:\n  writer:\n    queu: 7\n", []string{"FILE:3: there is no setting stages.writer.queu: did you mean stages.writer.queue?"}},
		{"unknown section", "stage:\n  writer:\n    queue: 7\n", []string{"FILE:1: there is no section stage: did you mean stages?"}},
		{"out of bounds", "\nstages: {writer: {queue: 0}}\n", []string{"FILE:2: stages.writer.queue: 0 is out of bounds: from 1 to 1048576"}},
		{"wrong unit", "max_batch: 8 apples\n", []string{"FILE:1: max_batch: ", "apples"}},
		{"no boolean", "auto_create: yes\n", []string{`FILE:1: auto_create: "yes" is neither true nor false`}},
		{"a list", "data: [a, b]\n", []string{"FILE:1: data: a plain value belongs here, not a list"}},
		{"a mapping for a value", "data: {a: b}\n", []string{"FILE:1: data: a plain value belongs here, not a mapping"}},
		{"a value for a section", "stages: 7\n", []string{"FILE:1: "}},
		{"no value", "data:\n", []string{"FILE:1: data: a plain value belongs here, not nothing"}},
		{"given twice", "data: a\ndata: b\n", []string{"FILE"}},
		{"given twice in two forms", "stages.writer.queue: 7\nstages:\n  writer:\n    queue: 8\n", []string{"FILE:4: stages.writer.queue stands in line 1 already"}},
		{"an alias", "data: &a x\nlisten: *a\n", []string{"FILE:2: listen: a plain value belongs here, not an alias"}},
		{"a merge", "a: &a {b: c}\n<<: *a\n", []string{"FILE:2", "alias"}},
		{"a list at the top", "- a\n", []string{"FILE:1: the file: names with values belong here, not a list"}},
		{"two documents", "data: a\n---\ndata: b\n", []string{"FILE: more than one document"}},
		{"no YAML", "a: [\n", []string{"FILE: "}},
		{"two faults", "lisen: x\nmax_batch: 0\n", []string{"2 faults", "FILE:1: there is no setting lisen", "FILE:2: max_batch: 0 is out of bounds"}},
	} {
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		must(t, os.WriteFile(file, []byte(c.yaml), 0o644))
		status, out, errs := sluice(t, "", "config", "check", file)
		if c.want == nil {
			if status != exitFine || out != "the configuration is fine\n" {
				t.Errorf("%s: status %d: %s", c.name, status, errs)
			}
			continue
		}
		if status != exitFailure || !strings.HasPrefix(errs, "sluice: config check: ") {
			t.Errorf("%s: status %d: %q", c.name, status, errs)
		}
		for _, want := range c.want {
			if want = strings.ReplaceAll(want, "FILE", file); !strings.Contains(errs, want) {
				t.Errorf("%s: %q does not say %q", c.name, errs, want)
			}
		}
	}
}

func TestLayers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	must(t, os.WriteFile(file, []byte("stages:\n  writer: {queue: 7}\n  flusher: {count: 3}\nlisten: 127.0.0.1:7\n"), 0o644))
	conf, err := loadConfig(file, []string{
		"SLUICE_LISTEN=127.0.0.1:8", "SLUICE_STAGES_FLUSHER_COUNT=4", "SLUICE_SERVER=elsewhere:1", "SLUICE_PORT=tcp://10.0.0.1:1774",
		"SLUICE_TOPIC_FLUSH_MS=250", "SLUICE_LISTN=x", "PATH=/bin",
	}, []flagValue{{"listen", "127.0.0.1:9", "--listen"}})
	must(t, err)
	got := map[string]string{}
	for _, s := range stages.Settings() {
		if from := conf.origins[s.Name]; from != "default" {
			got[s.Name] = s.Get(&conf.Config) + " from " + from
		}
	}
	want := map[string]string{
		"stages.writer.queue":  "7 from " + file + ":2",
		"stages.flusher.count": "4 from env SLUICE_STAGES_FLUSHER_COUNT",
		"topic.flush.ms":       "250ms from env SLUICE_TOPIC_FLUSH_MS",
		"listen":               "127.0.0.1:9 from --listen",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if len(conf.warnings) != 1 || !strings.Contains(conf.warnings[0], "SLUICE_LISTN, which is no setting: did you mean SLUICE_LISTEN?") {
		t.Errorf("warnings %q", conf.warnings)
	}
}

func TestExplain(t *testing.T) {
	t.Setenv("SLUICE_TOPIC_FLUSH_MS", "100")
	var list []explained
	must(t, json.Unmarshal([]byte(fine(t, "", "config", "explain", "--json")), &list))
	if len(list) != len(stages.Settings()) {
		t.Errorf("%d settings are explained", len(list))
	}
	for _, e := range list {
		if e.Name == "topic.flush.ms" && (e.Value != "100ms" || e.From != "env SLUICE_TOPIC_FLUSH_MS" || e.Loss == "") {
			t.Errorf("%+v", e)
		}
	}
	table := fine(t, "", "config", "explain")
	if !strings.HasPrefix(table, "SETTING") || strings.Count(table, "\n") != len(list)+1 {
		t.Errorf("%s", table)
	}
	if _, _, errs := sluice(t, "", "config", "explain", "no/such/file"); !strings.Contains(errs, "no/such/file") {
		t.Errorf("%q", errs)
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{"", "data: x\n", "a: [1, {b: *c}]", "stages:\n  writer: {queue: 7}\n", "? [a]\n: b\n", "<<: {a: b}", "---\n---\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &layers{table: stages.Settings()}
		l.origins = map[string]string{}
		l.file("f", b) // must end, and not panic
	})
}
