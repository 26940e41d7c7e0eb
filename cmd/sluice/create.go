package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sluice/client"
	"sluice/stages"
)

func newCreate() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "create TOPIC [NAME=VALUE...]",
		Short: "Create a topic, with settings of its own",
		Long: `Create a topic. Without create, the first append makes the topic, with the server's settings.
Settings: partitions, ack, segment.bytes, max.message.bytes, index.interval.bytes, flush.ms,
flush.bytes, flush.messages, sync.`,
		Example: `  sluice create access
  sluice create orders partitions=4 ack=synced segment.bytes=64MiB`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, words []string) error {
			settings, err := topicSettings(words)
			if err != nil {
				return err
			}
			return r.with(cmd.Context(), func(c *client.Client) error {
				if err := c.Create(cmd.Context(), words[0], settings); err != nil {
					return err
				}
				return printDone(cmd, r.json, words[0], "created")
			})
		},
	}
	r.flags(cmd)
	return cmd
}

// topicSettings takes a topic and its NAME=VALUE words, and says before any server is asked what is wrong with them.
func topicSettings(words []string) (map[string]string, error) {
	if err := checkTopic(words[0]); err != nil {
		return nil, err
	}
	settings, err := parseSettings(words[1:])
	if err != nil {
		return nil, err
	}
	return settings, checkSettings(settings)
}

func parseSettings(words []string) (map[string]string, error) {
	settings := map[string]string{}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || name == "" {
			return nil, usagef("%q is no NAME=VALUE", w)
		}
		if _, twice := settings[name]; twice {
			return nil, usagef("%s is given twice", name)
		}
		settings[name] = value
	}
	return settings, nil
}

// checkSettings finds values that can't be right. A name that this version does not know is left to the server, which
// may be a later one.
func checkSettings(settings map[string]string) error {
	conf, names := stages.DefaultTopic(), slices.Sorted(maps.Keys(settings))
	for _, name := range names {
		if s, ok := stages.Find(stages.TopicSettings(), name); ok {
			if err := s.Set(&conf, settings[name]); err != nil {
				return usagef("%s: %w", name, err)
			}
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, "flush.") && conf.Sync != stages.SyncData {
			return usagef("%s has no effect with sync=%s: leave one of them out", name, conf.Sync)
		}
	}
	return nil
}

// printDone tells that something was done to a topic.
func printDone(cmd *cobra.Command, asJSON bool, topic, done string) error {
	if asJSON {
		return printJSON(cmd, map[string]any{"topic": topic, done: true})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", done, topic)
	return err
}
