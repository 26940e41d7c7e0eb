//go:build planted

package sched

import "syscall"

// Of syscall, because this layer does without os, which opens files.
var planted, _ = syscall.Getenv("SLUICE_PLANTED")

// Planted tells whether this bug is the one that SLUICE_PLANTED names.
func Planted(bug string) bool { return bug != "" && bug == planted }
