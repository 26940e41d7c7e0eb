package oracle

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/wire/text"
)

// history reads a small language, an event a line, one after the other unless it says "begin":
//
//	append 1-1 1-2 at 0 [synced N] [ack A] [log L]   acknowledged; synced is 0 if left out
//	append 1-1 unknown [CODE] | fail CODE | none     answered so; none: not at all
//	begin NAME append 1-1; end NAME at 0             the same with something between
//	read|scan FROM 1-1 1-2/1 1-3@7 [end N]           /epoch and @offset; the end is behind the last one if left out
//	head end N synced N
//	kill, halt, stop, power
func history(t *testing.T, script string) []*Event {
	t.Helper()
	var r Recorder
	open := map[string]*Event{}
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		verb, name := words[0], ""
		if verb == "begin" || verb == "end" {
			name, words = words[1], words[2:]
		} else {
			words = words[1:]
		}
		e := open[name]
		switch op := Op(verb); {
		case op.ends():
			r.End(op)
			continue
		case verb == "begin":
			e = &Event{Op: Op(words[0]), Log: "t/0"}
			words = words[1:]
		case verb != "end":
			e = &Event{Op: op, Log: "t/0"}
		}
		if slices.Contains(words, "log") {
			e.Log = words[slices.Index(words, "log")+1]
		}
		outcome := parseEvent(t, e, words)
		if verb != "end" {
			r.Invoke(e)
		}
		if verb == "begin" {
			open[name] = e
		} else if outcome != "" {
			r.Complete(e, outcome)
		}
	}
	return r.Events()
}

func parseEvent(t *testing.T, e *Event, words []string) Outcome {
	t.Helper()
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		return n
	}
	outcome, due := OK, uint64(0)
	if e.Op == Read || e.Op == Scan {
		e.From, words = number(words[0]), words[1:]
		due = e.From
	}
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "at", "synced", "ack", "log", "end", "fail":
			i++
		}
		switch w := words[i]; words[max(i-1, 0)] {
		case "at":
			e.First, e.Next = number(w), number(w)+uint64(len(e.Values))
		case "synced":
			e.Synced = number(w)
		case "end":
			e.End = number(w)
		case "ack":
			e.Ack = w
		case "log":
		case "fail":
			e.Code, outcome = w, Fail
		default:
			switch {
			case w == "none":
				outcome = ""
			case w == "unknown":
				e.Code, outcome = "UNKNOWN", Unknown
			case e.Op == Append:
				var v Value
				if err := v.UnmarshalText([]byte(w)); err != nil {
					t.Fatalf("%q: %v", w, err)
				}
				e.Client, e.Values = v.Client, append(e.Values, v)
			default:
				rec := Record{Offset: due, Epoch: -1}
				w, at, jumps := strings.Cut(w, "@")
				if jumps {
					rec.Offset = number(at)
				}
				w, epoch, shown := strings.Cut(w, "/")
				if shown {
					rec.Epoch = int32(number(epoch))
				}
				if err := rec.Value.UnmarshalText([]byte(w)); err != nil {
					t.Fatalf("%q: %v", w, err)
				}
				due = rec.Offset + 1
				e.Records, e.End = append(e.Records, rec), due
			}
		}
	}
	return outcome
}

