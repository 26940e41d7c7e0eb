package text

import "fmt"

// Ack is a level of acknowledgement. Levels are ordered: a higher one promises all that a lower one does.
type Ack uint8

const (
	AckDefault    Ack = iota // none was asked for: the topic's own level
	AckNone                  // no answer for a success
	AckWritten               // survives the end of the process
	AckSynced                // survives power loss
	AckReplicated            // survives the loss of the master
)

var ackNames = [...]string{"default", "none", "written", "synced", "replicated"}

// String is the level's word, "default" for AckDefault (which no line carries).
func (a Ack) String() string {
	if int(a) < len(ackNames) {
		return ackNames[a]
	}
	return "?"
}

// ParseAck reads none, written, synced or replicated.
func ParseAck[T ~string | ~[]byte](s T) (Ack, error) {
	if a := lookupAck([]byte(s)); a != AckDefault {
		return a, nil
	}
	return AckDefault, fmt.Errorf("bad ack %s: use none, written, synced or replicated", quote(s))
}

// lookupAck gives AckDefault for a word that is no level.
func lookupAck(word []byte) Ack {
	switch string(word) {
	case "none":
		return AckNone
	case "written":
		return AckWritten
	case "synced":
		return AckSynced
	case "replicated":
		return AckReplicated
	}
	return AckDefault
}
