package kafka

// FetchRequest is a request for records. Parse fills it; Next walks over its partitions, and NextForgotten over those that its
// session is to drop. A copy of it walks on its own. All its bytes are views into the body.
type FetchRequest struct {
	MaxWaitMillis int32
	MinBytes      int32
	MaxBytes      int32
	Isolation     int8  // 1: committed records only
	SessionID     int32 // 0: none, or a new one
	SessionEpoch  int32 // -1: no session is wanted or held; 0: a new one
	Partitions    int   // how many times Next gives one; one may come twice
	Forgotten     int   // how many times NextForgotten gives one

	version   int16
	walk      topics
	forgotten topics
}

// FetchPartition is a partition to read from.
type FetchPartition struct {
	Topic            []byte   // before version 13
	ID               [16]byte // from version 13 on
	Index            int32
	LeaderEpoch      int32 // that the client knows; -1: none, no check
	Offset           int64
	LastFetchedEpoch int32 // -1: none, no check
	MaxBytes         int32
}

// ForgottenPartition is a partition that a session is to drop.
type ForgottenPartition struct {
	Topic []byte   // before version 13
	ID    [16]byte // from version 13 on
	Index int32
}

// versions in which fields came to a Fetch or its answer, or left it
const (
	fetchLogStart     = 5
	fetchSessions     = 7
	fetchLeaderEpoch  = 9
	fetchRack         = 11 // and the preferred replica in the answer
	fetchLastEpoch    = 12
	fetchByID         = 13
	fetchReplicaInTag = 15
)

// Parse reads the body of a request of that version, which is served. It walks over all of it, so that Next and NextForgotten
// meet nothing malformed. It allocates nothing when all is well.
// Errors: a *FrameError.
func (r *FetchRequest) Parse(version int16, body []byte) error {
	flexible, byID := Flexible(Fetch, version), version >= fetchByID
	in := reader{b: body, what: "a Fetch"}
	if version < fetchReplicaInTag {
		in.int32() // the replica that asks; there are none, so who claims to be one is a consumer
	}
	*r = FetchRequest{version: version, MaxWaitMillis: in.int32(), MinBytes: in.int32(), MaxBytes: in.int32(), Isolation: in.int8(), SessionEpoch: -1}
	if version >= fetchSessions {
		r.SessionID, r.SessionEpoch = in.int32(), in.int32()
	}
	r.walk.begin(in, flexible, byID)
	first := r.walk
	var p FetchPartition
	for r.Next(&p) && r.walk.fits(&r.Partitions) {
	}
	in, r.walk = r.walk.in, first
	if version >= fetchSessions {
		in = r.parseForgotten(in)
	}
	if version >= fetchRack {
		in.string(flexible)
	}
	in.tags(flexible)
	in.done()
	return in.err()
}

// parseForgotten walks over the forgotten partitions and returns the reader behind them.
func (r *FetchRequest) parseForgotten(in reader) reader {
	r.forgotten.begin(in, r.walk.flexible, r.walk.byID)
	first := r.forgotten
	var p ForgottenPartition
	for r.NextForgotten(&p) && r.forgotten.fits(&r.Forgotten) {
	}
	in, r.forgotten = r.forgotten.in, first
	return in
}

// Next sets p to the next partition, in the order of the request, and tells whether there was one.
func (r *FetchRequest) Next(p *FetchPartition) bool {
	w := &r.walk
	if !w.next() {
		return false
	}
	*p = FetchPartition{Topic: w.name, ID: w.id, Index: w.in.int32(), LeaderEpoch: -1, LastFetchedEpoch: -1}
	if r.version >= fetchLeaderEpoch {
		p.LeaderEpoch = w.in.int32()
	}
	p.Offset = w.in.int64()
	if r.version >= fetchLastEpoch {
		p.LastFetchedEpoch = w.in.int32()
	}
	if r.version >= fetchLogStart {
		w.in.int64() // the log's start, as replicas tell it
	}
	p.MaxBytes = w.in.int32()
	w.in.tags(w.flexible)
	return !w.in.failed()
}

// NextForgotten sets p to the next partition that the session is to drop, and tells whether there was one.
func (r *FetchRequest) NextForgotten(p *ForgottenPartition) bool {
	w := &r.forgotten
	if !w.next() {
		return false
	}
	*p = ForgottenPartition{Topic: w.name, ID: w.id, Index: w.in.int32()}
	return !w.in.failed()
}
