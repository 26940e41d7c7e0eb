package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit status.
const (
	exitFine    = 0
	exitFailure = 1
	exitUsage   = 2
)

// streams are where a command reads and writes; tests bring their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a command line that can't be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run carries out one command line and returns the exit status.
func run(args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(append([]string{}, args...)) // given nil, cobra would take the arguments of the process
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitFine
	}
	name := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "sluice"), " ")
	// The last thing that can be said: if stderr is gone, the status still tells.
	_, _ = fmt.Fprintln(s.err, sentence(name, err))
	var usage usageError
	if errors.As(err, &usage) {
		_, _ = fmt.Fprintf(s.err, "see: %s --help\n", cmd.CommandPath()) // as above
		return exitUsage
	}
	return exitFailure
}

// sentence puts "sluice: command: " before an error, unless its text begins with the command already.
func sentence(command string, err error) string {
	text := err.Error()
	if command == "" || strings.HasPrefix(text, command+" ") || strings.HasPrefix(text, command+":") {
		return "sluice: " + text
	}
	return "sluice: " + command + ": " + text
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "A log server for low-latency ingest, and its tools",
		Long: `sluice is a log server: producers append records, each gets the next offset, and
consumers read from any offset or follow the end.`,
		Example: `  sluice serve &
  echo hello | sluice append greetings
  sluice read greetings`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = ": did you mean " + strings.Join(near, " or ") + "?"
			}
			return usagef("there is no command %q%s", args[0], hint)
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		newServe(), newAppend(), newRead(), newTail(), newHead(), newTopics(), newStats(), newFlush(), newCreate(), newAlter(), newDrop(),
		newVerify(), newDump(), newRepair(),
		newConfig(), newVersion(), newCompletion(),
		newDoctor(),
	)
	return root
}

// untilInterrupted ends the context at the first Ctrl-C or SIGTERM; a second one ends the process. A command that ends by
// itself never gives the signals back: one that came while the process was on its way out used to kill it, and turned a
// finished job into a failed one.
func untilInterrupted(parent context.Context) context.Context {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

// args makes a wrong number of arguments a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, list []string) error {
		if err := check(cmd, list); err != nil {
			return usageError{err}
		}
		return nil
	}
}
