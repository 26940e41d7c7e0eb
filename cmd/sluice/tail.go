package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"sluice/client"
)

func newTail() *cobra.Command {
	o := readOptions{from: place{client.Newest()}, follow: true}
	cmd := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Follow a log: print records as they arrive, until Ctrl-C",
		Example: `  sluice tail access
  sluice tail access --from -10
  sluice tail orders --json --limit 5`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx := untilInterrupted(cmd.Context())
			err := o.run(ctx, cmd, names[0])
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // Ctrl-C is how a tail ends
			}
			return err
		},
	}
	o.addFlags(cmd)
	return cmd
}
