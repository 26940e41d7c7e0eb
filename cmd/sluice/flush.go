package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"sluice/client"
)

func newFlush() *cobra.Command {
	var r remote
	var partition int32
	cmd := &cobra.Command{
		Use:   "flush TOPIC",
		Short: "Make everything appended so far survive a power cut",
		Example: `  sluice flush access
  sluice flush access --partition 3`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			topic, err := partitionOf(names[0], partition)
			if err != nil {
				return err
			}
			return r.with(cmd.Context(), func(c *client.Client) error {
				synced, err := c.Flush(cmd.Context(), topic)
				if err != nil {
					return err
				}
				if r.json {
					return printJSON(cmd, struct {
						Topic  string `json:"topic"`
						Synced uint64 `json:"synced"`
					}{topic, synced})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is synced up to offset %d\n", topic, synced)
				return err
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().Int32Var(&partition, "partition", 0, "which partition of the topic")
	return cmd
}
