package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// Options say how to reach a server. The zero value reaches one on this machine.
type Options struct {
	Addr          string        // host:port; "" = 127.0.0.1:1774
	Name          string        // what the server may show for this client, without control bytes; "" = sluice-go
	DialTimeout   time.Duration // connecting and greeting; 0 = 5s
	AnswerTimeout time.Duration // a request without an answer for so long, beyond what it asked to wait, ends its connection; 0 = 30s
	Retry         Retry
	// Dial opens a connection; nil = TCP by net.Dialer. For TLS, or a test without sockets.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Retry says how long, and how often, something that provably had no effect is tried again.
type Retry struct {
	For time.Duration // from the first failure on, without a success between; 0 = 10s, negative = never try again
	Min time.Duration // the first pause; each next is twice as long, and a random half of it is left out; 0 = 20ms
	Max time.Duration // the longest pause; 0 = 1s
}

// Codec says how a Producer compresses its batches.
type Codec = batch.Codec

// The codecs a Producer can use. A Consumer reads every codec of Kafka's.
const (
	None = batch.None
	LZ4  = batch.LZ4
)

// Ack is a level of acknowledgement; the zero value leaves it to the topic.
type Ack = text.Ack

// The levels, from the weakest promise to the strongest.
const (
	AckDefault = text.AckDefault // the topic's own level
	AckNone    = text.AckNone    // no answer, no offset, nothing is promised
	AckWritten = text.AckWritten // survives the end of the server's process
	AckSynced  = text.AckSynced  // survives a power cut
)

// UnknownPolicy says what a Producer does with records whose outcome is unknown.
type UnknownPolicy uint8

const (
	// UnknownFail gives these records ErrUnknown and never sends them again.
	UnknownFail UnknownPolicy = iota
	// UnknownResend sends them again, in their order. Each may then be in the log twice, the second one behind records
	// that follow it: the server may carry out the first sending late.
	UnknownResend
)

// SequencePolicy says whether a Producer numbers its records.
type SequencePolicy uint8

const (
	// SequencesAuto numbers them where the server offers that, and an ack is asked for: then what is sent again is appended
	// once, and what was sent when a connection is lost is sent again, for as long as Retry says.
	SequencesAuto SequencePolicy = iota
	// SequencesOff leaves it: what was sent when a connection is lost has an unknown outcome.
	SequencesOff
)

// ProducerOptions tune a Producer. The zero value is fit for most.
type ProducerOptions struct {
	Ack   Ack
	Codec Codec // None or LZ4
	// Linger is how long a batch waits for more records before it is sent. 0 sends as soon as the request before it is
	// out, which batches by itself under load.
	Linger time.Duration
	// BatchBytes is the size at which a batch is full, before compression; 0 = 128 KiB. A larger record has its own.
	BatchBytes int
	// MaxBatchBytes bounds a batch, and so a record: the topic's max.message.bytes must be at least that. 0 = 1 MiB.
	MaxBatchBytes int
	// MaxBuffered bounds the memory of records accepted and not answered; more of them wait. A batch counts as BatchBytes
	// from its first record on, or as what a larger record needs. 0 = 16 MiB.
	MaxBuffered int
	// MaxInFlight bounds the requests without an answer on the connection; 0 = 4. With 1 and StopOnError, what is in the
	// log is always a prefix of what was sent.
	MaxInFlight int
	// Sequences says whether records are numbered; the zero value does so wherever it can. Then at most 5 requests are in
	// flight (Hello.Sequences), whatever MaxInFlight says.
	Sequences SequencePolicy
	// OnUnknown says what happens to records whose outcome is unknown and that are not numbered; the zero value fails them.
	OnUnknown UnknownPolicy
	// StopOnError ends the Producer at the first record that fails: all records behind it that were not sent, and all
	// later ones, fail with ErrStopped. With sequences it also ends when the server has lost what it had acknowledged.
	StopOnError bool
	// OnBatch, if set, is told of each batch when its outcome is known, before the callbacks of its records and on
	// their goroutine. It must not call the Producer.
	OnBatch func(BatchInfo)
}

// BatchInfo is what a Producer tells about a batch.
type BatchInfo struct {
	Result            // of the batch's first record; nothing if Err is set
	Records int       // how many
	Bytes   int       // of their keys and values
	Opened  time.Time // when its first record was accepted
	Err     error     // nil: appended (with AckNone: sent)
}

// ConsumerOptions tune a Consumer. The zero value reads from the oldest record to the end.
type ConsumerOptions struct {
	From   From  // where to start, unless the Store knows better; the zero value is the oldest record
	Follow bool  // at the end, wait for more; else stop at the end as it was when the reading began
	Limit  int64 // stop after so many records; 0 = no limit
	// FetchBytes is how much to ask for at a time; 0 = 1 MiB. A larger batch still comes, alone.
	FetchBytes int
	// Prefetch is how many such pieces may wait, fetched, for the loop; 0 = 2.
	Prefetch int
	// Wait is how long the server may hold a request at the end of the log; 0 = 5s. Only with Follow.
	Wait time.Duration
	// MaxDecoded bounds the decoded records of a compressed batch; 0 = 64 MiB. A larger one is a gap.
	MaxDecoded int
	// ShareBytes saves a copy: the bytes of a Record are then valid only until the loop asks for the next one.
	ShareBytes bool
	// Store keeps the position across runs; nil = it isn't kept.
	Store Store
}

const (
	defaultAddr    = "127.0.0.1:1774"
	defaultName    = "sluice-go"
	defaultBatch   = 128 << 10
	defaultMax     = 1 << 20
	defaultBuffer  = 16 << 20
	maxInFlightMax = 1 << 10 // answers that wait unread hold memory at the server
	prefetchMax    = 1 << 10
)

// A payload of the largest batch must fit what FETCH may bring, or a Consumer could not read what a Producer sent.
const _ = uint(fetchMax - batch.MaxSize)

// faults gathers what is wrong with options, so that one look mends all of it.
type faults struct {
	what string
	list []string
}

func (f *faults) check(fine bool, format string, args ...any) {
	if !fine {
		f.list = append(f.list, fmt.Sprintf(format, args...))
	}
}

func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return errors.New(f.what + ": " + strings.Join(f.list, "; "))
}

