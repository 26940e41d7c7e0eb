package oracle

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/kafka-errors.md anew")

const errorsPage = "../../../docs/kafka-errors.md"

// The page says of each difference why there is one.
func TestErrorsPage(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(errorsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(errorsPage)
	if err != nil || string(got) != want {
		t.Errorf("docs/kafka-errors.md is not what the table in test/kafka/oracle says: go test ./test/kafka/oracle -run Page -args -update makes it anew: %v", err)
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(`# Error codes, compared

` + "`test/kafka/oracle`" + ` sends the same requests, thousands of them, of good and bad parts, with bytes changed in them, or numbered by producers, to
sluice and to kfake, franz-go's fake Kafka broker, and compares the error codes. They are the same but for these. What is said of Apache Kafka is from
its documents and sources; kfake is not a broker, and does not look at everything.

Frames that are malformed in a flexible version are sent to sluice alone, which closes the connection: kfake would count to 2^32 where that many
tags are claimed. Not compared either: topics with a million partitions, and sequence numbers at 2147483647, behind which kfake is off by one.

The timeout in a Produce, as that in requests that change topics, is not looked at. In Apache Kafka it bounds the wait for replicas, of which there
are none here; the wait for the broker's own disk it does not bound there either. A client that gives up on an answer, by its own ` + "`request.timeout.ms`" + `,
closes the connection and sends again.

| request | with | sluice | kfake | why |
|---|---|---|---|---|
`)
	for _, d := range differences {
		name := d.key.String()
		if d.key == anyKey {
			name = "any"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, orAnything(d.what), code(d.ours), code(d.theirs), d.why)
	}
	return b.String()
}

func orAnything(what string) string {
	if what == "" {
		return anything
	}
	return what
}

// code is what an answer says, in the page's words.
func code(s string) string {
	switch s {
	case "-1", "0":
		return "offset " + s
	case "nothing":
		return "no such partition or topic in the answer"
	case anything, refusal, string(closed), string(unanswered), string(answered):
		return s
	}
	return "`" + s + "`"
}
