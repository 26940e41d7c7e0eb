// Package repo holds the rules of the repository that a program can check, as tests.
//
// Job: which package may import which, how long files and functions may be, words that may not
// appear, and a few habits (no sleep in a test, no panic but for our own bugs, no option functions).
// Owner: whoever changes a rule; the reason for each stands beside its guard.
// Promise: every guard is shown to fail, by a planted example in planted_test.go.
// Limits: guards read syntax, not types; they see what is in the tree, committed or not.
package repo
