package kafka

// ProduceRequest is a request to append. Parse fills it, and Next walks over its partitions; a copy of it walks on its own.
// All its bytes are views into the body.
type ProduceRequest struct {
	Acks          int16
	TimeoutMillis int32
	Transactional bool // it has a transactional id
	Partitions    int  // how many times Next gives one; one may come twice

	walk topics
}

// ProducePartition is what is to be appended to one partition.
type ProducePartition struct {
	Topic   []byte
	Index   int32
	Records []byte // nil: null
}

// Parse reads the body of a request of that version, which is served. It walks over all of it, so that Next meets nothing
// malformed, and looks into no batch. It allocates nothing when all is well.
// Errors: a *FrameError.
func (r *ProduceRequest) Parse(version int16, body []byte) error {
	flexible := Flexible(Produce, version)
	in := reader{b: body, what: "a Produce"}
	*r = ProduceRequest{
		Transactional: in.nullable(flexible) != nil,
		Acks:          in.int16(),
		TimeoutMillis: in.int32(),
	}
	r.walk.begin(in, flexible, false)
	first := r.walk
	var p ProducePartition
	for r.Next(&p) && r.walk.fits(&r.Partitions) {
	}
	r.walk.in.tags(flexible)
	r.walk.in.done()
	err := r.walk.in.err()
	r.walk = first
	return err
}

// Next sets p to the next partition, in the order of the request, and tells whether there was one.
func (r *ProduceRequest) Next(p *ProducePartition) bool {
	w := &r.walk
	if !w.next() {
		return false
	}
	p.Topic = w.name
	p.Index = w.in.int32()
	p.Records = w.in.bytes(w.flexible)
	w.in.tags(w.flexible)
	return !w.in.failed()
}
