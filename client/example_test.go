package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"path/filepath"
	"time"

	"sluice/client"
)

// Append one record, and read it back.
func Example() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{Addr: server().Addr()}) // "127.0.0.1:1774"
	if err != nil {
		log.Fatal(err)
	}
	p, err := c.Producer("greetings", client.ProducerOptions{Ack: client.AckSynced})
	if err != nil {
		log.Fatal(err)
	}
	r, err := p.Append(ctx, client.Record{Value: []byte("hello")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("record %d is %s; a power cut would keep all before %d\n", r.Offset, r.Ack, r.Synced)
	greetings, err := c.Consumer("greetings", client.ConsumerOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for rec, err := range greetings.Records(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d: %s\n", rec.Offset, rec.Value)
	}
	if err := errors.Join(p.Close(ctx), c.Close()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// record 0 is synced; a power cut would keep all before 1
	// 0: hello
}

// Many records at once: nothing waits for an answer, and the callback tells what became of each.
func ExampleProducer_Send() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{Addr: server().Addr()})
	if err != nil {
		log.Fatal(err)
	}
	p, err := c.Producer("measurements", client.ProducerOptions{Codec: client.LZ4, Linger: 5 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	stored := 0 // callbacks come one after the other, and all have come when Close returns
	for i := range 100_000 {
		value := fmt.Appendf(nil, "measurement %d", i)
		err := p.Send(ctx, client.Record{Value: value}, func(_ client.Result, err error) {
			switch {
			case errors.Is(err, client.ErrUnknown):
				log.Printf("measurement %d may be in the log: %v", i, err)
			case err != nil:
				log.Printf("measurement %d is not in the log: %v", i, err)
			default:
				stored++
			}
		})
		if err != nil {
			log.Fatal(err) // it was not taken: the producer is closed, or ctx has ended
		}
	}
	if err := errors.Join(p.Close(ctx), c.Close()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored, "measurements are in the log")
	// Output: 100000 measurements are in the log
}

// Follow a log, commit what is done, and go on there in the next run. This follower ends after two records; without
// Limit it would wait for the third.
func ExampleConsumer_Records() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{Addr: server().Addr()})
	if err != nil {
		log.Fatal(err)
	}
	appendAll(c, "orders", "tea", "biscuits", "milk", "sugar")
	run := func() error {
		r, err := c.Consumer("orders", client.ConsumerOptions{
			Follow: true,
			Limit:  2,
			Store:  client.FileStore{Path: filepath.Join(folder, "orders.position"), Topic: "orders"},
		})
		if err != nil {
			return err
		}
		for rec, err := range r.Records(ctx) {
			if gap, ok := errors.AsType[*client.GapError](err); ok {
				log.Printf("records [%d, %d) are left out: %v", gap.From, gap.Next, gap)
				r.Seek(gap.Next) // without this, the loop ends here
				continue
			}
			if err != nil {
				return err
			}
			fmt.Printf("%d: %s\n", rec.Offset, rec.Value)
			if err := r.Commit(ctx, rec.Offset+1); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range []string{"the first run", "the next run"} {
		fmt.Println(name)
		if err := run(); err != nil {
			log.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// the first run
	// 0: tea
	// 1: biscuits
	// the next run
	// 2: milk
	// 3: sugar
}

// Where a consumer may start. Each reads to the end as it is when the loop begins.
func ExampleConsumerOptions_from() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{Addr: server().Addr()})
	if err != nil {
		log.Fatal(err)
	}
	appendAll(c, "prices", "tin 31", "zinc 27", "tin 32")
	for _, from := range []client.From{
		client.Oldest(), client.Offset(1), client.Last(1), client.Since(time.Now().Add(-time.Hour)), client.Newest(),
	} {
		r, err := c.Consumer("prices", client.ConsumerOptions{From: from, Limit: 1})
		if err != nil {
			log.Fatal(err)
		}
		first := "nothing yet"
		for rec, err := range r.Records(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			first = string(rec.Value)
		}
		fmt.Println(first)
	}
	if err := c.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// tin 31
	// zinc 27
	// tin 32
	// tin 31
	// nothing yet
}

// A topic with settings of its own. That it is there already is no failure here.
func ExampleClient_Create() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{Addr: server().Addr()})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		err := c.Create(ctx, "trades", map[string]string{"partitions": "4", "ack": "synced", "segment.bytes": "64MiB"})
		if e, ok := errors.AsType[*client.Error](err); ok && e.Code == client.Exists {
			err = nil
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	head, err := c.Head(ctx, "trades/3")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(head.Partitions, "partitions, the last one's next record is", head.Next)
	if err := c.Close(); err != nil {
		log.Fatal(err)
	}
	// Output: 4 partitions, the last one's next record is 0
}

// appendAll appends values, and fails loudly.
func appendAll(c *client.Client, topic string, values ...string) {
	ctx := context.Background()
	p, err := c.Producer(topic, client.ProducerOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range values {
		if _, err := p.Append(ctx, client.Record{Value: []byte(v)}); err != nil {
			log.Fatal(err)
		}
	}
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
}
