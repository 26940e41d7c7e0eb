//go:build invariants

package sched

// Invariants switches the dear checks on: tests run once with this tag.
const Invariants = true
