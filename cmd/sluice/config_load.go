package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"sluice/stages"
)

// effective is the configuration after all layers, with where each setting came from.
type effective struct {
	stages.Config
	origins  map[string]string // by name: default, FILE:LINE, env NAME, a flag
	warnings []string          // environment names that look like misspelt settings
}

// flagValue is a setting given on the command line.
type flagValue struct{ name, value, flag string }

// configError is everything that is wrong with a configuration, so that one run mends all of it.
type configError struct{ faults []string }

func (e *configError) Error() string {
	if len(e.faults) == 1 {
		return e.faults[0]
	}
	return fmt.Sprintf("the configuration has %d faults:\n  %s", len(e.faults), strings.Join(e.faults, "\n  "))
}

// layers applies one source of settings after the other; the later wins.
type layers struct {
	effective
	table  []stages.Setting[stages.Config]
	faults []string
}

// loadConfig puts the layers together: defaults, the file (none if path is empty), the environment, flags.
// A fault in a layer does not keep the later ones from being looked at.
func loadConfig(path string, environ []string, flags []flagValue) (effective, error) {
	l := &layers{table: stages.Settings()}
	l.Config = stages.Default()
	l.origins = make(map[string]string, len(l.table))
	for _, s := range l.table {
		l.origins[s.Name] = "default"
	}
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return effective{}, fmt.Errorf("read the configuration: %w", err)
		}
		l.file(path, b)
	}
	l.environment(environ)
	others := len(l.faults)
	l.flags(flags)
	switch {
	case len(l.faults) > others:
		return effective{}, usageError{&configError{l.faults}}
	case others > 0:
		return effective{}, &configError{l.faults}
	}
	return l.effective, nil
}

func (l *layers) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// set applies one value. origin is what explain shows, and where a fault is.
func (l *layers) set(name, value, origin string) {
	s, ok := stages.Find(l.table, name)
	if !ok {
		l.fault("%s: there is no setting %s%s", origin, name, didYouMean(name, l.names()))
		return
	}
	if err := s.Set(&l.Config, value); err != nil {
		l.fault("%s: %s: %v", origin, name, err)
		return
	}
	l.origins[name] = origin
}

func (l *layers) names() []string {
	names := make([]string, len(l.table))
	for i, s := range l.table {
		names[i] = s.Name
	}
	return names
}

func (l *layers) flags(list []flagValue) {
	given := map[string]string{}
	for _, f := range list {
		if other, twice := given[f.name]; twice {
			l.fault("%s: %s is given twice, also by %s", f.flag, f.name, other)
			continue
		}
		given[f.name] = f.flag
		l.set(f.name, f.value, f.flag)
	}
}

const envPrefix = "SLUICE_"

// envName is the environment variable of a setting: stages.writer.queue is SLUICE_STAGES_WRITER_QUEUE.
func envName(setting string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(setting))
}

// environment applies the variables of settings. Others that begin with SLUICE_ may belong to anybody (Kubernetes makes
// SLUICE_PORT for a service of that name), so they are no error; one that nearly is a setting's gets a warning.
func (l *layers) environment(environ []string) {
	byEnv := map[string]string{}
	for _, s := range l.table {
		byEnv[envName(s.Name)] = s.Name
	}
	var bare []string // without the prefix, which would make any two names look alike
	for _, s := range l.table {
		bare = append(bare, strings.TrimPrefix(envName(s.Name), envPrefix))
	}
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(pair, "=")
		if setting, ok := byEnv[name]; ok {
			l.set(setting, value, "env "+name)
		} else if word, ours := strings.CutPrefix(name, envPrefix); ours && name != serverEnv {
			if near := nearest(word, bare); near != "" {
				l.warnings = append(l.warnings, fmt.Sprintf("the environment has %s, which is no setting: did you mean %s?", name, envPrefix+near))
			}
		}
	}
}
