package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"sluice/stages"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and explain the server's settings",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheck(), newConfigExplain(), newConfigExample())
	return cmd
}

func newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Find what is wrong with a file and the environment, without starting a server",
		Example: `  sluice config check sluice.yaml
  SLUICE_TOPIC_FLUSH_MS=100 sluice config check`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			conf, err := loadConfig(fileOf(files), os.Environ(), nil)
			if err != nil {
				return err
			}
			if err := printWarnings(cmd.ErrOrStderr(), conf); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is fine")
			return err
		},
	}
}

func fileOf(files []string) string {
	if len(files) == 0 {
		return ""
	}
	return files[0]
}

func printWarnings(w io.Writer, conf effective) error {
	for _, s := range conf.warnings {
		if _, err := fmt.Fprintln(w, "sluice: config:", s); err != nil {
			return err
		}
	}
	return nil
}

// explained is one setting in --json.
type explained struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
	Help  string `json:"help"`
	Loss  string `json:"loss,omitempty"`
}

func newConfigExplain() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [FILE]",
		Short: "Print every setting, its value, where that comes from, and what a power cut may cost with it",
		Example: `  sluice config explain sluice.yaml
  sluice config explain sluice.yaml --json | jq '.[] | select(.from != "default")'`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			conf, err := loadConfig(fileOf(files), os.Environ(), nil)
			if err != nil {
				return err
			}
			if err := printWarnings(cmd.ErrOrStderr(), conf); err != nil {
				return err
			}
			return explainConfig(cmd, conf, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func explainConfig(cmd *cobra.Command, conf effective, asJSON bool) error {
	rows := []row{{"SETTING", "VALUE", "FROM", "A POWER CUT MAY COST"}}
	var list []explained
	for _, s := range stages.Settings() {
		value, from := s.Get(&conf.Config), conf.origins[s.Name]
		rows = append(rows, row{s.Name, value, from, s.Loss})
		list = append(list, explained{s.Name, value, from, s.Help, s.Loss})
	}
	if asJSON {
		return printJSON(cmd, list)
	}
	return printTable(cmd.OutOrStdout(), rows)
}

func newConfigExample() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a file with every setting and its default",
		Example: `  sluice config example > sluice.yaml`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), exampleConfig())
			return err
		},
	}
}
