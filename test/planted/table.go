package planted

// A Bug is one that the build tag "planted" makes possible and SLUICE_PLANTED=name switches on.
type Bug struct {
	Name string
	What string // what a server does that has it
	Seen []Test // each of these must be red
}

// A Test is a test function of a package, by its name.
type Test struct{ Package, Name string }

// Table is all of them. The name is what sched.Planted is asked for in the sources.
var Table = []Bug{
	{"ack-before-sync", "a record is acknowledged as synced before the fdatasync that covers it", []Test{
		{"stages", "TestI2AckAfterSync"}, {"stages", "TestI6B1B2B3B7FirstFailureEndsTheLog"}}},
	{"ack-after-failed-sync", "an fdatasync fails, and those who wait for it are told that they are synced", []Test{
		{"stages", "TestI6B1B2B3B7FirstFailureEndsTheLog"}}},
	{"ignore-sync-error", "an fdatasync that fails is taken for one that has succeeded", []Test{
		{"disk", "TestI6B2B3B7WhatFailsALog"}, {"disk", "TestI2SyncOrderAfterRoll"}}},
	{"retry-sync", "an fdatasync that fails is tried again, and the second result believed", []Test{
		{"disk", "TestI6B2B3B7WhatFailsALog"}, {"disk", "TestI2SyncOrderAfterRoll"}}},
	{"skip-dir-sync", "the name of a new file is not synced into its directory", []Test{
		{"disk", "TestA4FirstSegmentIsDurable"}, {"disk", "TestF1AckInSpareHolds"}, {"stages", "TestI8RollsUnderLoad"}}},
	{"durable-past-unsynced-file", "the durable point passes the end of a segment that is not synced", []Test{
		{"disk", "TestI2SyncOrderAfterRoll"}, {"disk", "TestF1AckInSpareHolds"}}},
	{"mark-before-sync", "the durable mark is written before the fdatasync that it tells of", []Test{
		{"disk", "TestI2MarkNeverLeads"}}},
	{"trust-index", "an entry of an index is believed without the batch that it points at", []Test{
		{"disk", "TestC5IndexFaults"}}},
	{"accept-crc-mismatch", "a batch whose checksum is wrong is taken for whole", []Test{
		{"disk", "TestA3C1FlippedTailBehindMark"}, {"disk", "TestC2FlippedBelowMark"}, {"disk", "TestC2SealedBits"},
		{"disk", "TestC2DamageIsSeenOnce"}}},
	{"cut-below-mark", "recovery cuts what lies below the durable mark", []Test{
		{"disk", "TestC2FlippedBelowMark"}, {"disk", "TestC6EndBelowMark"}}},
	{"cut-without-copy", "recovery cuts a torn tail without keeping its bytes", []Test{
		{"disk", "TestA3TornTail"}, {"disk", "TestF1LeftoverSpare"}}},
	{"no-new-epoch", "an unclean start goes on in the old epoch", []Test{
		{"disk", "TestI3Epochs"}, {"disk", "TestI3EpochIsStoredFirst"}}},
	{"clean-flag-stays", "the mark of a clean stop stays when appends begin", []Test{
		{"disk", "TestI3EpochIsStoredFirst"}}},
	{"trust-cache", "recovery reads what the kernel still has in memory, whatever the device has", []Test{
		{"disk", "TestB1CacheIsNotTrusted"}, {"disk", "TestB1DroppedPages"}}},
	{"sleep-unsynced", "a log's files are closed to make room for another one, and what is unsynced in them is not synced first", []Test{
		{"disk", "TestI13SleepSyncsFirst"}, {"disk", "TestI13SleepFinishesRoll"}, {"disk", "TestI13SleepThatFails"}, {"disk", "TestA2A3PowerCutAtEveryOperation"}}},
	{"append-when-full", "appends are not refused while the disk is full", []Test{
		{"stages", "TestB4FullIsAState"}, {"stages", "TestB4DropFreesAFullDisk"}}},
	{"forget-producers", "what a log knows of its producers is forgotten at a restart", []Test{
		{"disk", "TestC9E5ProducersFaults"}, {"disk", "TestA1E5OpeningReadsLittle"}, {"stages", "TestA1E5SequencesAfterARestart"}}},
	{"producers-before-sync", "what a log knows of its producers is kept before the batches are durable that it is about", []Test{
		{"disk", "TestA2E5SnapshotsAreOfDurableBatches"}}},
}
