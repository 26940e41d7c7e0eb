package stages

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sluice/wire/text"
)

// stats counts. Every stage adds to it, once a pass where it can, and anyone
// reads it.
type stats struct {
	started     time.Time
	connections atomic.Int64
	subscribers atomic.Int64
	requests    atomic.Int64
	appends     atomic.Int64 // commands
	writes      atomic.Int64
	records     atomic.Int64
	duplicates  atomic.Int64 // batches that were sent again
	appendBytes atomic.Int64
	reads       atomic.Int64
	readBytes   atomic.Int64
	syncs       atomic.Int64
	syncErrors  atomic.Int64
	errors      [codes]atomic.Int64 // by text.Code
	closed      [closings]atomic.Int64
	kafka       kafkaStats
}

const codes = 32 // more than the protocol has

// uptime counts from the start, by a clock that nobody sets.
func (s *stats) uptime() time.Duration { return time.Since(s.started) }

func (s *stats) appended(commands int, records uint64, bytes int) {
	s.appends.Add(int64(commands))
	s.writes.Add(1)
	s.records.Add(int64(records))
	s.appendBytes.Add(int64(bytes))
}

func (s *stats) read(bytes int) {
	s.reads.Add(1)
	s.readBytes.Add(int64(bytes))
}

func (s *stats) synced(err error) {
	s.syncs.Add(1)
	if err != nil {
		s.syncErrors.Add(1)
	}
}

func (s *stats) failed(e *text.Error) { s.errors[e.Code].Add(1) }

// Snapshot is what STATS tells. Counters start at zero with the process.
type Snapshot struct {
	Version       string           `json:"version"`
	Node          string           `json:"node"`
	UptimeSeconds float64          `json:"uptime_seconds"`
	Goroutines    int              `json:"goroutines"`
	Descriptors   int              `json:"descriptors"` // -1: not known on this system
	GCCycles      uint32           `json:"gc_cycles"`
	HeapBytes     uint64           `json:"heap_bytes"`
	Connections   int64            `json:"connections"`
	Subscribers   int64            `json:"subscribers"`
	Requests      int64            `json:"requests"`
	Appends       int64            `json:"appends"`
	Writes        int64            `json:"writes"`
	Records       int64            `json:"records"`
	AppendedBytes int64            `json:"appended_bytes"`
	Duplicates    int64            `json:"duplicates"` // batches that were sent again, and not appended again
	Producers     int64            `json:"producers"`  // known by their sequences, counted in each log
	Reads         int64            `json:"reads"`
	ReadBytes     int64            `json:"read_bytes"`
	Syncs         int64            `json:"syncs"`
	SyncErrors    int64            `json:"sync_errors"`
	Errors        map[string]int64 `json:"errors"`
	Closed        map[string]int64 `json:"closed"` // connections that the server closed by itself, by reason
	Kafka         KafkaStats       `json:"kafka"`
	Limits        LimitStats       `json:"limits"`
	Files         FileStats        `json:"files"`
	Send          SendStats        `json:"send"`
	Disk          DiskStats        `json:"disk"`
	Scrub         ScrubStats       `json:"scrub"`
	Memory        []MemoryStats    `json:"memory"`
	Stages        []StageStats     `json:"stages"`
	Topics        []TopicStats     `json:"topics"`
}

// LimitStats is how the descriptors are shared out. Files is the store's part, with the
// reserve that only appends, rolls and opening may use.
type LimitStats struct {
	Descriptors int `json:"descriptors"`
	Connections int `json:"connections"`
	Files       int `json:"files"`
}

// FileStats is the store's open files. Cached are sealed ones, kept for readers; awake
// logs hold the files that they append to. Hits, misses and evictions are of the sealed.
type FileStats struct {
	Open      int   `json:"open"`
	Bound     int   `json:"bound"`
	Cached    int   `json:"cached"`
	Awake     int   `json:"awake"`
	Hits      int64 `json:"hits"`
	Misses    int64 `json:"misses"`
	Evictions int64 `json:"evictions"`
	Waits     int64 `json:"waits"`
	Sleeps    int64 `json:"sleeps"`
}

func (f FileStats) text() string {
	return fmt.Sprintf("open=%d bound=%d cached=%d awake=%d hits=%d misses=%d evictions=%d waits=%d sleeps=%d",
		f.Open, f.Bound, f.Cached, f.Awake, f.Hits, f.Misses, f.Evictions, f.Waits, f.Sleeps)
}

func (s *Server) fileStats() FileStats {
	i := s.store.Files()
	return FileStats{
		Open: i.Open, Bound: i.Budget, Cached: i.Cached, Awake: i.Awake,
		Hits: i.Hits, Misses: i.Misses, Evictions: i.Evictions, Waits: i.Waits, Sleeps: i.Sleeps,
	}
}

// MemoryStats is one byte budget.
type MemoryStats struct {
	Name  string `json:"name"`
	Used  int64  `json:"used"`
	Bound int64  `json:"bound"`
}

// StageStats is one stage's queue.
type StageStats struct {
	Name  string `json:"name"`
	Queue int    `json:"queue"`
	Bound int    `json:"bound"`
}

// TopicStats is one partition.
type TopicStats struct {
	Name     string `json:"name"` // topic/partition
	Oldest   uint64 `json:"oldest"`
	Next     uint64 `json:"next"`
	Synced   uint64 `json:"synced"`
	Bytes    int64  `json:"bytes"`
	Segments int    `json:"segments"`
	State    string `json:"state"`              // ok, full, read-only, failed
	Reason   string `json:"reason,omitempty"`   // why it is not ok
	Degraded string `json:"degraded,omitempty"` // a sync that hangs, or damage that was met
}

