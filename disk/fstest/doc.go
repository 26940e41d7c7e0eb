// Package fstest has file systems for tests of package disk: one in memory, and wrappers that trace and that fail. They
// stack: Trace(Fail(NewMem(), ...), ...).
//
// Owner: the test. Any goroutine may use any of them.
// Promise: they keep the contract of disk.FS; one suite runs over all of them and over the operating system's.
// Limits: Mem holds everything in memory, twice for what is synced; it knows no links, no modes, no times.
//
//	mem.go      Mem
//	memfile.go  its files
//	names.go    what open files are called
//	op.go       Op, and the wrapper that Trace and Fail are made of
//	trace.go    Trace
//	fail.go     Fail
package fstest
