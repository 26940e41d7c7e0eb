// Package oracle sends the same bytes to this server and to another implementation of a Kafka broker, and compares the answers.
//
// Job: thousands of requests, made of good and bad parts, or with bytes changed in them; the same error codes from both, or a line in a table that
// says which of them is right and why.
// Owner: tests only.
// Promise: a seed gives the same requests each time, and a failure prints seed, number and bytes.
// Limits: the other broker is a fake: where it does not look at something at all, what Apache Kafka does is known from its
// documents only. Frames that it can't stand are sent to this server alone.
package oracle
