package main

import (
	"github.com/spf13/cobra"

	"sluice/client"
)

func newAlter() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "alter TOPIC NAME=VALUE...",
		Short: "Change a topic's settings, or add partitions",
		Long: `Change settings of a topic, at once: all that are named, or none. They hold for what comes later.
Settings: partitions, ack, max.message.bytes, flush.ms, flush.bytes, flush.messages, and sync, but not
from or to dsync. segment.bytes and index.interval.bytes are given to create.

Partitions can be added, not taken away. Records stay where they are; producers that choose a partition
by a record's key choose among all of them from then on, so later records of a key may go elsewhere
than earlier ones.`,
		Example: `  sluice alter orders partitions=8
  sluice alter orders ack=synced max.message.bytes=4MiB`,
		Args: args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, words []string) error {
			settings, err := topicSettings(words)
			if err != nil {
				return err
			}
			return r.with(cmd.Context(), func(c *client.Client) error {
				if err := c.Alter(cmd.Context(), words[0], settings); err != nil {
					return err
				}
				return printDone(cmd, r.json, words[0], "altered")
			})
		},
	}
	r.flags(cmd)
	return cmd
}
