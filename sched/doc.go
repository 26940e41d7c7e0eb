// Package sched holds what every part needs of time and limits: the clock,
// ticks, the group that starts, labels and joins goroutines, and the byte
// budget that buffers are leased from.
//
// Owner: nobody; each type says who may call it.
// Promise: no goroutine is started that its group does not join, and no byte is
// leased above a budget.
// Limits: a single lease is at most LeaseMax bytes.
package sched
