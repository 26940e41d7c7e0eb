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
		Long: `Follow a log: print records as they arrive, until Ctrl-C, or until nobody reads them any more, as behind
"sluice tail access | grep -m 1 error". Both end it with status 0. --from and gaps are as of "sluice read".`,
		Example: `  sluice tail access
  sluice tail access --from -10
  sluice tail access | grep -m 1 error
  sluice tail orders --json --limit 5`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx, stop, err := untilUnread(untilInterrupted(cmd.Context()), cmd.OutOrStdout())
			if err != nil {
				return err
			}
			err = o.run(ctx, cmd, names[0])
			if ctx.Err() != nil && errors.Is(err, context.Canceled) || unread(err) {
				err = nil // this is how a tail ends
			}
			return errors.Join(err, stop())
		},
	}
	o.addFlags(cmd)
	return cmd
}
