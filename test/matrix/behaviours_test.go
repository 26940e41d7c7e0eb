package matrix

// behaviours is the table of rows. A behaviour that a driver lacks something for is not applicable there; one that
// is known to fail is in exceptions.
var behaviours = []behaviour{
	// append_test.go
	{name: "append and read back", run: appendAndReadBack},
	{name: "the first append creates the topic", run: firstAppendCreates},
	{name: "read own writes", run: readOwnWrites},
	{name: "keys", run: keys},
	{name: "null and empty", needs: []capability{nulls, emptyKeys}, run: nullAndEmpty},
	{name: "values of one line", run: lineValues},
	{name: "values of any bytes", needs: []capability{anyBytes}, run: anyValues},
	{name: "values near the limit", run: largeValues},
	{name: "a value beyond the limit", run: tooLargeValue},
	{name: "many producers", run: manyProducers},
	{name: "many topics", run: manyTopics},
	{name: "partitions", run: partitions},

	// ack_test.go
	{name: "answers name what was reached", run: answersNameTheirLevel},
	{name: "synced covers the record", run: syncedCovers},
	{name: "the watermark only rises", needs: []capability{typing}, run: watermarkOnlyRises},
	{name: "flush moves the watermark", run: flushMoves},
	{name: "the tick moves the watermark", run: tickMoves},
	{name: "so many records move the watermark", run: numberMoves},

	// batch_test.go
	{name: "batches are stored as sent", needs: []capability{ownBatches}, run: batchesStayWhole},
	{name: "several batches across a roll", needs: []capability{batchRequest}, run: batchesAcrossARoll},
	{name: "a request of batches is all or nothing", needs: []capability{batchRequest}, run: allOrNothing},
	{name: "a request of the largest size", needs: []capability{batchRequest}, run: largestRequest},
	{name: "every codec is read", run: everyCodec},
	{name: "batches of a producer are appended once", needs: []capability{batchRequest}, run: sequences},

	// read_test.go
	{name: "read from every kind of place", run: fromEveryKind},
	{name: "read limits", run: readLimits},
	{name: "read limit in bytes", needs: []capability{byteLimits}, run: byteLimit},
	{name: "each offset and segment boundary", run: eachOffset},
	{name: "the last message", run: lastMessage},
	{name: "time lookup", run: timeLookup},
	{name: "time lookup where times go back", needs: []capability{ownTimes}, run: timesGoBack},
	{name: "fetch", needs: []capability{fetching}, run: fetchAtTheEnd},
	{name: "fetch waits", needs: []capability{fetching}, run: fetchWaits},
	{name: "fetch limits", needs: []capability{fetching}, run: fetchLimits},

	// boundary_test.go
	{name: "every kind of place at every boundary", run: everyPlaceAtBoundaries},
	{name: "an empty log", run: emptyLog},
	{name: "inside a batch", needs: []capability{ownBatches}, run: insideBatches},
	{name: "reads while the log rolls", run: readsWhileItRolls},
	{name: "batches from each offset", needs: []capability{typing}, run: rawFromEachOffset},

	// tail_test.go
	{name: "tail from the newest", run: tailFromNewest},
	{name: "tail catches up and goes on", run: tailCatchesUp},
	{name: "tail limit", run: tailLimit},
	{name: "tail ends when asked", run: tailEnds},
	{name: "tail of batches", needs: []capability{typing}, run: tailRaw},
	{name: "tail ends with its topic", run: tailEndsWithTopic},
	{name: "producers and followers", run: producersAndFollowers},
	{name: "followers that die leave nothing", home: process_, needs: []capability{statistics}, run: deadFollowers},

	// topic_test.go
	{name: "create, drop, create again", run: createDropCreate},
	{name: "settings of a topic", run: topicSettings},
	{name: "partitions are added", needs: []capability{typing}, run: partitionsAreAdded},
	{name: "settings are altered", needs: []capability{typing}, run: settingsAreAltered},
	{name: "the list of topics", run: listOfTopics},
	{name: "statistics", needs: []capability{statistics}, run: statisticsTell},
	{name: "NO_TOPIC", run: noTopic},
	{name: "EXISTS", run: exists},
	{name: "OUT_OF_RANGE", run: outOfRange},
	{name: "BAD_SETTING", run: badSetting},
	{name: "BAD_TOPIC", run: badTopic},

	// pipeline_test.go
	{name: "pipelining", needs: []capability{typing}, run: pipelining},
	{name: "refusals where no answer was asked for", needs: []capability{typing}, run: silentRefusals},
	{name: "half-close", needs: []capability{typing}, run: halfClose},

	// storm_test.go
	{name: "everything at once", run: storm},

	// restart_test.go
	{name: "a graceful stop keeps all", home: alone, run: stopKeepsAll},
	{name: "indexes are derived", home: alone, run: indexesAreDerived},
	{name: "many starts", home: alone, run: manyStarts},
	{name: "a kill keeps what was written", home: process_, run: killKeepsWritten},
	{name: "an unclean start begins an epoch", home: process_, needs: []capability{typing}, run: uncleanStartBeginsEpoch},
	{name: "a kill keeps what is known of producers", home: process_, needs: []capability{batchRequest}, run: killKeepsSequences},
	{name: "FENCED behind an unclean start", home: process_, needs: []capability{typing}, run: fencedBehindUncleanStart},
	{name: "DISK_FULL is a state", home: alone, run: diskFullIsAState},

	// later_test.go
	{name: "TRUNCATE", needs: []capability{typing}, run: truncate},
	{name: "committed offsets", needs: []capability{typing}, run: committedOffsets},
	{name: "REFUSE and ACCEPT", needs: []capability{typing}, run: refuseAccept},
}

// exceptions is the table of expected failures. A row whose cell passes fails the run, and so does one that fits none.
var exceptions = []exception{
	{behaviour: "TRUNCATE", reason: "not built yet: nothing is removed but whole topics"},
	{behaviour: "committed offsets", reason: "not built yet: a consumer keeps its position in a store of its own"},
	{behaviour: "REFUSE and ACCEPT", reason: "not built yet: a log has one master, for ever"},
}