func (s *Server) snapshot() Snapshot {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	st := s.stats
	out := Snapshot{
		Version: Version, Node: s.store.NodeID(),
		UptimeSeconds: st.uptime().Seconds(), Goroutines: runtime.NumGoroutine(), Descriptors: descriptors(),
		GCCycles: mem.NumGC, HeapBytes: mem.HeapAlloc,
		Connections: st.connections.Load(), Subscribers: st.subscribers.Load(), Requests: st.requests.Load(),
		Appends: st.appends.Load(), Writes: st.writes.Load(), Records: st.records.Load(), AppendedBytes: st.appendBytes.Load(),
		Duplicates: st.duplicates.Load(), Producers: s.producers.Held(),
		Reads: st.reads.Load(), ReadBytes: st.readBytes.Load(), Syncs: st.syncs.Load(), SyncErrors: st.syncErrors.Load(),
		Kafka:  st.kafka.snapshot(),
		Limits: LimitStats{Descriptors: s.limits.Total, Connections: s.limits.Connections, Files: s.limits.Files + s.limits.Reserve}, Files: s.fileStats(),
		Send: s.readers.snapshot(), Errors: map[string]int64{}, Closed: map[string]int64{}, Disk: s.admission.room.stats(), Scrub: s.scrubber.snapshot(),
	}
	for i := range st.errors {
		if n := st.errors[i].Load(); n > 0 {
			out.Errors[text.Code(i).String()] = n
		}
	}
	for i := range st.closed {
		if n := st.closed[i].Load(); n > 0 {
			out.Closed[closingNames[i]] = n
		}
	}
	for _, b := range s.budgets() {
		used, total := b.bytes.Used()
		out.Memory = append(out.Memory, MemoryStats{Name: b.name, Used: used, Bound: total})
	}
	for _, q := range s.queues() {
		out.Stages = append(out.Stages, StageStats{Name: q.name, Queue: len(q.in), Bound: cap(q.in)})
	}
	for _, t := range s.catalog.all() {
		for _, p := range t.parts {
			out.Topics = append(out.Topics, s.partitionStats(p))
		}
	}
	slices.SortFunc(out.Topics, func(a, b TopicStats) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Server) partitionStats(p *partition) TopicStats {
	info := p.log.Info()
	out := TopicStats{
		Name: p.String(), Oldest: p.log.Oldest(), Next: p.log.Next(), Synced: p.log.Durable(),
		Bytes: info.Bytes, Segments: info.Segments,
	}
	out.State, out.Reason = s.state(p)
	out.Degraded = s.degraded(p)
	return out
}

// state tells whether a log takes appends, and why not. Its own failure comes first:
// that needs somebody to do something about this very log.
func (s *Server) state(p *partition) (state, reason string) {
	if err := p.log.Err(); err != nil {
		return "failed", err.Error()
	}
	if e := s.admission.loop; e != nil {
		return "read-only", e.Text
	}
	if e := s.admission.room.refusal(); e != nil {
		return "full", e.Text
	}
	return "ok", ""
}

// render writes the snapshot as STATS answers it: one JSON object, or a line a
// figure for people.
func (s Snapshot) render(asJSON bool) []byte {
	if asJSON {
		b, err := json.Marshal(s)
		if err != nil {
			panic(fmt.Sprintf("BUG: statistics can't be encoded: %v", err))
		}
		return append(b, '\n')
	}
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%-20s %v\n", name, value) }
	line("version", s.Version)
	line("node", s.Node)
	line("uptime_seconds", fmt.Sprintf("%.3f", s.UptimeSeconds))
	line("goroutines", s.Goroutines)
	line("descriptors", s.Descriptors)
	line("gc_cycles", s.GCCycles)
	line("heap_bytes", s.HeapBytes)
	line("connections", s.Connections)
	line("subscribers", s.Subscribers)
	line("requests", s.Requests)
	line("appends", s.Appends)
	line("writes", s.Writes)
	line("records", s.Records)
	line("appended_bytes", s.AppendedBytes)
	line("duplicates", s.Duplicates)
	line("producers", s.Producers)
	line("reads", s.Reads)
	line("read_bytes", s.ReadBytes)
	line("syncs", s.Syncs)
	line("sync_errors", s.SyncErrors)
	for i := range codes {
		if n := s.Errors[text.Code(i).String()]; n > 0 {
			line("errors", fmt.Sprintf("code=%s count=%d", text.Code(i), n))
		}
	}
	for _, why := range closingNames {
		if n := s.Closed[why]; n > 0 {
			line("closed", fmt.Sprintf("reason=%s count=%d", why, n))
		}
	}
	s.Kafka.lines(line)
	line("limits", fmt.Sprintf("descriptors=%d connections=%d files=%d", s.Limits.Descriptors, s.Limits.Connections, s.Limits.Files))
	line("files", s.Files.text())
	line("send", s.Send.text())
	line("disk", s.Disk.text())
	line("scrub", s.Scrub.text())
	for _, m := range s.Memory {
		line("memory", fmt.Sprintf("name=%s used=%d bound=%d", m.Name, m.Used, m.Bound))
	}
	for _, q := range s.Stages {
		line("stage", fmt.Sprintf("name=%s queue=%d bound=%d", q.Name, q.Queue, q.Bound))
	}
	for _, t := range s.Topics {
		reason := ""
		if t.Reason != "" {
			reason = fmt.Sprintf(" reason=%q", t.Reason)
		}
		if t.Degraded != "" {
			reason += fmt.Sprintf(" degraded=%q", t.Degraded)
		}
		line("topic", fmt.Sprintf("name=%s oldest=%d next=%d synced=%d bytes=%d segments=%d state=%s%s", t.Name, t.Oldest, t.Next, t.Synced, t.Bytes, t.Segments, t.State, reason))
	}
	return []byte(b.String())
}
