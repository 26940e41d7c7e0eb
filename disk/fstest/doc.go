// Package fstest has file systems for tests of package disk: one in memory, which power cuts and kills can be tried on, and
// wrappers that trace, fail, die and dawdle. They stack: Trace(Fail(NewMem(), ...), ...).
//
// Owner: the test. Any goroutine may use any of them.
// Promise: they keep the contract of disk.FS; one suite runs over all of them and over the operating system's. What they
// promise of power cuts is a list of its own, Promises, for any file system that can be cut off.
// Limits: Mem knows no links, no modes, no times, and takes names for free. Its power cut knows no order between changes:
// that is harder than a journal. Only a rename is one change, and a file has one name.
//
//	mem.go        Mem: names, locks, space
//	memfile.go    its files
//	cold.go       what of them is in memory
//	content.go    bytes that clones share
//	names.go      directories that clones share
//	crash.go      what is left after a kill and after a power cut
//	promises.go   what must be left
//	opennames.go  what open files are called
//	op.go         Op, and the wrapper that the others are made of
//	trace.go      Trace
//	fail.go       Fail
//	stop.go       Stop and Slow
//	handles.go    Handles: descriptors, counted
package fstest
