package text

import (
	"flag"
	"os"
	"testing"
)

// TestMain fixes the seed of the properties' random cases, unless -rapid.seed gives one: what chance finds is no verdict on
// a change.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
