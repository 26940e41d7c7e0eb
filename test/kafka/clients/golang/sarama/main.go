package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"kafkadrivers/protocol"
)

func main() {
	sarama.MaxRequestSize = 100 << 20 // so that it is the server that refuses what is too large
	os.Exit(protocol.Serve(do, code))
}

func code(err error) int16 {
	var e sarama.KError
	var t *sarama.TopicError
	var p *sarama.TopicPartitionError
	switch {
	case errors.As(err, &t):
		return int16(t.Err)
	case errors.As(err, &p):
		return int16(p.Err)
	case errors.As(err, &e):
		return int16(e)
	}
	return 0
}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

var acks = map[string]sarama.RequiredAcks{"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll}

func config() *sarama.Config {
	conf := sarama.NewConfig()
	conf.Version = sarama.MaxVersion
	return conf
}

func do(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	switch r.Op {
	case "version":
		return protocol.Version("github.com/IBM/sarama"), nil
	case "produce", "stream":
		return produce(r)
	case "consume":
		return consume(ctx, r)
	}
	client, err := sarama.NewClient([]string{r.Server}, config())
	if err != nil {
		return protocol.Answer{}, err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return protocol.Answer{}, errors.Join(err, client.Close())
	}
	a, err := manage(client, admin, r)
	return a, errors.Join(err, admin.Close()) // closes the client, too
}

func manage(client sarama.Client, admin sarama.ClusterAdmin, r protocol.Request) (a protocol.Answer, err error) {
	switch r.Op {
	case "create":
		err = admin.CreateTopic(r.Topic, &sarama.TopicDetail{NumPartitions: r.Partitions, ReplicationFactor: 1}, false)
	case "delete":
		err = admin.DeleteTopic(r.Topic)
	case "grow":
		err = admin.CreatePartitions(r.Topic, r.Partitions, nil, false)
	case "partitions":
		var list []int32
		list, err = client.Partitions(r.Topic)
		a.Count = len(list)
	case "config":
		var list []sarama.ConfigEntry
		list, err = admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: r.Topic})
		a.Count = len(list)
	case "offset":
		var o int64
		o, err = offset(client, r)
		a = protocol.At(o)
	default:
		err = fmt.Errorf("unknown operation %q", r.Op)
	}
	return a, err
}

// offset is where a request's From points.
func offset(client sarama.Client, r protocol.Request) (int64, error) {
	at := r.At
	switch r.From {
	case "offset":
		return r.At, nil
	case "earliest":
		at = sarama.OffsetOldest
	case "latest":
		at = sarama.OffsetNewest
	}
	return client.GetOffset(r.Topic, r.Partition, at)
}

func produce(r protocol.Request) (a protocol.Answer, err error) {
	conf := config()
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.RequiredAcks = acks[r.Acks]
	conf.Producer.Compression = codecs[r.Codec]
	conf.Producer.MaxMessageBytes = 64 << 20
	conf.Producer.Return.Successes = true
	conf.Producer.Idempotent = r.Idempotent
	if r.Idempotent {
		conf.Net.MaxOpenRequests = 1 // sarama asks for it
	}
	if r.Op == "stream" {
		conf.Producer.Retry.Max = math.MaxInt
		conf.Metadata.Retry.Max = math.MaxInt
	}
	p, err := sarama.NewAsyncProducer([]string{r.Server}, conf)
	if err != nil {
		return a, err
	}
	go r.Each(func(i int, key, value []byte, at time.Time) { // all of its messages are counted below
		p.Input() <- &sarama.ProducerMessage{Topic: r.Topic, Partition: r.Partition, Timestamp: at, Metadata: i,
			Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(value),
			Headers: []sarama.RecordHeader{{Key: []byte(protocol.HeaderKey), Value: strconv.AppendInt(nil, int64(i), 10)}}}
	})
	base, failed := int64(-1), error(nil)
	for range r.Count {
		select {
		case m := <-p.Successes():
			if m.Metadata == r.First && r.Acks != "0" {
				base = m.Offset
			}
			if i, ok := m.Metadata.(int); ok && r.Op == "stream" {
				protocol.Tell(i, m.Offset)
			}
		case e := <-p.Errors():
			failed = errors.Join(failed, e.Err)
		}
	}
	return protocol.At(base), errors.Join(failed, p.Close())
}

func consume(ctx context.Context, r protocol.Request) (a protocol.Answer, err error) {
	conf := config()
	conf.Consumer.Return.Errors = true
	client, err := sarama.NewClient([]string{r.Server}, conf)
	if err != nil {
		return a, err
	}
	closing := []io.Closer{client}
	defer func() {
		for _, c := range closing {
			err = errors.Join(err, c.Close())
		}
	}()
	from, err := offset(client, r)
	if err != nil {
		return a, err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return a, err
	}
	closing = []io.Closer{consumer, client}
	part, err := consumer.ConsumePartition(r.Topic, r.Partition, from)
	if err != nil {
		return a, err
	}
	closing = []io.Closer{part, consumer, client}
	for len(a.Records) < r.Count {
		select {
		case m := <-part.Messages():
			header := []byte(nil)
			if len(m.Headers) == 1 && string(m.Headers[0].Key) == protocol.HeaderKey {
				header = m.Headers[0].Value
			}
			a.Records = append(a.Records, protocol.Read(m.Offset, m.Timestamp, m.Key, m.Value, header))
		case e := <-part.Errors():
			return a, e
		case <-ctx.Done():
			return a, fmt.Errorf("%d of %d records came", len(a.Records), r.Count)
		}
	}
	return a, nil
}
