package main

import (
	"testing"

	"sluice/client"
)

func connect(t *testing.T, addr string) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{Addr: addr})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func shutdown(t *testing.T, addr string) {
	t.Helper()
	must(t, connect(t, addr).Shutdown(t.Context()))
}
