package stages

import (
	"time"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// Config is every setting of the server. Default returns one that is ready to
// use; Settings is the same as a table, for files, flags and people.
type Config struct {
	Data   string // the directory that holds the logs; created when it is not there
	Listen string // text protocol, host:port; port 0 takes a free one
	HTTP   string // health and profiles, host:port; empty: none
	Kafka  string // Kafka protocol, host:port; empty: none

	MaxBatchBytes  int64 // the payload of one BATCH request, and of one MSG
	Descriptors    int64 // files and connections open at once, in all; Auto: what the system allows
	MaxConnections int64
	MaxPerAddress  int64 // connections at once from one address; None: no limit of its own
	MaxSubscribers int64 // requests that wait for new records: TAIL, and FETCH with wait
	MaxPartitions  int64 // of all topics together; bounds the queues that hold one entry a log
	AutoCreate     bool  // the first MSG or BATCH creates its topic
	Grace          time.Duration
	CrashLoop      int64 // runs that died young, in a row, after which one is read-only; 0: never

	Memory    MemoryConfig
	Disk      DiskConfig
	Producers ProducersConfig
	Scrub     int64 // bytes a second that sealed segments are re-read at; 0: not at all

	Conn   ConnConfig
	Writer WriterConfig
	// Writers of their own for topics with sync=dsync: each of their writes waits for
	// the disk, and would hold the logs beside it.
	DsyncWriters  int64
	KafkaProtocol KafkaConfig
	Flusher       FlusherConfig
	Readers       ReadersConfig
	Controller    ControllerConfig

	Topic TopicConfig // what a topic gets that is created without settings
}

// MemoryConfig is the server's byte budgets. DESIGN.md says who waits for which, so that
// nobody waits in a circle.
type MemoryConfig struct {
	Receive  int64 // read buffers of busy connections; without, they use their own 4 KiB
	Append   int64 // requests between socket and writer, up to 256 KiB each
	Large    int64 // larger requests
	Read     int64 // stored batches between file and socket
	Decode   int64 // compressed batches, decoded for text readers
	Requests int64 // Kafka requests of many topics or partitions, decoded, from reader to answer
	Answers  int64 // large answers to Kafka requests, while their clients take them; never waited for
	Fetch    int64 // what Kafka fetches of more than a few partitions keep of each, while they wait, and sessions from one to the next; never waited for
}

// DiskConfig is when the disk counts as full. Sizes may be Auto.
type DiskConfig struct {
	Low     int64         // bytes free: below, appends are refused
	High    int64         // bytes free: from here on they are taken again
	Reserve int64         // bytes of a file that is given up while the disk is full; 0: none
	Check   time.Duration // how often the room is looked at
}

// ProducersConfig is how much is known of producers that number their batches.
type ProducersConfig struct {
	Max    int64         // counted once for each log that knows them
	Expire time.Duration // since their last append
}

// Auto is a size that the server chooses by the size of the file system.
const Auto = -1

// ConnConfig is what one connection may use.
type ConnConfig struct {
	InFlight   int64 // commands between parser and answer; a power of two
	ReadBytes  int64 // leased while a client sends more than its own 4 KiB at a time
	GroupBytes int64 // neighbouring MSGs stored as one batch, at most

	HeaderTimeout time.Duration // a request's line that has begun must be whole by then
	FrameTimeout  time.Duration // a payload must be whole by then, or bring frameStep more, or one of frameSteps parts
	WriteTimeout  time.Duration // a client must take some of its answers within it, if any are there
	IdleTimeout   time.Duration // a client without a request is closed after it; Forever: never
	PeerTimeout   time.Duration // a client whose machine does not answer is gone after it

	// How long FETCHes still wait once their client's stream has ended: a client that
	// is gone looks just like one that has only closed its half. One that resets the
	// connection is gone for sure. Not a setting; tests change it.
	afterEOF time.Duration
}

// KafkaConfig tunes the Kafka protocol. A topic's own ack level does not weaken what a
// client asks for here.
type KafkaConfig struct {
	MaxFrame   int64    // bytes of a Produce request; others are smaller, or small
	AcksOne    text.Ack // that acks=1 waits for
	AcksAll    text.Ack // that acks=all waits for
	Advertised string   // host:port, or host, that clients are told; empty: where they have connected to
}

// WriterConfig tunes the writers.
type WriterConfig struct {
	Count  int64
	Queue  int64         // commands that wait for a writer
	Buffer int64         // bytes gathered into one write
	Linger time.Duration // how long a writer waits for more before it writes; 0: never
}

// FlusherConfig tunes the flushers.
type FlusherConfig struct {
	Count int64
	Queue int64
	Tick  time.Duration // how often flush.ms is looked at; 0: never, only asked-for syncs
	Slow  time.Duration // a sync that takes longer makes its log degraded
}

// ReadersConfig tunes the reader pool.
type ReadersConfig struct {
	Count int64
	Queue int64
	Chunk int64 // bytes of whole batches that one answer of stored batches has, at most
	Share int64 // percent of its time that each reads from the disk while there are appends; 100: all of it
}

// ControllerConfig tunes the controller.
type ControllerConfig struct {
	Queue int64
}

// Default returns the configuration of a server that was told nothing.
func Default() Config {
	return Config{
		Data: "data", Listen: "127.0.0.1:1774", HTTP: "127.0.0.1:1775", Kafka: "127.0.0.1:9092",
		MaxBatchBytes:  8 << 20,
		Descriptors:    Auto,
		MaxConnections: 10_000,
		MaxPerAddress:  None,
		MaxSubscribers: 10_000,
		MaxPartitions:  4096,
		AutoCreate:     true,
		Grace:          30 * time.Second,
		CrashLoop:      5,
		Memory: MemoryConfig{
			Receive: 64 << 20, Append: 64 << 20, Large: 128 << 20, Read: 128 << 20, Decode: 64 << 20,
			Requests: 32 << 20, Answers: 32 << 20, Fetch: 32 << 20,
		},
		Producers: ProducersConfig{Max: 100_000, Expire: 24 * time.Hour},
		Disk:      DiskConfig{Low: Auto, High: Auto, Reserve: Auto, Check: time.Second},
		Scrub:     4 << 20,
		Conn: ConnConfig{
			InFlight: 64, ReadBytes: 64 << 10, GroupBytes: 64 << 10,
			FrameTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
			HeaderTimeout: 10 * time.Second, IdleTimeout: Forever, PeerTimeout: 45 * time.Second,
			afterEOF: 500 * time.Millisecond,
		},
		Writer: WriterConfig{Count: 1, Queue: 1024, Buffer: 1 << 20}, DsyncWriters: 1,
		KafkaProtocol: KafkaConfig{MaxFrame: 100 << 20, AcksOne: text.AckWritten, AcksAll: text.AckSynced},
		Flusher:       FlusherConfig{Count: 2, Queue: 1024, Tick: 50 * time.Millisecond, Slow: 10 * time.Second},
		Readers:       ReadersConfig{Count: 4, Queue: 1024, Chunk: 512 << 10, Share: 25},
		Controller:    ControllerConfig{Queue: 64},
		Topic:         DefaultTopic(),
	}
}

// TopicConfig is the settings of one topic, as protocol.md names them.
type TopicConfig struct {
	Partitions    int64
	Ack           text.Ack
	SegmentBytes  int64
	MaxBatch      int64         // max.message.bytes
	IndexInterval int64         // index.interval.bytes
	Flush         time.Duration // flush.ms; Forever: never by time
	FlushBytes    int64         // flush.bytes; None: never by size
	FlushMessages int64         // flush.messages; None: never by number
	Sync          SyncMode
}

// None is the flush.bytes or flush.messages of a topic that has none.
const None = 1<<63 - 1

// SyncMode is when a topic's bytes are made durable.
type SyncMode string

const (
	SyncData     SyncMode = "data"     // by fdatasync, when one is due
	SyncDsync    SyncMode = "dsync"    // by each write
	SyncShutdown SyncMode = "shutdown" // by what is asked for, and by the stop
)

// Forever is the flush.ms of a topic that no tick flushes.
const Forever = time.Duration(1<<63 - 1)

// DefaultTopic returns the settings of a topic out of the box.
func DefaultTopic() TopicConfig {
	return TopicConfig{
		Partitions: 1, Ack: text.AckWritten, SegmentBytes: 256 << 20, MaxBatch: 1 << 20,
		IndexInterval: 4 << 10, Flush: time.Second, FlushBytes: None, FlushMessages: None, Sync: SyncData,
	}
}

// Two limits that must fit each other, or a batch that passed one meets a panic
// at the other.
const _ = uint(batch.MaxSize - maxMessageBytes) // negative does not compile
const maxMessageBytes = 64 << 20
