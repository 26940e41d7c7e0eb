package stages

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"sluice/wire/batch"
	"sluice/wire/text"
)

// Setting is one line of the table that YAML keys, environment, flags, CREATE,
// `config explain` and the documentation share. T is Config or TopicConfig.
type Setting[T any] struct {
	Name string // dotted: stages.writer.queue
	Help string // one sentence
	Loss string // what a power cut may cost because of it; empty: it has no say in that
	Get  func(*T) string
	Set  func(*T, string) error // says what is wrong and what is allowed
}

// Find returns the setting of that name.
func Find[T any](table []Setting[T], name string) (Setting[T], bool) {
	i := slices.IndexFunc(table, func(s Setting[T]) bool { return s.Name == name })
	if i < 0 {
		return Setting[T]{}, false
	}
	return table[i], true
}

// Settings returns the table of the whole server. The topic settings are in it
// under "topic.": the defaults of topics that are created without settings.
func Settings() []Setting[Config] {
	table := []Setting[Config]{
		name("data", "Directory of the logs; created when it is not there.", func(c *Config) *string { return &c.Data }),
		address("listen", "Address of the text protocol; port 0 takes a free one.", func(c *Config) *string { return &c.Listen }),
		address("http", "Address of health and profiles; empty for none.", func(c *Config) *string { return &c.HTTP }),
		address("kafka", "Address of the Kafka protocol; port 0 takes a free one, empty for none.", func(c *Config) *string { return &c.Kafka }),
		size("max_batch", "Largest payload of one BATCH or MSG request.", 1<<10, maxMessageBytes, func(c *Config) *int64 { return &c.MaxBatchBytes }),
		orWord(count("descriptors", "Files and connections that the process may hold open, in all; auto: as many as the system allows it (ulimit -n). Files get at least half of them or 1024, whichever is less, then connections up to max_connections, then files again.", 1, descriptorsMost, descriptorCount), "auto", Auto, descriptorCount),
		count("max_connections", "Connections at once, or fewer where descriptors do not suffice; more are answered OVERLOADED.", 1, 1<<20, func(c *Config) *int64 { return &c.MaxConnections }),
		orWord(count("max_connections_per_address", "Connections at once from one address, or one IPv6 network of 64 bits; more are answered OVERLOADED. none: no limit of its own.", 1, 1<<20, perAddress), "none", None, perAddress),
		count("max_subscribers", "Requests that wait for new records at once (TAIL, FETCH with wait).", 1, 1<<20, func(c *Config) *int64 { return &c.MaxSubscribers }),
		count("max_partitions", "Partitions of all topics together.", 1, 1<<16, func(c *Config) *int64 { return &c.MaxPartitions }),
		boolean("auto_create", "Whether the first MSG or BATCH creates its topic.", func(c *Config) *bool { return &c.AutoCreate }),
		span("shutdown.grace", "How long a graceful stop may take before it is cut short.", time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.Grace }),
		count("crash_loop.deaths", "After so many runs in a row that died within a minute of their start, the next one refuses appends, until it is stopped cleanly; 0 never does.", 0, 1000, func(c *Config) *int64 { return &c.CrashLoop }),
		size("memory.receive", "Read buffers of busy connections.", 1<<20, 1<<40, func(c *Config) *int64 { return &c.Memory.Receive }),
		size("memory.append", "Requests of up to 256 KiB between socket and writer; more waits. Half-received ones may hold half of it, and what finds no room there is left in its socket until it is whole.", 1<<20, 1<<40, func(c *Config) *int64 { return &c.Memory.Append }),
		size("memory.large", "Larger requests between socket and writer; more waits. Half-received ones may hold half of it: what finds no room there is left in its socket, up to 2 MiB, and above that has those closed that hold it and send too slowly.", 128<<20, 1<<40, func(c *Config) *int64 { return &c.Memory.Large }),
		size("memory.read", "Stored batches between file and socket; more waits. The largest batch must fit.", 128<<20, 1<<40, func(c *Config) *int64 { return &c.Memory.Read }),
		size("memory.decode", "Compressed batches decoded for READ and TAIL; more waits.", batch.MaxSize, 1<<40, func(c *Config) *int64 { return &c.Memory.Decode }),
		size("memory.requests", "Kafka requests of many topics or partitions, decoded, until they are answered; more waits, up to stages.conn.frame_timeout, and is closed then.", 1<<20, 1<<40, func(c *Config) *int64 { return &c.Memory.Requests }),
		size("memory.answers", "Large answers to Kafka requests, while their clients take them; a client whose answer finds no room is closed, and comes again.", 1<<20, 1<<40, func(c *Config) *int64 { return &c.Memory.Answers }),
		size("memory.fetch", "What Kafka fetches of many partitions, and fetch sessions, keep of each; one that finds no room is closed, and comes again.", 0, 1<<40, func(c *Config) *int64 { return &c.Memory.Fetch }),
		autoSize("disk.low", "Bytes free on the file system of data: below, appends are refused with DISK_FULL. auto: 64 MiB, or 1/20 of a file system smaller than 1280 MiB.", func(c *Config) *int64 { return &c.Disk.Low }),
		autoSize("disk.high", "Bytes free from which on appends are taken again; at least disk.low. auto: twice disk.low.", func(c *Config) *int64 { return &c.Disk.High }),
		autoSize("disk.reserve", "Bytes kept in a file that is given up while the disk is full, so that DROP and administration can finish; 0 keeps none. auto: 8 MiB, or 1/100 of a file system smaller than 800 MiB.", func(c *Config) *int64 { return &c.Disk.Reserve }),
		span("disk.check", "How often the room on the disk is looked at.", 10*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.Disk.Check }),
		count("producers.max", "Producers with an id that are known at once, counted for each log that they append to (160 bytes each); each log may know 16 above that, and 10000 at most. Those that were silent longest give way, and are then taken for new ones.", 0, 1<<30, func(c *Config) *int64 { return &c.Producers.Max }),
		span("producers.expire", "A producer with an id that has appended nothing to a log for so long is forgotten there: what it sends again then is appended again.", time.Second, 10000*time.Hour, func(c *Config) *time.Duration { return &c.Producers.Expire }),
		size("scrub.rate", "Bytes a second at which sealed segments are re-read and proved in the background; 0 never does. A round through all of them is followed by an hour's rest.", 0, 1<<40, func(c *Config) *int64 { return &c.Scrub }),
		power("stages.conn.in_flight", "Commands of one connection between parser and answer; a power of two.", 2, 1<<12, func(c *Config) *int64 { return &c.Conn.InFlight }),
		size("stages.conn.read_bytes", "Read buffer of a busy connection; an idle one has 4 KiB.", 4<<10, 1<<20, func(c *Config) *int64 { return &c.Conn.ReadBytes }),
		size("stages.conn.group_bytes", "Neighbouring MSGs stored as one batch, at most; 0 stores each on its own.", 0, 1<<20, func(c *Config) *int64 { return &c.Conn.GroupBytes }),
		span("stages.conn.header_timeout", "A request's line that has begun must be whole by then.", time.Second, time.Hour, func(c *Config) *time.Duration { return &c.Conn.HeaderTimeout }),
		span("stages.conn.frame_timeout", "A payload or a Kafka request must be whole by then, or bring 256 KiB more (of one above 8 MiB, a part in 32); within a 32nd of that time while others wait for the memory that it holds.", time.Second, time.Hour, func(c *Config) *time.Duration { return &c.Conn.FrameTimeout }),
		orWord(span("stages.conn.idle_timeout", "A connection that has no request under way for so long is closed; none: never.", time.Second, 1000*time.Hour, func(c *Config) *time.Duration { return &c.Conn.IdleTimeout }), "none", None, idleTimeout),
		span("stages.conn.peer_timeout", "A client whose machine answers nothing for so long is gone.", 4*time.Second, time.Hour, func(c *Config) *time.Duration { return &c.Conn.PeerTimeout }),
		span("stages.conn.write_timeout", "A client that takes none of its answers for so long is closed.", time.Second, time.Hour, func(c *Config) *time.Duration { return &c.Conn.WriteTimeout }),
		size("stages.kafka.max_frame", "Largest Produce request of a Kafka client, all its batches together.", 1<<20, 127<<20, func(c *Config) *int64 { return &c.KafkaProtocol.MaxFrame }),
		{
			Name: "stages.kafka.advertised", Get: advertised, Set: setAdvertised,
			Help: "Address that Kafka's clients are told to connect to: host:port, or a host, with the port that they have come to; empty: where each of them has connected to.",
		},
		level("stages.kafka.acks_one", "What acks=1 of a Kafka client waits for: written or synced.", func(c *Config) *text.Ack { return &c.KafkaProtocol.AcksOne }),
		level("stages.kafka.acks_all", "What acks=all of a Kafka client waits for: written or synced.", func(c *Config) *text.Ack { return &c.KafkaProtocol.AcksAll }),
		count("stages.writer.count", "Writers; a log always belongs to exactly one.", 1, 64, func(c *Config) *int64 { return &c.Writer.Count }),
		count("stages.writer.queue", "Commands that wait for one writer.", 1, 1<<20, func(c *Config) *int64 { return &c.Writer.Queue }),
		size("stages.writer.buffer", "Bytes gathered into one write.", 4<<10, 64<<20, func(c *Config) *int64 { return &c.Writer.Buffer }),
		span("stages.writer.linger", "How long a writer waits for more before it writes; 0 never waits.", 0, time.Second, func(c *Config) *time.Duration { return &c.Writer.Linger }),
		count("stages.dsync.count", "Writers of their own for topics with sync=dsync, whose writes wait for the disk; queue, buffer and linger are those of stages.writer.", 1, 64, func(c *Config) *int64 { return &c.DsyncWriters }),
		count("stages.flusher.count", "Flushers; a log always belongs to exactly one.", 1, 64, func(c *Config) *int64 { return &c.Flusher.Count }),
		count("stages.flusher.queue", "Commands that wait for one flusher.", 1, 1<<20, func(c *Config) *int64 { return &c.Flusher.Queue }),
		span("stages.flusher.tick", "How often flush.ms is looked at; 0 switches interval flushing off.", 0, time.Hour, func(c *Config) *time.Duration { return &c.Flusher.Tick }),
		span("stages.flusher.slow", "A sync that takes longer makes its log degraded, in STATS, /healthz and the log.", 10*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.Flusher.Slow }),
		count("stages.readers.count", "Readers of the pool, which is also the number of disk reads at once.", 1, 1024, func(c *Config) *int64 { return &c.Readers.Count }),
		count("stages.readers.queue", "Reads that wait for the pool.", 1, 1<<20, func(c *Config) *int64 { return &c.Readers.Queue }),
		size("stages.readers.chunk", "Bytes of stored batches that one answer has, at most; a first batch larger than that is sent alone.", 4<<10, 8<<20, func(c *Config) *int64 { return &c.Readers.Chunk }),
		count("stages.readers.share", "Percent of its time that each of them reads while there are appends, which need the same cores and the same disk; 100: all of it.", 1, 100, func(c *Config) *int64 { return &c.Readers.Share }),
		count("stages.controller.queue", "Commands that wait for the controller.", 1, 1<<16, func(c *Config) *int64 { return &c.Controller.Queue }),
	}
	i := slices.IndexFunc(table, func(s Setting[Config]) bool { return s.Name == "stages.flusher.tick" })
	table[i].Loss = "0: what no synced ack, FLUSH, flush.bytes, flush.messages or clean stop has synced, up to 64 MiB a log"
	for _, s := range TopicSettings() {
		table = append(table, Setting[Config]{
			Name: "topic." + s.Name, Help: s.Help, Loss: s.Loss,
			Get: func(c *Config) string { return s.Get(&c.Topic) },
			Set: func(c *Config, v string) error { return s.Set(&c.Topic, v) },
		})
	}
	return table
}

