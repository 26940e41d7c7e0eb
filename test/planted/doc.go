// Package planted tests the tests: every bug that can be built in on purpose must turn a named test red.
//
// Job: the table of planted bugs, and a run of each against the tests that must catch it.
// Owner: whoever puts a point into the sources (sched.Planted) adds its row here, with the tests that see it.
// Promise: a bug that nothing catches, a row without a point, a point without a row and a test that is red without a bug
// all fail the run. The rows are printed into docs/faults.md.
// Limits: tests of the named packages only; each is compiled once.
package planted
