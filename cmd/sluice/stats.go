package main

import (
	"bytes"
	"context"

	"github.com/spf13/cobra"

	"sluice/client"
)

func newStats() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show the server's figures",
		Example: `  sluice stats
  sluice stats --json | jq .`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), func(c *client.Client) error { return printStats(cmd.Context(), cmd, c, r.json) })
		},
	}
	r.flags(cmd)
	return cmd
}

func printStats(ctx context.Context, cmd *cobra.Command, c *client.Client, asJSON bool) error {
	ask := c.StatsText
	if asJSON {
		ask = c.Stats
	}
	b, err := ask(ctx)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(append(bytes.TrimRight(b, "\r\n"), '\n'))
	return err
}
