package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A brokerLoad is one thing that clients of Kafka do.
type brokerLoad struct {
	name            string
	conns, inFlight int    // as the tables show it; inFlight 0: at a fixed rate
	only            string // of this level; "": of all
	cold            bool   // is no part of the warm-up
	run             func(context.Context, *broker, window) (tally, error)
}

// rates are far below what either broker can do, so that what is seen is latency and no queue.
const (
	produceRate  = 2000
	deliveryRate = 1000
)

func (s suite) brokerLoads() []brokerLoad {
	return append([]brokerLoad{
		{name: "one", conns: 1, inFlight: 1, run: produceOne},
		{name: "2k/s", conns: 1, run: producePaced},
		{name: "all it can", conns: 1, inFlight: clientLinks, run: produceAll},
		{name: "delivery", conns: 1, run: deliver, only: "written"},
		{name: "catch up", conns: 1, inFlight: 1, run: catchUp, only: "written"},
		{name: "catch up drained", conns: 1, inFlight: 1, run: catchUpDrained, only: "written"},
	}, s.toolLoads()...)
}

// produceOne sends a record when the one before was acknowledged.
func produceOne(ctx context.Context, b *broker, w window) (tally, error) {
	return b.producing(ctx, 1, w, func(cl *kgo.Client, topic string, t *tally) error {
		value := noise(rawRequest)
		for {
			begun := time.Now()
			if begun.After(w.until) {
				break
			}
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
				return err
			}
			if now := time.Now(); begun.After(w.from) && now.Before(w.until) {
				t.add(now.Sub(begun), rawRequest)
			}
		}
		return nil
	})
}

// producing gives a producer a topic of its own, of so many partitions.
func (b *broker) producing(ctx context.Context, partitions int32, w window, produce func(*kgo.Client, string, *tally) error) (tally, error) {
	return b.withTopic(ctx, partitions, func(topic string) (tally, error) {
		cl, err := b.client(kgo.MaxBufferedRecords(10_000))
		if err != nil {
			return tally{}, err
		}
		defer cl.Close()
		t := tally{hist: newHist(), took: w.until.Sub(w.from)}
		err = produce(cl, topic, &t)
		return t, err
	})
}

func (t *tally) add(d time.Duration, payload int) {
	record(t.hist, d)
	t.ops++
	t.bytes += int64(payload)
}

// producePaced is an open loop: a record's latency counts from the moment it was due.
func producePaced(ctx context.Context, b *broker, w window) (tally, error) {
	return b.producing(ctx, 1, w, func(cl *kgo.Client, topic string, t *tally) error {
		value := noise(rawRequest)
		var failed error // promises are kept one after the other, and all of them before sendRecords returns
		err := sendRecords(ctx, cl, w, produceRate, func(due time.Time) {
			cl.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err
				}
				if due.After(w.from) {
					t.add(time.Since(due), rawRequest)
				}
			})
		})
		return errors.Join(err, failed)
	})
}

// sendRecords calls send at a rate until the window ends, and returns when all is acknowledged.
func sendRecords(ctx context.Context, cl *kgo.Client, w window, rate int, send func(due time.Time)) error {
	pace, err := newPacer()
	if err != nil {
		return err
	}
	defer pace.close()
	for due := time.Now(); due.Before(w.until) && ctx.Err() == nil; due = due.Add(time.Second / time.Duration(rate)) {
		pace.until(due)
		send(due)
	}
	return cl.Flush(ctx)
}

// produceAll keeps the client's buffer full. Latency is then the buffer's, so it is that of nothing else.
func produceAll(ctx context.Context, b *broker, w window) (tally, error) {
	return b.producing(ctx, partitions, w, func(cl *kgo.Client, topic string, t *tally) error {
		value := noise(rawRequest)
		var failed error
		for {
			begun := time.Now()
			if begun.After(w.until) {
				break
			}
			cl.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
				now := time.Now()
				if err != nil {
					failed = err
				} else if now.After(w.from) && now.Before(w.until) {
					t.add(now.Sub(begun), rawRequest)
				}
			})
		}
		err := cl.Flush(ctx)
		return errors.Join(err, failed)
	})
}

