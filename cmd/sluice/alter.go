package main

import (
	"github.com/spf13/cobra"

	"sluice/client"
)

func newAlter() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "alter TOPIC partitions=N",
		Short: "Add partitions to a topic",
		Long: `Give a topic more partitions, at once. Records stay where they are; producers that choose a
partition by a record's key choose among all of them from then on, so later records of a key may
go elsewhere than earlier ones. Partitions can't be taken away, and other settings not be changed yet.`,
		Example: `  sluice alter orders partitions=8`,
		Args:    args(cobra.MinimumNArgs(2)),
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
