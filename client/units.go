package client

import "sluice/wire/text"

// ParseBytes reads a size as settings and flags have it: 64KiB, 1MiB, or a bare number of bytes.
func ParseBytes(s string) (int64, error) { return text.ParseBytes(s) }

// FormatBytes is the form that ParseBytes reads.
func FormatBytes(n int64) string { return text.FormatBytes(n) }

// ParseAck reads a level's word: none, written, synced, replicated.
func ParseAck(s string) (Ack, error) { return text.ParseAck(s) }
