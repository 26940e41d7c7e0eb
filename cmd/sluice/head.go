package main

import (
	"github.com/spf13/cobra"

	"sluice/client"
)

func newHead() *cobra.Command {
	var r remote
	var partition int32
	cmd := &cobra.Command{
		Use:   "head TOPIC",
		Short: "Show where a log stands: oldest, next and synced offset, segments, bytes",
		Example: `  sluice head access
  sluice head access --json | jq .next`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			topic, err := partitionOf(names[0], partition)
			if err != nil {
				return err
			}
			return r.with(cmd.Context(), func(c *client.Client) error { return printHead(cmd, c, topic, r.json) })
		},
	}
	r.flags(cmd)
	cmd.Flags().Int32Var(&partition, "partition", 0, "which partition of the topic")
	return cmd
}

func printHead(cmd *cobra.Command, c *client.Client, topic string, asJSON bool) error {
	h, err := c.Head(cmd.Context(), topic)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, h)
	}
	return printTable(cmd.OutOrStdout(), []row{
		{"oldest", h.Oldest, "the first record there is"},
		{"next", h.Next, "the offset of the next record"},
		{"synced", h.Synced, "records before it survive a power cut"},
		{"epoch", h.Epoch, "masters the log has had"},
		{"segment", h.Segment, "the active segment's first offset"},
		{"segments", h.Segments, ""},
		{"bytes", h.Bytes, mib(h.Bytes)},
		{"partitions", h.Partitions, "of the topic"},
	})
}