// Each kind of violation is found in a history that has it, and nothing in its honest twin.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         []Kind
	}{
		{"honest", `append 1-1 at 0
			append 2-1 2-2 at 1
			append 1-2 unknown
			append 1-3 fail REFUSED
			append 2-3 at 4 ack synced synced 5
			read 1 2-1 2-2 end 5
			scan 0 1-1 2-1 2-2 1-2 2-3`, nil},
		{"unknown, and not there", "append 1-1 at 0\nappend 1-2 unknown\nscan 0 1-1", nil},
		{"two at once", "begin a append 1-1\nbegin b append 2-1\nend a at 1\nend b at 0\nscan 0 2-1 1-1", nil},

		{"lost suffix", "append 1-1 at 0\nappend 1-2 at 1\nkill\nscan 0 1-1", []Kind{NonMonotonic, LostWrite}},
		{"lost all", "append 1-1 at 0\nkill\nscan 0", []Kind{NonMonotonic, LostWrite}},
		{"lost prefix", "append 1-1 at 0\nappend 1-2 at 1\nkill\nscan 1 1-2@1", []Kind{LostWrite}},
		{"lost in the middle", "append 1-1 at 0\nappend 1-2 at 1\nappend 1-3 at 2\nkill\nscan 0 1-1 1-3@2", []Kind{Dense, Dense, LostWrite}},
		{"read, then lost", "append 1-1 none\nread 0 1-1\nkill\nscan 0", []Kind{NonMonotonic, LostWrite}},
		{"written, and a power cut", "append 1-1 at 0\nappend 1-2 at 1\npower\nscan 0 1-1", nil},
		{"synced, and a power cut", "append 1-1 at 0 ack synced synced 1\npower\nscan 0", []Kind{LostWrite}},
		{"told to be synced", "append 1-1 at 0\nappend 1-2 at 1 synced 1\npower\nscan 0", []Kind{LostWrite}},
		{"told by HEAD to be synced", "append 1-1 at 0\nhead end 1 synced 1\npower\nscan 0", []Kind{LostWrite}},
		{"stopped in order, and a power cut", "append 1-1 at 0\nstop\npower\nscan 0", []Kind{LostWrite}},
		{"lost by the second cut", "append 1-1 at 0\npower\nscan 0 1-1\nhead end 1 synced 1\npower\nscan 0", []Kind{LostWrite}},
		{"sent before an acked one", "append 1-1 none\nappend 1-2 at 0\nscan 0 1-2", []Kind{LostWrite}},
		{"refused before an acked one", "append 1-1 unknown\nappend 1-2 at 0\nscan 0 1-2", nil},
		{"sent behind all acked ones", "append 1-1 at 0\nappend 1-2 none\nscan 0 1-1", nil},

		{"never sent", "append 1-1 at 0\nread 0 1-1 9-9", []Kind{Phantom}},
		{"garbled", "append 1-1 at 0\nread 0 0-0", []Kind{Phantom}},
		{"read before it was sent", "read 0 1-1\nappend 1-1 at 0", []Kind{Phantom, RealTime}},
		{"of another log", "append 1-1 at 0\nread 0 1-1 log u/0", []Kind{Phantom}},
		{"back from the dead", "append 1-1 at 0\npower\nscan 0\nread 0 1-1", []Kind{Phantom}},

		{"twice", "append 1-1 unknown\nread 0 1-1 1-1", []Kind{Duplicate}},
		{"elsewhere than acknowledged", "append 1-1 none\nappend 2-1 at 0\nread 0 1-1", []Kind{Inconsistent}},
		{"two values acknowledged", "begin a append 1-1\nappend 2-1 at 0\nend a at 0", []Kind{Inconsistent}},
		{"two values read", "append 1-1 none\nappend 2-1 none\nread 0 1-1\nread 0 2-1", []Kind{Inconsistent}},
		{"another one behind a kill", "append 1-1 none\nread 0 1-1\nkill\nappend 2-1 none\nread 0 2-1", []Kind{RealTime, Inconsistent}},
		{"another one behind a power cut", "append 1-1 none\nread 0 1-1/0\npower\nscan 0\nappend 2-1 at 0\nread 0 2-1/1", nil},
		{"another one, in the same epoch", "append 1-1 none\nread 0 1-1/0\npower\nscan 0\nappend 2-1 at 0\nread 0 2-1/0", []Kind{Inconsistent, Epoch}},
		{"another one, never read, in the same epoch", "append 1-1 at 0\nread 0 1-1/0\nappend 1-2 at 1\npower\nscan 0 1-1/0\nappend 2-1 at 1\nread 0 1-1/0 2-1/0", []Kind{Inconsistent, Epoch}},
		{"a hole that was filled with old ones", "append 1-1 at 0\nappend 2-1 unknown\nappend 1-2 at 2\npower\nscan 0 1-1 1-2", []Kind{Duplicate}},
		{"another old one", "append 2-1 unknown\nappend 1-1 at 0\npower\nscan 0 2-1", []Kind{Inconsistent}},

		{"a refused one is read", "append 1-1 fail REFUSED\nread 0 1-1", []Kind{AbortedRead}},
		{"the end goes back", "append 1-1 at 0\nread 0 end 0", []Kind{NonMonotonic}},
		{"the end of a read goes back", "append 1-1 none\nread 0 1-1\nread 0 end 0", []Kind{NonMonotonic}},
		{"synced goes back", "append 1-1 at 0 synced 1\nappend 1-2 at 1", []Kind{NonMonotonic}},
		{"synced goes back behind a kill", "append 1-1 at 0 synced 1\nkill\nhead end 1 synced 0", []Kind{NonMonotonic}},
		{"more than the end", "append 1-1 none\nread 0 1-1 end 0", []Kind{NonMonotonic}},
		{"an offset is skipped", "append 1-1 none\nappend 2-1 none\nread 0 1-1 2-1@2", []Kind{Dense}},
		{"not from where it was asked for", "append 1-1 none\nread 0 1-1@1", []Kind{Dense}},
		{"a range of another length", "append 1-1 1-2 at 0\nappend 1-3 at 1", []Kind{RealTime, Inconsistent}},
		{"a client's order", "append 1-1 none\nappend 1-2 none\nscan 0 1-2 1-1", []Kind{Order}},
		{"an offset from the past", "append 1-1 none\nappend 2-1 at 1\nappend 3-1 at 0", []Kind{RealTime}},
		{"an unknown one in the past", "append 1-1 at 1\nappend 2-1 unknown\nscan 0 2-1 1-1", []Kind{RealTime}},
		{"a part of a batch", "append 1-1 1-2 1-3 unknown\nscan 0 1-1 1-2", []Kind{Partial}},
		{"a batch without its front", "append 1-1 1-2 unknown\nscan 0 1-2", []Kind{Partial}},
		{"a batch that was torn apart", "append 1-1 1-2 unknown\nappend 2-1 unknown\nscan 0 1-1 2-1 1-2", []Kind{Partial, Partial}},
		{"synced, and says it is not", "append 1-1 at 0 ack synced", []Kind{Dishonest}},

		{"no new epoch behind a kill", "append 1-1 at 0\nkill\nappend 2-1 at 1\nread 0 1-1/0 2-1/0", []Kind{Epoch}},
		{"a new epoch behind a kill", "append 1-1 at 0\nkill\nappend 2-1 at 1\nread 0 1-1/0 2-1/1", nil},
		{"the same epoch behind a stop", "append 1-1 at 0\nstop\nappend 2-1 at 1 synced 1\nread 0 1-1/3 2-1/3", nil},
		{"the same epoch behind a stop that was cut short", "append 1-1 at 0\nhalt\nappend 2-1 at 1\nread 0 1-1/3 2-1/3", nil},
		{"lost by a stop that was cut short", "append 1-1 at 0\nhalt\nscan 0", []Kind{NonMonotonic, LostWrite}},
		{"the same epoch behind a stop and a kill of a run without appends", "append 1-1 at 0\nstop\nkill\nappend 2-1 at 1 synced 1\nread 0 1-1/3 2-1/3", nil},
		{"the same epoch behind a run whose appends a power cut took", "append 1-1 at 0\nstop\nappend 2-1 at 1 synced 1\npower\nscan 0 1-1/3\nappend 3-1 at 1 synced 1\nread 0 1-1/3 3-1/3", []Kind{Epoch}},
		{"no new epoch behind a kill and a stop", "append 1-1 at 0\nkill\nstop\nappend 2-1 at 1 synced 1\nread 0 1-1/0 2-1/0", []Kind{Epoch}},
		{"an epoch goes back", "append 1-1 at 0\nstop\nappend 2-1 at 1 synced 1\nread 0 1-1/1 2-1/0", []Kind{Epoch, Epoch}},
		{"two epochs in a run", "append 1-1 at 0\nappend 1-2 at 1\nread 0 1-1/0 1-2/1", []Kind{Epoch}},
		{"an epoch that changes", "append 1-1 at 0\nread 0 1-1/0\nread 0 1-1/1", []Kind{Epoch, Epoch}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []Kind
			for _, v := range Check(history(t, c.script)) {
				got = append(got, v.Kind)
				t.Log(v)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

// The losses that a scan shows tell where they are.
func TestShapes(t *testing.T) {
	for script, want := range map[string]string{
		"append 1-1 at 0\nkill\nscan 0":                                                   "suffix",
		"append 1-1 at 0\nappend 1-2 at 1\nkill\nscan 1 1-2@1":                            "prefix",
		"append 1-1 at 0\nappend 1-2 at 1\nappend 1-3 at 2\nkill\nscan 0 1-1 1-3@2 end 3": "middle",
	} {
		found := Check(history(t, script))
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Kind == LostWrite && strings.Contains(v.Text, want) }) {
			t.Errorf("%q: %v, want a lost %s", script, found, want)
		}
	}
}

// Every code of the protocol is in the reviewed table, and nothing else is.
func TestEveryCodeHasAnOutcome(t *testing.T) {
	n := 0
	for c := text.Code(1); c.String() != "?"; c++ {
		n++
		if _, ok := codes[c.String()]; !ok {
			t.Errorf("%v is missing in the table", c)
		}
	}
	if n != len(codes) {
		t.Errorf("the table has %d codes, the protocol %d", len(codes), n)
	}
	if got := OutcomeOf("NEVER_HEARD_OF"); got != Unknown {
		t.Errorf("an unknown code is taken for %q", got)
	}
}

// One changed byte makes it nobody's value.
func TestValuesAreTold(t *testing.T) {
	for _, size := range []int{0, 20, 500} {
		v := Value{7, 42}
		b := v.Encode(size)
		if len(b) < size || Decode(b) != v {
			t.Fatalf("%q is %v", b, Decode(b))
		}
		for i := range b {
			bad := bytes.Clone(b)
			bad[i] ^= 1
			if got := Decode(bad); got != (Value{}) {
				t.Fatalf("%q is taken for %v", bad, got)
			}
			if got := Decode(b[:i]); got != (Value{}) {
				t.Fatalf("%q is taken for %v", b[:i], got)
			}
		}
	}
}

// simulate makes a random honest history: an exact log, clients whose answers are lost now and then, kills and power cuts.
func simulate(rng *rand.Rand) []*Event {
	var r Recorder
	var log []Record
	synced, epoch, n := 0, int32(0), uint32(0)
	client := r.Client()
	scan := func(op Op, from int) {
		e := r.Invoke(&Event{Op: op, Log: "t/0", From: uint64(from), End: uint64(len(log)), Records: append([]Record(nil), log[from:]...)})
		r.Complete(e, OK)
	}
	for range 40 {
		switch k := rng.IntN(12); {
		case k < 7:
			e := &Event{Op: Append, Log: "t/0", Client: client, Ack: []string{"written", "synced"}[rng.IntN(2)]}
			for range 1 + rng.IntN(3) {
				n++
				e.Values = append(e.Values, Value{client, n})
			}
			r.Invoke(e)
			if rng.IntN(10) == 0 {
				e.Code = "REFUSED"
				r.Complete(e, Fail)
				continue
			}
			e.First = uint64(len(log))
			for _, v := range e.Values {
				log = append(log, Record{uint64(len(log)), epoch, v})
			}
			e.Next = uint64(len(log))
			if e.Ack == "synced" {
				synced = len(log)
			}
			e.Synced = uint64(synced)
			r.Complete(e, OK)
		case k < 9:
			scan(Read, rng.IntN(len(log)+1))
		case k == 9:
			scan(Scan, 0)
		default:
			op := []Op{Kill, Power, Stop}[rng.IntN(3)]
			r.End(op)
			if op == Power {
				keep := synced + rng.IntN(len(log)-synced+1)
				log = cutToBatch(r.Events(), log, keep, synced)
			}
			if op != Stop {
				epoch++
			}
			client, n, synced = r.Client(), 0, len(log)
			scan(Scan, 0)
		}
	}
	scan(Scan, 0)
	return r.Events()
}

// cutToBatch cuts at the last batch boundary at or before keep, but never below what is synced.
func cutToBatch(events []*Event, log []Record, keep, synced int) []Record {
	at := synced
	for _, e := range events {
		if e.Op == Append && e.Outcome == OK && int(e.Next) <= keep && int(e.Next) > at && log[e.Next-1].Value == e.Values[len(e.Values)-1] {
			at = int(e.Next)
		}
	}
	return log[:at]
}

// Random honest histories are honest, before and behind being saved; and one that is bent is not.
func TestRandomHistories(t *testing.T) {
	bends := map[string]func([]*Event, *Event, *rand.Rand) bool{
		"drop a record": func(_ []*Event, e *Event, rng *rand.Rand) bool {
			i := rng.IntN(len(e.Records))
			e.Records = slices.Delete(slices.Clone(e.Records), i, i+1)
			return true
		},
		"swap two": func(_ []*Event, e *Event, rng *rand.Rand) bool {
			i := rng.IntN(len(e.Records))
			if i == 0 {
				return false
			}
			e.Records[i].Value, e.Records[i-1].Value = e.Records[i-1].Value, e.Records[i].Value
			return true
		},
		"double one": func(_ []*Event, e *Event, rng *rand.Rand) bool {
			i := rng.IntN(len(e.Records))
			if i == 0 {
				return false
			}
			e.Records[i].Value = e.Records[i-1].Value
			return true
		},
		"invent one": func(_ []*Event, e *Event, rng *rand.Rand) bool {
			e.Records[rng.IntN(len(e.Records))].Value = Value{99, 1}
			return true
		},
		"cut the end": func(_ []*Event, e *Event, rng *rand.Rand) bool {
			e.Records = e.Records[:rng.IntN(len(e.Records))]
			e.End = uint64(len(e.Records))
			return true
		},
		"move an ack": func(events []*Event, last *Event, rng *rand.Rand) bool {
			for _, i := range rng.Perm(len(events)) { // one that is there: nobody knows where one that was cut away has been
				e := events[i]
				if e.Op == Append && e.Outcome == OK && slices.ContainsFunc(last.Records, func(r Record) bool { return r.Value == e.Values[0] }) {
					e.First, e.Next = e.First+1, e.Next+1
					return true
				}
			}
			return false
		},
	}
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 0))
		events := simulate(rng)
		if found := Check(events); len(found) > 0 {
			t.Fatalf("seed %d: an honest history: %v", seed, found)
		}
		var saved bytes.Buffer
		if err := Save(&saved, events); err != nil {
			t.Fatal(err)
		}
		file := saved.Bytes()
		for name, bend := range bends {
			again, err := Load(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			if name == "drop a record" && !reflect.DeepEqual(events, again) {
				t.Fatalf("seed %d: a history is not what was saved", seed)
			}
			last := again[len(again)-1]
			if len(last.Records) == 0 || !bend(again, last, rng) {
				continue
			}
			if found := Check(again); len(found) == 0 {
				t.Fatalf("seed %d: %s: nothing found in\n%.4000s", seed, name, dump(again))
			}
		}
	}
	if _, err := Load(strings.NewReader("{}\n{")); err == nil {
		t.Error("half a history was loaded")
	}
}

func dump(events []*Event) string {
	var b bytes.Buffer
	if err := Save(&b, events); err != nil {
		return fmt.Sprint(err)
	}
	return b.String()
}
