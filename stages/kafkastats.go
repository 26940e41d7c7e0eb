package stages

import (
	"fmt"
	"sync/atomic"

	"sluice/wire/kafka"
)

// kafkaStats counts what Kafka's clients ask for. Any goroutine adds to it.
type kafkaStats struct {
	connections      atomic.Int64 // open now
	requests, errors [kafkaKeys]atomic.Int64
	codes            [kafkaCodesMost]atomic.Int64
}

const (
	kafkaKeys      = 64  // the keys that are served are below; the last place is for all others
	kafkaCodesMost = 160 // likewise for codes, which begin at -1
)

// requested counts a frame.
func (s *kafkaStats) requested(key kafka.Key) {
	s.requests[min(uint(uint16(key)), kafkaKeys-1)].Add(1)
}

// failed counts an error that a client is told: in each partition that has one, or for the
// whole request. NoError is none.
func (s *kafkaStats) failed(key kafka.Key, code kafka.Code) {
	if code == kafka.NoError {
		return
	}
	s.errors[min(uint(uint16(key)), kafkaKeys-1)].Add(1)
	s.codes[min(uint(uint16(code+1)), kafkaCodesMost-1)].Add(1)
}

// KafkaStats is what Kafka's clients have asked for. Errors are counted for each partition
// that has one.
type KafkaStats struct {
	Connections int64            `json:"connections"` // of all connections, those of the Kafka protocol
	Requests    map[string]int64 `json:"requests"`    // by key, as Kafka names it
	Errors      map[string]int64 `json:"errors"`      // by key
	Codes       map[string]int64 `json:"codes"`       // errors by code, as Kafka names it
}

func (s *kafkaStats) snapshot() KafkaStats {
	out := KafkaStats{Connections: s.connections.Load(), Requests: map[string]int64{}, Errors: map[string]int64{}, Codes: map[string]int64{}}
	add := func(m map[string]int64, name fmt.Stringer, n int64) {
		if n > 0 {
			m[name.String()] = n
		}
	}
	for i := range s.requests {
		add(out.Requests, kafka.Key(i), s.requests[i].Load())
		add(out.Errors, kafka.Key(i), s.errors[i].Load())
	}
	for i := range s.codes {
		add(out.Codes, kafka.Code(i-1), s.codes[i].Load())
	}
	return out
}

// lines calls line for each figure, in the order of the keys and codes.
func (s KafkaStats) lines(line func(name string, value any)) {
	line("kafka", fmt.Sprintf("connections=%d", s.Connections))
	for i := range kafkaKeys {
		if key := kafka.Key(i).String(); s.Requests[key] > 0 || s.Errors[key] > 0 {
			line("kafka", fmt.Sprintf("key=%q requests=%d errors=%d", key, s.Requests[key], s.Errors[key]))
		}
	}
	for i := range kafkaCodesMost {
		if code := kafka.Code(i - 1).String(); s.Codes[code] > 0 {
			line("kafka", fmt.Sprintf("code=%q count=%d", code, s.Codes[code]))
		}
	}
}