func number[T any](set, help string, lo, hi int64, field func(*T) *int64, parse func(string) (int64, error), format func(int64) string) Setting[T] {
	return Setting[T]{
		Name: set, Help: help,
		Get: func(c *T) string { return format(*field(c)) },
		Set: func(c *T, v string) error {
			n, err := parse(v)
			if err != nil {
				return err
			}
			if n < lo || n > hi {
				return fmt.Errorf("%s is out of bounds: from %s to %s", v, format(lo), format(hi))
			}
			*field(c) = n
			return nil
		},
	}
}

func size[T any](set, help string, lo, hi int64, field func(*T) *int64) Setting[T] {
	return number(set, help, lo, hi, field, text.ParseBytes, text.FormatBytes)
}

// orWord lets a number be the word instead, which stands for value.
func orWord[T any](s Setting[T], word string, value int64, field func(*T) *int64) Setting[T] {
	get, set := s.Get, s.Set
	s.Get = func(c *T) string {
		if *field(c) == value {
			return word
		}
		return get(c)
	}
	s.Set = func(c *T, v string) error {
		if v == word {
			*field(c) = value
			return nil
		}
		if err := set(c, v); err != nil {
			return fmt.Errorf("%w; or %s", err, word)
		}
		return nil
	}
	return s
}

