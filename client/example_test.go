package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"sluice/client"
)

func Example() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{Addr: "127.0.0.1:1774"})
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
	if err := errors.Join(p.Close(ctx), c.Close()); err != nil {
		log.Fatal(err)
	}
}

// Many records at once: nothing waits for an answer, and the callback tells what became of each.
func ExampleProducer_Send() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := c.Producer("measurements", client.ProducerOptions{Codec: client.LZ4, Linger: 5 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 1_000_000 {
		value := fmt.Appendf(nil, "measurement %d", i)
		err := p.Send(ctx, client.Record{Value: value}, func(_ client.Result, err error) {
			switch {
			case errors.Is(err, client.ErrUnknown):
				log.Printf("measurement %d may be in the log: %v", i, err)
			case err != nil:
				log.Printf("measurement %d is not in the log: %v", i, err)
			}
		})
		if err != nil {
			log.Fatal(err) // it was not taken: the producer is closed, or ctx has ended
		}
	}
	if err := errors.Join(p.Close(ctx), c.Close()); err != nil {
		log.Fatal(err)
	}
}

// Follow a log for ever, and go on after a restart where the last run stopped.
func ExampleConsumer_Records() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	r, err := c.Consumer("greetings", client.ConsumerOptions{
		Follow: true,
		Store:  client.FileStore{Path: "greetings.position", Topic: "greetings"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for rec, err := range r.Records(ctx) {
		if gap, ok := errors.AsType[*client.GapError](err); ok {
			log.Printf("records [%d, %d) are left out: %v", gap.From, gap.Next, gap)
			r.Seek(gap.Next) // without this, the loop ends here
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(rec.Offset, rec.Time, string(rec.Value))
		if err := r.Commit(ctx, rec.Offset+1); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleClient_Create() {
	ctx := context.Background()
	c, err := client.Dial(ctx, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	err = c.Create(ctx, "orders", map[string]string{"partitions": "4", "ack": "synced", "segment.bytes": "64MiB"})
	var e *client.Error
	if errors.As(err, &e) && e.Code == client.Exists {
		err = nil // it is there already
	}
	if err != nil {
		log.Fatal(err)
	}
}
