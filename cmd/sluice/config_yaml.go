package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// file applies a YAML file: mappings whose keys, joined by dots, are the settings' names, and plain values. The
// document is read as nodes, so that every fault has its line; what YAML can do beyond that (anchors, merges, several
// documents) would only hide where a value comes from, and is refused.
func (l *layers) file(path string, b []byte) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return // nothing in it: nothing is set
	}
	if err != nil {
		l.fault("%s: %v", path, err)
		return
	}
	var second yaml.Node
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		l.fault("%s: more than one document: only one is read", path)
	}
	y := yamlFile{layers: l, path: path, lines: map[string]int{}}
	y.mapping("", doc.Content[0])
}

// yamlFile walks one file.
type yamlFile struct {
	*layers
	path  string
	lines map[string]int // of the settings seen so far
}

func (y *yamlFile) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", y.path, n.Line) }

func (y *yamlFile) mapping(prefix string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // a section without settings
	}
	if n.Kind != yaml.MappingNode {
		y.fault("%s: %s: names with values belong here, not %s", y.at(n), orTop(prefix), kindOf(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || key.Value == "" {
			y.fault("%s: %s: a name belongs here, not %s", y.at(key), orTop(prefix), kindOf(key))
			continue
		}
		y.entry(join(prefix, key.Value), key, value)
	}
}

func (y *yamlFile) entry(name string, key, value *yaml.Node) {
	if y.section(name) && (value.Kind != yaml.ScalarNode || value.Tag == "!!null") {
		y.mapping(name, value)
		return
	}
	switch {
	case !y.setting(name) && value.Kind == yaml.MappingNode:
		y.fault("%s: there is no section %s%s", y.at(key), name, didYouMean(name, y.sections()))
	case !y.setting(name):
		y.fault("%s: there is no setting %s%s", y.at(key), name, didYouMean(name, y.names()))
	case value.Kind != yaml.ScalarNode || value.Tag == "!!null":
		y.fault("%s: %s: a plain value belongs here, not %s", y.at(value), name, kindOf(value))
	case y.lines[name] != 0:
		y.fault("%s: %s stands in line %d already", y.at(key), name, y.lines[name])
	default:
		y.lines[name] = key.Line
		y.set(name, value.Value, y.at(key))
	}
}

func (y *yamlFile) setting(name string) bool {
	for _, s := range y.table {
		if s.Name == name {
			return true
		}
	}
	return false
}

// section tells whether name is the beginning of settings' names.
func (y *yamlFile) section(name string) bool {
	for _, s := range y.sections() {
		if s == name {
			return true
		}
	}
	return false
}

func (y *yamlFile) sections() []string {
	var list []string
	seen := map[string]bool{}
	for _, s := range y.table {
		for i, c := range s.Name {
			if name := s.Name[:i]; c == '.' && !seen[name] {
				seen[name] = true
				list = append(list, name)
			}
		}
	}
	return list
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

func orTop(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return prefix
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode || n.Tag == "!!merge":
		return "an alias"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}
