package text

// Verb is what a request asks for. The zero Verb is no verb.
type Verb uint8

// All verbs of the protocol, those not built yet included: Parse knows them by name and refuses them.
const (
	VerbPing Verb = iota + 1
	VerbHello
	VerbMsg
	VerbBatch
	VerbRead
	VerbFetch
	VerbTail
	VerbHead
	VerbFlush
	VerbTopics
	VerbCreate
	VerbAlter
	VerbDrop
	VerbTruncate
	VerbProducer
	VerbCommit
	VerbCommitted
	VerbStats
	VerbRefuse
	VerbAccept
	VerbReplicate
	VerbAck
	VerbAuth
	VerbClose
	VerbShutdown
)

var verbNames = [...]string{
	VerbPing: "PING", VerbHello: "HELLO", VerbMsg: "MSG", VerbBatch: "BATCH", VerbRead: "READ", VerbFetch: "FETCH",
	VerbTail: "TAIL", VerbHead: "HEAD", VerbFlush: "FLUSH", VerbTopics: "TOPICS", VerbCreate: "CREATE",
	VerbAlter: "ALTER", VerbDrop: "DROP", VerbTruncate: "TRUNCATE", VerbProducer: "PRODUCER", VerbCommit: "COMMIT",
	VerbCommitted: "COMMITTED", VerbStats: "STATS", VerbRefuse: "REFUSE", VerbAccept: "ACCEPT",
	VerbReplicate: "REPLICATE", VerbAck: "ACK", VerbAuth: "AUTH", VerbClose: "CLOSE", VerbShutdown: "SHUTDOWN",
}

// String is the verb as a line spells it, in capitals; "" for the zero Verb.
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return "?"
}

const verbMax = len("REPLICATE")

// lookupVerb finds the verb in any case. The switch compares lengths first and copies nothing: a map keyed by string
// would do the same work and hash besides.
func lookupVerb(word []byte) Verb {
	var up [verbMax]byte
	if len(word) > len(up) {
		return 0
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	switch string(up[:len(word)]) {
	case "PING":
		return VerbPing
	case "HELLO":
		return VerbHello
	case "MSG":
		return VerbMsg
	case "BATCH":
		return VerbBatch
	case "READ":
		return VerbRead
	case "FETCH":
		return VerbFetch
	case "TAIL":
		return VerbTail
	case "HEAD":
		return VerbHead
	case "FLUSH":
		return VerbFlush
	case "TOPICS":
		return VerbTopics
	case "CREATE":
		return VerbCreate
	case "ALTER":
		return VerbAlter
	case "DROP":
		return VerbDrop
	case "TRUNCATE":
		return VerbTruncate
	case "PRODUCER":
		return VerbProducer
	case "COMMIT":
		return VerbCommit
	case "COMMITTED":
		return VerbCommitted
	case "STATS":
		return VerbStats
	case "REFUSE":
		return VerbRefuse
	case "ACCEPT":
		return VerbAccept
	case "REPLICATE":
		return VerbReplicate
	case "ACK":
		return VerbAck
	case "AUTH":
		return VerbAuth
	case "CLOSE":
		return VerbClose
	case "SHUTDOWN":
		return VerbShutdown
	}
	return 0
}
