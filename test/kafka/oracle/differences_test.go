package oracle

import "sluice/wire/kafka"

// anyKey stands for every key in a difference, as anything does for every word.
const (
	anyKey   kafka.Key = -1
	anything           = "anything"
)

func fits(want, got string) bool { return want == anything || want == got }

// A difference is one that is known, and why it is.
type difference struct {
	key          kafka.Key
	what         string // in the request
	ours, theirs string
	why          string
}

const (
	cutOff       = "kfake does not look at the end of a request, and takes null for an empty array; Apache Kafka closes the connection, as we do"
	notOne       = "what is not one whole batch of magic 2 is INVALID_RECORD in Apache Kafka since 2.1, which clients give up on; CORRUPT_MESSAGE they send again, some for ever"
	unseen       = "kfake does not look at that"
	transactions = "transactions are not there yet; to a client that wants them this is said at once"
	twice        = "a partition that is named twice: we carry out both, in order"
)

var differences = []difference{
	{anyKey, "goes on behind its last field", "closed", anything, cutOff},
	{anyKey, "has null for an array", "closed", anything, cutOff},
	{anyKey, "has null for a string", "closed", anything, cutOff},
}

// explain finds the line for a difference, or nil.
func explain(key kafka.Key, about remarks, at, ours, theirs string) *difference {
	what := about.at(at)
	for i := range differences {
		d := &differences[i]
		if (d.key == key || d.key == anyKey) && fits(d.what, what) && fits(d.ours, orNothing(ours)) && fits(d.theirs, orNothing(theirs)) {
			return d
		}
	}
	return nil
}