func (o Options) withDefaults() (Options, error) {
	o.Addr = cmp.Or(o.Addr, defaultAddr)
	o.Name = cmp.Or(o.Name, defaultName)
	o.DialTimeout = cmp.Or(o.DialTimeout, 5*time.Second)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 30*time.Second)
	o.Retry.For = cmp.Or(o.Retry.For, 10*time.Second)
	o.Retry.Min = cmp.Or(o.Retry.Min, 20*time.Millisecond)
	o.Retry.Max = cmp.Or(o.Retry.Max, max(time.Second, o.Retry.Min))
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	f := faults{what: "client options"}
	_, port, err := net.SplitHostPort(o.Addr)
	f.check(err == nil && port != "", "Addr %q is no host:port", o.Addr)
	f.check(len(o.Name) <= maxName, "Name has %d bytes: at most %d", len(o.Name), maxName)
	f.check(o.DialTimeout > 0, "DialTimeout %v is negative", o.DialTimeout)
	f.check(o.AnswerTimeout > 0, "AnswerTimeout %v is negative", o.AnswerTimeout)
	f.check(o.Retry.Min > 0, "Retry.Min %v is negative", o.Retry.Min)
	f.check(o.Retry.Max >= o.Retry.Min, "Retry.Max %v is below Retry.Min %v", o.Retry.Max, o.Retry.Min)
	return o, f.err()
}

func (o ProducerOptions) withDefaults(serverMax int) (ProducerOptions, error) {
	o.MaxBatchBytes = cmp.Or(o.MaxBatchBytes, min(defaultMax, serverMax))
	o.BatchBytes = cmp.Or(o.BatchBytes, min(defaultBatch, o.MaxBatchBytes))
	o.MaxBuffered = cmp.Or(o.MaxBuffered, max(defaultBuffer, o.MaxBatchBytes))
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 4)
	f := faults{what: "producer options"}
	f.check(o.Ack <= AckSynced, "Ack %v is not offered: none, written or synced", o.Ack)
	f.check(o.Codec == None || o.Codec == LZ4, "Codec %v can't be written: none or lz4", o.Codec)
	f.check(o.Linger >= 0, "Linger %v is negative", o.Linger)
	f.check(o.MaxBatchBytes >= MinBatchBytes && o.MaxBatchBytes <= serverMax,
		"MaxBatchBytes %d is out of bounds: %d to %d, the server's max_batch", o.MaxBatchBytes, MinBatchBytes, serverMax)
	f.check(o.BatchBytes >= MinBatchBytes && o.BatchBytes <= o.MaxBatchBytes,
		"BatchBytes %d is out of bounds: %d to MaxBatchBytes (%d)", o.BatchBytes, MinBatchBytes, o.MaxBatchBytes)
	f.check(o.MaxBuffered >= o.MaxBatchBytes, "MaxBuffered %d is below MaxBatchBytes (%d)", o.MaxBuffered, o.MaxBatchBytes)
	f.check(o.MaxInFlight >= 1 && o.MaxInFlight <= maxInFlightMax, "MaxInFlight %d is out of bounds: 1 to %d", o.MaxInFlight, maxInFlightMax)
	f.check(o.Sequences <= SequencesOff, "Sequences %d is neither SequencesAuto nor SequencesOff", o.Sequences)
	f.check(o.OnUnknown <= UnknownResend, "OnUnknown %d is neither UnknownFail nor UnknownResend", o.OnUnknown)
	return o, f.err()
}

func (o ConsumerOptions) withDefaults() (ConsumerOptions, error) {
	o.FetchBytes = cmp.Or(o.FetchBytes, 1<<20)
	o.Prefetch = cmp.Or(o.Prefetch, 2)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.MaxDecoded = cmp.Or(o.MaxDecoded, 64<<20)
	f := faults{what: "consumer options"}
	f.check(o.From.valid(), "From %v is out of bounds: 0 to 2^63-1", o.From)
	f.check(o.Limit >= 0, "Limit %d is negative", o.Limit)
	f.check(o.FetchBytes >= 1 && o.FetchBytes <= fetchMax, "FetchBytes %d is out of bounds: 1 to %d", o.FetchBytes, fetchMax)
	f.check(o.Prefetch >= 1 && o.Prefetch <= prefetchMax, "Prefetch %d is out of bounds: 1 to %d", o.Prefetch, prefetchMax)
	f.check(o.Wait > 0, "Wait %v is negative", o.Wait)
	f.check(o.MaxDecoded > 0, "MaxDecoded %d is negative", o.MaxDecoded)
	return o, f.err()
}

// backoff doubles the pause with each attempt, and leaves out a random half of it: clients that lost the same server
// must not come back in step.
func backoff(r Retry, attempt int) time.Duration {
	pause := r.Max
	if attempt < 40 && r.Min<<attempt>>attempt == r.Min {
		pause = min(r.Max, r.Min<<attempt)
	}
	return pause/2 + rand.N(pause/2+1)
}
