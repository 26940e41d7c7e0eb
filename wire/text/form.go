package text

// form is what a verb's line may hold. A verb without usage is not built yet.
type form struct {
	usage    string
	args     [2]arg
	required int     // so many of args must be there
	names    nameSet // CREATE and ALTER have any names instead
}

// arg is what an argument, a word without a name, stands for.
type arg uint8

const (
	argNone    arg = iota
	argTopic       // topic or topic/partition
	argBare        // topic alone
	argFrom        // see From
	argLength      // bytes, -1: null
	argBatches     // bytes
)

var argWords = [...]string{argTopic: "topic", argBare: "topic", argFrom: "from", argLength: "n", argBatches: "n"}

// name is a name of a name=value.
type name uint8

const (
	nameAck name = iota
	nameKey
	nameTime
	nameLimit
	nameBytes
	nameWait
	nameMin
	nameEpoch
	nameRaw
	nameFormat
	nameClient
	nameNone
)

type nameSet uint16

func names(list ...name) (s nameSet) {
	for _, n := range list {
		s |= 1 << n
	}
	return s
}

const numberHint = "a number from 0 to 9223372036854775807"

// nameHints says what a name's value has to be.
var nameHints = [...]string{
	nameAck:    "none, written, synced or replicated",
	nameKey:    "the key's length in bytes, or -1 for null",
	nameTime:   "Unix milliseconds, " + numberHint,
	nameLimit:  numberHint,
	nameBytes:  numberHint,
	nameWait:   "a duration with its unit, as in 250ms",
	nameMin:    numberHint,
	nameEpoch:  numberHint,
	nameRaw:    "1, or left out",
	nameFormat: "text or json",
	nameClient: "a name, percent-encoded with % and two hex digits",
}

func lookupName(word []byte) name {
	switch string(word) {
	case "ack":
		return nameAck
	case "key":
		return nameKey
	case "time":
		return nameTime
	case "limit":
		return nameLimit
	case "bytes":
		return nameBytes
	case "wait":
		return nameWait
	case "min":
		return nameMin
	case "epoch":
		return nameEpoch
	case "raw":
		return nameRaw
	case "format":
		return nameFormat
	case "client":
		return nameClient
	}
	return nameNone
}

var forms = [len(verbNames)]form{
	VerbPing:     {usage: "PING"},
	VerbProducer: {usage: "PRODUCER"},
	VerbHello:    {usage: "HELLO [client=]", names: names(nameClient)},
	VerbMsg: {
		usage: "MSG topic n [ack=] [key=] [time=], then the payload",
		args:  [2]arg{argTopic, argLength}, required: 2, names: names(nameAck, nameKey, nameTime),
	},
	VerbBatch: {
		usage: "BATCH topic n [ack=], then the payload",
		args:  [2]arg{argTopic, argBatches}, required: 2, names: names(nameAck),
	},
	VerbRead: {
		usage: "READ topic from [limit=] [bytes=] [epoch=]",
		args:  [2]arg{argTopic, argFrom}, required: 2, names: names(nameLimit, nameBytes, nameEpoch),
	},
	VerbFetch: {
		usage: "FETCH topic from [bytes=] [wait=] [min=] [epoch=]",
		args:  [2]arg{argTopic, argFrom}, required: 2, names: names(nameBytes, nameWait, nameMin, nameEpoch),
	},
	VerbTail: {
		usage: "TAIL topic [from] [limit=] [raw=1] [epoch=]",
		args:  [2]arg{argTopic, argFrom}, required: 1, names: names(nameLimit, nameRaw, nameEpoch),
	},
	VerbHead:     {usage: "HEAD topic", args: [2]arg{argTopic}, required: 1},
	VerbFlush:    {usage: "FLUSH topic", args: [2]arg{argTopic}, required: 1},
	VerbTopics:   {usage: "TOPICS"},
	VerbCreate:   {usage: "CREATE topic [name=value ...]", args: [2]arg{argBare}, required: 1},
	VerbAlter:    {usage: "ALTER topic name=value ...", args: [2]arg{argBare}, required: 1},
	VerbDrop:     {usage: "DROP topic", args: [2]arg{argBare}, required: 1},
	VerbStats:    {usage: "STATS [format=text or json]", names: names(nameFormat)},
	VerbClose:    {usage: "CLOSE"},
	VerbShutdown: {usage: "SHUTDOWN"},
}

const builtVerbs = "PING, HELLO, MSG, BATCH, READ, FETCH, TAIL, HEAD, FLUSH, TOPICS, CREATE, ALTER, DROP, PRODUCER, STATS, CLOSE or SHUTDOWN"
