// Package oracle decides whether a server has kept its promises, from a history of what its clients saw.
//
// Job: values that cannot be confused, a history of events, and Check, which finds everything in a history that no honest
// log could have produced: records lost, invented, doubled, swapped, read though they were refused.
// Owner: nobody; there is no state between calls. A Recorder may be used from any goroutine, a Client from one.
// Promise: pure functions of their input. A history that is saved and loaded gives the same verdict.
// Limits: one server at a time, so one copy of each log; all of a history is in memory, about 100 bytes a record.
package oracle
