//go:build !invariants

package sched

// Invariants switches the dear checks on: build with -tags invariants.
const Invariants = false