func descriptorCount(c *Config) *int64 { return &c.Descriptors }
func perAddress(c *Config) *int64      { return &c.MaxPerAddress }
func idleTimeout(c *Config) *int64     { return (*int64)(&c.Conn.IdleTimeout) }

// autoSize is a size of which the server knows a good one.
func autoSize(set, help string, field func(*Config) *int64) Setting[Config] {
	return orWord(size(set, help, 0, 1<<50, field), "auto", Auto, field)
}

func count[T any](set, help string, lo, hi int64, field func(*T) *int64) Setting[T] {
	parse := func(v string) (int64, error) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no whole number", v)
		}
		return n, nil
	}
	return number(set, help, lo, hi, field, parse, func(n int64) string { return strconv.FormatInt(n, 10) })
}

func power(set, help string, lo, hi int64, field func(*Config) *int64) Setting[Config] {
	s := count(set, help, lo, hi, field)
	inner := s.Set
	s.Set = func(c *Config, v string) error {
		before := *field(c)
		if err := inner(c, v); err != nil {
			return err
		}
		if n := *field(c); n&(n-1) != 0 {
			*field(c) = before
			return fmt.Errorf("%d is no power of two", n)
		}
		return nil
	}
	return s
}

func span(set, help string, lo, hi time.Duration, field func(*Config) *time.Duration) Setting[Config] {
	return Setting[Config]{
		Name: set, Help: help,
		Get: func(c *Config) string { return text.FormatDuration(*field(c)) },
		Set: func(c *Config, v string) error {
			d, err := text.ParseDuration(v, time.Millisecond)
			if err != nil {
				return err
			}
			if d < lo || d > hi {
				return fmt.Errorf("%s is out of bounds: from %s to %s", v, text.FormatDuration(lo), text.FormatDuration(hi))
			}
			*field(c) = d
			return nil
		},
	}
}

