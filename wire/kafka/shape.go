package kafka

// kmsg decodes every message, but believes what it reads: an array's claim becomes memory, a claim of 2^32 tags a loop of as many
// rounds. So a request is walked first, by its shape; what comes through is all there, and its size in memory is known.

// kind is what a field is made of.
type kind uint8

const (
	fixed         kind = iota // width bytes
	str                       // a string
	nullableStr               // a string or null
	list                      // an array of structures
	nullableList              // an array of structures or null
	numbers                   // an array of int32
	words                     // an array of strings
	nullableWords             // an array of strings or null
)

// field is one of a message, there in the versions [since, until); until 0 is for ever.
type field struct {
	kind         kind
	width        int
	since, until int16
	of           []field // of a list
}

func (f *field) there(version int16) bool {
	return f.since <= version && (f.until == 0 || version < f.until)
}

const uuid = 16

// shapes are the requests that kmsg decodes, in the versions that are served.
var shapes = map[Key][]field{
	ListOffsets: {
		{width: 4},           // replica
		{width: 1, since: 2}, // isolation
		{kind: list, of: []field{
			{kind: str},
			{kind: list, of: []field{{width: 4}, {width: 4, since: 4}, {width: 8}}}, // partition, epoch, time
		}},
	},
	Metadata: {
		{kind: list, until: 1, of: []field{{kind: str}}},
		{kind: nullableList, since: 1, of: []field{
			{width: uuid, since: 10},
			{kind: str, until: 10},
			{kind: nullableStr, since: 10},
		}},
		{width: 1, since: 4},            // auto-creation
		{width: 1, since: 8, until: 11}, // operations on the cluster
		{width: 1, since: 8},            // operations on the topics
	},
	FindCoordinator: {
		{kind: str, until: 4},
		{width: 1, since: 1}, // of a group or of transactions
		{kind: words, since: 4},
	},
	ApiVersions: {
		{kind: str, since: 3}, // name and version of the client
		{kind: str, since: 3},
		{kind: nullableStr, since: 5}, // cluster and node it wants
		{width: 4, since: 5},
	},
	CreateTopics: {
		{kind: list, of: []field{
			{kind: str},
			{width: 4 + 2}, // partitions, replicas
			{kind: list, of: []field{{width: 4}, {kind: numbers}}},
			{kind: list, of: []field{{kind: str}, {kind: nullableStr}}},
		}},
		{width: 4 + 1}, // timeout, only to validate
	},
	DeleteTopics: {
		{kind: words, until: 6},
		{kind: list, since: 6, of: []field{{kind: nullableStr}, {width: uuid}}},
		{width: 4}, // timeout
	},
	InitProducerID: {
		{kind: nullableStr},      // transactional id
		{width: 4},               // timeout
		{width: 8 + 2, since: 3}, // id, epoch
	},
	OffsetForLeaderEpoch: {
		{width: 4, since: 3}, // replica
		{kind: list, of: []field{
			{kind: str},
			{kind: list, of: []field{{width: 4 + 4 + 4}}}, // partition, epoch known, epoch asked for
		}},
	},
	DescribeConfigs: {
		{kind: list, of: []field{
			{width: 1}, // type of the resource
			{kind: str},
			{kind: nullableWords},
		}},
		{width: 1},           // synonyms
		{width: 1, since: 3}, // documentation
	},
	CreatePartitions: {
		{kind: list, of: []field{
			{kind: str},
			{width: 4},
			{kind: nullableList, of: []field{{kind: numbers}}},
		}},
		{width: 4 + 1}, // timeout, only to validate
	},
	IncrementalAlterConfigs: {
		{kind: list, of: []field{
			{width: 1}, // type of the resource
			{kind: str},
			{kind: list, of: []field{{kind: str}, {width: 1}, {kind: nullableStr}}}, // name, what to do, value
		}},
		{width: 1}, // only to validate
	},
}

// Most memory that kmsg makes of things, in bytes. A test holds them against the structures themselves.
const (
	listCost = 112 // an element of an array of structures
	wordCost = 32  // a string, beside its bytes, and its rounding up
	tagCost  = 512 // an unknown tag: a map, at worst for each
	baseCost = 512 // the request itself
	maxTags  = 1000
)

// walker goes over one request.
type walker struct {
	in       reader
	version  int16
	flexible bool
	tags     int
	cost     int64
}

// walkRequest proves the structure of a request that kmsg is to decode, and gives the most memory it then takes.
func walkRequest(h Header) (int64, error) {
	w := walker{
		in:       reader{b: h.Body, what: "its body"},
		version:  h.Version,
		flexible: Flexible(h.Key, h.Version),
		cost:     baseCost,
	}
	w.structure(shapes[h.Key])
	w.in.done()
	return w.cost, w.in.err()
}

// structure walks over fields and the tags behind them.
func (w *walker) structure(fields []field) {
	for i := range fields {
		if f := &fields[i]; f.there(w.version) {
			w.field(f)
		}
	}
	n := w.in.tags(w.flexible)
	if w.tags += n; w.tags > maxTags {
		w.in.fail("has more than 1,000 unknown tags")
	}
	w.cost += tagCost * int64(n)
}

func (w *walker) field(f *field) {
	switch f.kind {
	case fixed:
		w.in.take(f.width)
	case str:
		w.cost += wordCost + int64(len(w.in.string(w.flexible)))
	case nullableStr:
		w.cost += wordCost + int64(len(w.in.nullable(w.flexible)))
	case list:
		w.list(w.in.array(w.flexible), f.of)
	case nullableList:
		w.list(w.in.count(w.flexible), f.of)
	case numbers:
		n := w.in.array(w.flexible)
		w.in.take(4 * n)
		w.cost += 4*int64(n) + wordCost
	case words:
		w.words(w.in.array(w.flexible))
	case nullableWords:
		w.words(w.in.count(w.flexible))
	}
}

// list walks over n structures. n is no more than the bytes that were left, so a failure ends it soon enough.
func (w *walker) list(n int, of []field) {
	for range n {
		w.structure(of)
		w.cost += listCost
	}
}

func (w *walker) words(n int) {
	for range n {
		w.cost += wordCost + int64(len(w.in.string(w.flexible)))
	}
}
