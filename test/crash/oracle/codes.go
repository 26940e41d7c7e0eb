package oracle

// codes says of each error of the protocol what became of the append that it answers. A wrong "fail" accuses an honest
// server, a wrong "unknown" lets a lie pass: so this table is read by people, and a test holds it to the list of codes.
var codes = map[string]Outcome{
	"BAD_COMMAND":   Fail,
	"TOO_LARGE":     Fail,
	"BAD_FRAME":     Fail,
	"BAD_TOPIC":     Fail,
	"NO_TOPIC":      Fail,
	"BAD_BATCH":     Fail,
	"BAD_CRC":       Fail,
	"OUT_OF_RANGE":  Fail,
	"CORRUPT":       Fail,
	"REFUSED":       Fail,
	"FENCED":        Fail,
	"DISK_FULL":     Fail, // decided before the write, or provably undone
	"LOG_FAILED":    Fail, // the log had failed before this request was written
	"UNKNOWN":       Unknown,
	"OVERLOADED":    Fail,
	"TIMEOUT":       Fail, // a deadline before the write; one that expires behind it is UNKNOWN
	"SHUTTING_DOWN": Fail,
	"DENIED":        Fail,
	"EXISTS":        Fail,
	"BAD_SETTING":   Fail,
}

// OutcomeOf gives what an error's code says of its append; Unknown for a code that is not in the table.
func OutcomeOf(code string) Outcome {
	if o, ok := codes[code]; ok {
		return o
	}
	return Unknown
}
