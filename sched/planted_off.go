//go:build !planted

package sched

// Planted tells whether a bug that was built in on purpose is switched on, so that tests can be tested: each one must turn
// a test red. Without the build tag there are none, and the compiler leaves the places out.
func Planted(string) bool { return false }
