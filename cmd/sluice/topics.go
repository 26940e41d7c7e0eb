package main

import (
	"github.com/spf13/cobra"

	"sluice/client"
)

func newTopics() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "List the topics with their partitions, records and bytes",
		Example: `  sluice topics
  sluice topics --json | jq -r '.[].name'`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), func(c *client.Client) error { return printTopics(cmd, c, r.json) })
		},
	}
	r.flags(cmd)
	return cmd
}

func printTopics(cmd *cobra.Command, c *client.Client, asJSON bool) error {
	list, err := c.Topics(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		if list == nil {
			list = []client.Topic{} // no topics are [], not null
		}
		return printJSON(cmd, list)
	}
	rows := []row{{"TOPIC", "PARTITIONS", "RECORDS", "BYTES"}}
	for _, t := range list {
		rows = append(rows, row{t.Name, t.Partitions, t.Records, mib(t.Bytes)})
	}
	return printTable(cmd.OutOrStdout(), rows)
}
