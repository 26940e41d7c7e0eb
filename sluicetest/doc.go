// Package sluicetest runs a whole sluice server inside a Go test, in one line:
//
//	srv := sluicetest.Start(t)
//	c := srv.Client(t)
//
// Owner: the test. The server listens on free ports of the loopback interface and keeps its logs in a temporary
// directory; t.Cleanup stops it. Any goroutine may use it.
//
// Promise: it is the server of `sluice serve`, with the same stages and files. Its log goes to t.Log. At cleanup it is
// stopped gracefully; a stop that fails or is late, and everything it logged as an error, fail the test.
//
// Limits: it shares the process with the test, so it can't be killed; use the binary for that.
package sluicetest
