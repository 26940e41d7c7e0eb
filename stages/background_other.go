//go:build !linux

package stages

// Threads have no priority of their own where this is not Linux.
func background() {}
