// Package clients brings real Kafka clients onto this machine and drives them, each by a small program of its own.
//
// Job: install what a client needs from its registry into bin/kafka-clients, once for each version of the files that pin
// it (golang, python, node, java beside this file); start its driver; hand it requests and bring its answers.
// Owner: whoever adds a client. A client in the table All is in the matrix of docs/kafka.md from the next run on.
// Promise: all drivers understand the same requests and answer alike, so that a test is written once. A client that cannot
// be had is a Missing with its reason, and anything else that goes wrong is not.
// Limits: one request at a time for each driver; each is carried out with a client that is made for it and closed behind
// it. Test programs in any number of processes may install at the same time: one does, and the others wait.
package clients
