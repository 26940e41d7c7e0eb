// Package matrix is one suite of behaviours, run against the server in many configurations and through every way there
// is to speak to it: the text protocol on a socket, the Go client, the command line.
//
// Job: what the server promises must hold whatever its queues, buffers, segments and ack levels are. A behaviour is
// written once, against a session; a driver makes sessions; a configuration is a row of settings. Each combination is a
// cell of the matrix.
// Owner: whoever adds a setting adds a configuration with its extremes; whoever adds a verb or an option of the client
// adds a behaviour.
// Promise: every cell is accounted for. It passes; or it is in the table of expected failures, with a reason, and then it
// fails the run once it passes; or its driver can't express it, and the driver's table says why. The run ends with all
// three tables.
// Limits: single machine, no faults of the disk, no clock; those have suites of their own.
package matrix
