// Command bench measures sluice against the raw limits of the machine and against its peers.
//
// Job: the workloads W1 to W5, W7 and W8 (steps.go says what each is), and the long ones (long.go: W9, the rolls and the
// replay of W6, followers by the thousand, W10, the choices behind a log's files), over sockets of its own (no client
// library stands between the clock and the server, but in W11, which is about Kafka's), each next to the limit it is compared with, in
// rounds, so that both see the same machine. The servers, the raw ones included, run in processes of
// their own, as a user would have it, and so do consumers: this program starts itself again for an echo, a pipeline,
// a sender of files, a fan, or a crowd.
// Owner: main; a step uses as many goroutines as it has connections and joins them.
// Promise: a figure is a ratio taken in one round, with the durability of both sides named; a peer that
// is not there is named as missing. Latencies are kept whole, as HDR histograms.
// Limits: loopback only; payloads are 1 KiB and do not compress; three rounds are no proof, they show spread.
package main
