// Package crash ends the server in every way there is, and asks the log oracle what it has lost.
//
// Job: SIGKILL under load, at start and at stop; errors of the kernel, injected by strace or made by real file systems
// that fill up, go read-only, lose their device or lose their power; damage by hand; copies of a live directory.
// Owner: whoever changes what happens at the end of a process, or at the start of the next.
// Promise: a run prints its seed and what it has checked. A history that shows a violation is saved as a file, and
// SLUICE_HISTORY=file go test -run TestHistory checks it again. Everything that a test mounts or starts ends with it.
// Limits: tests of the real kernel need root, strace or loop devices; where these are missing they say so and skip.
//
//	SLUICE_SEED=n    the seed of the first round; printed by every run
//	SLUICE_KILLS=n   kill cycles, 100 if not given
//	SLUICE_CUTS=n    power cuts of a real file system, 12 if not given
//	SLUICE_KAFKA_KILLS=n, SLUICE_KAFKA_CUTS=n    of these under real Kafka producers, each client's: 2 and 1 if not given
//	SLUICE_BIN=path  the binary; built from the sources if not given
package crash
