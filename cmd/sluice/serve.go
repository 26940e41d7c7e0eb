package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/stages"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	config string
	named  map[string]*string // flags that are settings of the same name
	set    []string
}

func newServe() *cobra.Command {
	o := serveOptions{named: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until SIGTERM, SIGINT or the request SHUTDOWN. Then every request that was received whole is
carried out and answered, everything appended is synced, and the exit status is 0; it is 1 if a log that
had failed leaves records behind that could not be synced. A second signal ends the process at once, with status 1.

Settings come from defaults, the file of --config, the environment (SLUICE_STAGES_WRITER_QUEUE for
stages.writer.queue) and flags; the later wins. "sluice config explain" shows what comes from where.

When connections are accepted, one line on stdout says so, with the addresses. The log goes to stderr.`,
		Example: `  sluice serve
  sluice serve --data /var/lib/sluice --listen 0.0.0.0:1774
  sluice serve --config sluice.yaml --set topic.flush.ms=100`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "YAML `FILE` with settings")
	for _, name := range []string{"data", "listen", "http", "kafka"} {
		s, _ := stages.Find(stages.Settings(), name)
		conf := stages.Default()
		o.named[name] = f.String(name, s.Get(&conf), s.Help)
	}
	f.StringArrayVar(&o.set, "set", nil, "`NAME=VALUE` of any setting; may be repeated")
	return cmd
}

// flagged lists the settings that the command line gives.
func (o *serveOptions) flagged(cmd *cobra.Command) ([]flagValue, error) {
	var list []flagValue
	for _, w := range o.set {
		m, err := parseSettings([]string{w})
		if err != nil {
			return nil, err
		}
		for name, value := range m {
			list = append(list, flagValue{name: name, value: value, flag: "--set " + name})
		}
	}
	for name, value := range o.named {
		if cmd.Flags().Changed(name) {
			list = append(list, flagValue{name: name, value: *value, flag: "--" + name})
		}
	}
	return list, nil
}

func runServe(cmd *cobra.Command, o *serveOptions) error {
	flags, err := o.flagged(cmd)
	if err != nil {
		return err
	}
	conf, err := loadConfig(o.config, os.Environ(), flags)
	if err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(conf.MemoryBound()) // soft: past it the collector works harder, and nothing fails
	}
	log := newLogger(cmd.ErrOrStderr())
	for _, w := range conf.warnings {
		log.Warn(w)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM) // for good, as in untilInterrupted
	srv, err := stages.StartShowing(conf.Config, log, showOpening(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	if err := printReady(cmd.OutOrStdout(), srv, conf.Config); err != nil {
		return errors.Join(err, srv.Stop(cmd.Context()))
	}
	return wait(cmd.Context(), srv, signals, log)
}

func printReady(w io.Writer, srv *stages.Server, conf stages.Config) error {
	logs, took := srv.Opened()
	_, err := fmt.Fprintf(w, "sluice %s ready: text %s, http %s, kafka %s, data %s, %d logs in %v\n", version,
		srv.Addr(), cmp.Or(srv.HTTPAddr(), "none"), cmp.Or(srv.KafkaAddr(), "none"), conf.Data, logs, took.Round(time.Millisecond))
	return err
}

// showOpening draws on a terminal how many logs are open, a few times a second; elsewhere it is nil.
func showOpening(w io.Writer) func(opened, all int) {
	if !isTerminal(w) {
		return nil
	}
	return drawOpening(w)
}

func drawOpening(w io.Writer) func(opened, all int) {
	var drawn time.Time
	return func(opened, all int) {
		now := time.Now()
		switch {
		case opened == all && !drawn.IsZero():
			_, _ = fmt.Fprint(w, "\r\x1b[K") // a terminal that is gone needs no picture
		case opened < all && now.Sub(drawn) >= 100*time.Millisecond:
			drawn = now
			_, _ = fmt.Fprintf(w, "\ropening %d of %d logs", opened, all) // as above
		}
	}
}

// wait returns when the server has stopped: by itself, or after a signal.
func wait(ctx context.Context, srv *stages.Server, signals <-chan os.Signal, log *zap.Logger) error {
	select {
	case <-srv.Done():
		return srv.Err()
	case s := <-signals:
		log.Info("stopping; a second signal ends the process at once", zap.Stringer("signal", s))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Stop(ctx) }()
	select {
	case err := <-stopped:
		return err
	case s := <-signals:
		// Nothing is waited for any more: what was not answered has an unknown outcome, as after a kill.
		return fmt.Errorf("ended at once by a second signal (%v)", s)
	}
}

// newLogger writes lines for people to a terminal, and JSON for machines elsewhere.
func newLogger(w io.Writer) *zap.Logger {
	conf := zap.NewProductionEncoderConfig()
	conf.EncodeTime = zapcore.ISO8601TimeEncoder
	conf.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(conf)
	if isTerminal(w) {
		conf.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(conf)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), zap.InfoLevel))
}
