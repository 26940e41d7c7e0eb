package client

import "sluice/wire/text"

// ParseBytes reads a size as settings and flags have it: 64KiB, 1MiB, or a bare number of bytes.
func ParseBytes(s string) (int64, error) { return text.ParseBytes(s) }

// FormatBytes is the form that ParseBytes reads.
func FormatBytes(n int64) string { return text.FormatBytes(n) }

// CheckTopic tells what is wrong with the name of a topic; nil: any server takes it.
func CheckTopic(name string) error { return text.CheckTopic([]byte(name)) }

// CheckPartition is CheckTopic for "topic" or "topic/3".
func CheckPartition(name string) error {
	_, _, err := text.ParseTopic([]byte(name))
	return err
}

// ParseAck reads a level's word: none, written, synced, replicated.
func ParseAck(s string) (Ack, error) { return text.ParseAck(s) }
