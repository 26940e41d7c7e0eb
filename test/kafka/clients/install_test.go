package clients

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A registry that does not answer makes a client Missing, with a reason that names no host; any other failure does not.
func TestFailedInstallation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		out     string
		missing bool
	}{
		{"one\nGet \"https://proxy.example:443/x\": dial tcp: lookup proxy.example: no such host\ntwo", true},
		{"npm error code ENOTFOUND", true},
		{"Could not transfer artifact a:b:1 from/to central (https://maven.example/maven2)", true},
		{"E: Failed to fetch http://deb.example/debian/dists/x", true},
		{"ERROR: No matching distribution found for confluent-kafka==2", true},
		{"main.go:3: undefined: x", false},
		{"npm error code EUSAGE: package.json and the lock are not in sync", false},
		{"", false},
	} {
		err := failed([]string{"tool", "install"}, c.out, errors.New("exit status 1"))
		var missing Missing
		if errors.As(err, &missing) != c.missing {
			t.Errorf("%q gives %v", c.out, err)
		}
		if strings.Contains(missing.Why, "example") || strings.Contains(missing.Why, "two") {
			t.Errorf("the reason is %q", missing.Why)
		}
	}
}

// A kit whose programs are not on the machine is Missing.
func TestMissingProgram(t *testing.T) {
	t.Parallel()
	err := kit{needs: []string{"no-such-program"}}.install(context.Background(), "", t.TempDir())
	var missing Missing
	if !errors.As(err, &missing) || !strings.Contains(missing.Why, "no-such-program") {
		t.Errorf("%v", err)
	}
}
