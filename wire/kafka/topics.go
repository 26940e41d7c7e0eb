package kafka

// MaxPartitions is how many partitions one Produce or Fetch request may name: as many as a server may have. It bounds what
// must be kept of a request until it is answered.
const MaxPartitions = 65536

// topics walks over the topics and partitions of a request, in order. The zero value walks over none.
type topics struct {
	in       reader
	flexible bool
	byID     bool   // topics are named by their ids
	left     int    // topics not begun
	parts    int    // partitions left in this topic
	open     bool   // a topic was begun and not ended
	name     []byte // nil where byID
	id       [16]byte
}

// begin reads how many topics there are.
func (t *topics) begin(in reader, flexible, byID bool) {
	*t = topics{in: in, flexible: flexible, byID: byID}
	t.left = t.in.array(flexible)
}

// next goes to the next partition, and tells whether there is one. The caller reads its fields from t.in.
func (t *topics) next() bool {
	for t.parts == 0 {
		if t.open {
			t.in.tags(t.flexible)
			t.open = false
		}
		if t.left == 0 || t.in.failed() {
			return false
		}
		t.left--
		t.open = true
		if t.byID {
			copy(t.id[:], t.in.take(len(t.id)))
		} else {
			t.name = t.in.string(t.flexible)
		}
		t.parts = t.in.array(t.flexible)
	}
	t.parts--
	return !t.in.failed()
}

// fits counts one partition more, and fails where there are too many.
func (t *topics) fits(n *int) bool {
	if *n++; *n > MaxPartitions {
		t.in.fail("names more partitions than a server can have")
	}
	return !t.in.failed()
}