// deliver is from the moment a record was due to the moment a consumer at the end of the log has it.
func deliver(ctx context.Context, b *broker, w window) (tally, error) {
	return b.withTopic(ctx, 1, func(topic string) (t tally, err error) {
		producer, err := b.client()
		if err != nil {
			return t, err
		}
		defer producer.Close()
		consumer, err := b.client(consumeFrom(topic, 0))
		if err != nil {
			return t, err
		}
		defer consumer.Close()
		t = tally{hist: newHist(), took: w.until.Sub(w.from)}
		base := time.Now()
		var sent int64
		var got, failed error
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var wg sync.WaitGroup
		read := make(chan int64, 1) // how many there will be
		wg.Go(func() { got = takeDelivered(ctx, consumer, base, w, read, &t) })
		err = sendRecords(ctx, producer, w, deliveryRate, func(due time.Time) {
			value := noise(rawRequest)
			binary.BigEndian.PutUint64(value, uint64(due.Sub(base)))
			sent++
			producer.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err
				}
			})
		})
		if err != nil || failed != nil {
			cancel()
		}
		read <- sent
		wg.Wait()
		return t, errors.Join(err, failed, got)
	})
}

// takeDelivered reads until it has as many records as were sent.
func takeDelivered(ctx context.Context, cl *kgo.Client, base time.Time, w window, sent <-chan int64, t *tally) error {
	want := int64(-1)
	for n := int64(0); n != want; {
		select {
		case want = <-sent:
			continue
		default:
		}
		poll, cancel := context.WithTimeout(ctx, time.Second) // the last ones may have come before it was known how many
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			if due := base.Add(time.Duration(binary.BigEndian.Uint64(r.Value))); due.After(w.from) && due.Before(w.until) {
				t.add(time.Since(due), len(r.Value))
			}
		})
	}
	return nil
}

// readTopic is read again and again, so it is filled once.
const readTopic = "bench-read"

func consumeFrom(topic string, at int64) kgo.Opt {
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(at)}})
}

// fill makes what is read: batches of about 64 KiB, on every broker alike.
func (b *broker) fill(ctx context.Context, records int) error {
	if err := b.create(ctx, readTopic, 1); err != nil {
		return err
	}
	cl, err := b.client(kgo.ProducerLinger(10*time.Millisecond), kgo.ProducerBatchMaxBytes(appendBytes))
	if err != nil {
		return err
	}
	defer cl.Close()
	value := noise(rawRequest)
	var failed error
	for range records {
		cl.Produce(ctx, &kgo.Record{Topic: readTopic, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := errors.Join(cl.Flush(ctx), failed); err != nil {
		return fmt.Errorf("fill %s: %w", readTopic, err)
	}
	b.records = records
	return nil
}

// catchUp reads the log from its start to its end, each pass by a new client; the latency is that of a poll.
func catchUp(ctx context.Context, b *broker, w window) (t tally, err error) {
	t = tally{hist: newHist(), took: w.until.Sub(w.from)}
	for err == nil && time.Now().Before(w.until) {
		err = b.readPass(ctx, w, &t)
	}
	return t, err
}

func (b *broker) readPass(ctx context.Context, w window, t *tally) error {
	cl, err := b.client(consumeFrom(readTopic, 0))
	if err != nil {
		return err
	}
	defer cl.Close()
	for n := 0; n < b.records; {
		begun := time.Now()
		if begun.After(w.until) {
			return nil
		}
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		got := fetches.NumRecords()
		n += got
		if now := time.Now(); begun.After(w.from) && now.Before(w.until) {
			record(t.hist, now.Sub(begun))
			t.ops += int64(got)
			t.bytes += int64(got) * rawRequest
		}
	}
	return nil
}
