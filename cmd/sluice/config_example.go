package main

import (
	"fmt"
	"strings"

	"sluice/stages"
)

const exampleHead = `# Every setting of sluice, with its default. Made by: sluice config example
# The environment (SLUICE_STAGES_WRITER_QUEUE for stages.writer.queue) and flags override what stands here.
# sluice config check FILE finds faults; sluice config explain FILE shows what comes from where.
`

// exampleConfig is a YAML file of every setting with its default, made from the table.
func exampleConfig() string {
	var b strings.Builder
	b.WriteString(exampleHead)
	conf := stages.Default()
	var open []string // the sections that are open
	for _, s := range stages.Settings() {
		sections, leaf := splitName(s.Name)
		b.WriteString("\n")
		open = openSections(&b, open, sections)
		indent := strings.Repeat("  ", len(sections))
		fmt.Fprintf(&b, "%s# %s\n", indent, s.Help)
		if s.Loss != "" {
			fmt.Fprintf(&b, "%s# A power cut may cost: %s.\n", indent, s.Loss)
		}
		fmt.Fprintf(&b, "%s%s: %s\n", indent, leaf, yamlValue(s.Get(&conf)))
	}
	return b.String()
}

// splitName gives the sections of a setting and its name in them. Topic settings keep their dotted names, which are
// those of CREATE and of Kafka.
func splitName(name string) (sections []string, leaf string) {
	if rest, ok := strings.CutPrefix(name, "topic."); ok {
		return []string{"topic"}, rest
	}
	words := strings.Split(name, ".")
	return words[:len(words)-1], words[len(words)-1]
}

// openSections writes the section heads that are not open yet.
func openSections(b *strings.Builder, open, want []string) []string {
	same := 0
	for same < len(open) && same < len(want) && open[same] == want[same] {
		same++
	}
	for i, s := range want[same:] {
		fmt.Fprintf(b, "%s%s:\n", strings.Repeat("  ", same+i), s)
	}
	return want
}

// yamlValue quotes what YAML would read as something else.
func yamlValue(v string) string {
	if v == "" || strings.ContainsAny(v, "#\"'{}[]&*!|>%@`") || strings.Contains(v, ": ") {
		return fmt.Sprintf("%q", v)
	}
	return v
}