func boolean(set, help string, field func(*Config) *bool) Setting[Config] {
	return Setting[Config]{
		Name: set, Help: help,
		Get: func(c *Config) string { return strconv.FormatBool(*field(c)) },
		Set: func(c *Config, v string) error {
			if v != "true" && v != "false" {
				return fmt.Errorf("%q is neither true nor false", v)
			}
			*field(c) = v == "true"
			return nil
		},
	}
}

func level(set, help string, field func(*Config) *text.Ack) Setting[Config] {
	return Setting[Config]{
		Name: set, Help: help, Loss: ackLoss,
		Get: func(c *Config) string { return field(c).String() },
		Set: func(c *Config, v string) error { return setAck(field(c), v) },
	}
}

func name(set, help string, field func(*Config) *string) Setting[Config] {
	return Setting[Config]{
		Name: set, Help: help,
		Get: func(c *Config) string { return *field(c) },
		Set: func(c *Config, v string) error {
			if v == "" {
				return fmt.Errorf("it must not be empty")
			}
			*field(c) = v
			return nil
		},
	}
}

func address(set, help string, field func(*Config) *string) Setting[Config] {
	return Setting[Config]{
		Name: set, Help: help,
		Get: func(c *Config) string { return *field(c) },
		Set: func(c *Config, v string) error {
			if v == "" && set != "listen" {
				*field(c) = ""
				return nil
			}
			if _, port, err := net.SplitHostPort(v); err != nil || port == "" {
				return fmt.Errorf("%q is no host:port", v)
			}
			*field(c) = v
			return nil
		},
	}
}
