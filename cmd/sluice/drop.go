package main

import (
	"github.com/spf13/cobra"

	"sluice/client"
)

func newDrop() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "drop TOPIC",
		Short:   "Remove a topic with all its records, at once and for good",
		Example: `  sluice drop access`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkTopic(names[0]); err != nil {
				return err
			}
			return r.with(cmd.Context(), func(c *client.Client) error {
				if err := c.Drop(cmd.Context(), names[0]); err != nil {
					return err
				}
				return printDone(cmd, r.json, names[0], "dropped")
			})
		},
	}
	r.flags(cmd)
	return cmd
}
