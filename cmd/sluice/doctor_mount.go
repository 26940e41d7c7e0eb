package main

import (
	"slices"
	"strings"
)

// mount is one line of /proc/self/mountinfo: the file system that holds a directory.
type mount struct {
	Type    string   `json:"type"`
	Source  string   `json:"source"`
	Point   string   `json:"point"`
	Device  string   `json:"device"` // major:minor
	Options []string `json:"options"`
}

// has tells whether one of the options is set, as "name" or "name=value".
func (m mount) has(options ...string) bool {
	return slices.ContainsFunc(options, func(o string) bool { return slices.Contains(m.Options, o) })
}

// mountOf finds the mount that an absolute path without symbolic links is on: the longest mount point above it, and of
// two at one point the later, which covers the other. The zero mount: none was found.
func mountOf(mountinfo, path string) mount {
	var best mount
	for line := range strings.Lines(mountinfo) {
		m, ok := parseMount(line)
		if ok && above(m.Point, path) && len(m.Point) >= len(best.Point) {
			best = m
		}
	}
	return best
}

func above(dir, path string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

// parseMount takes a line like
//
//	36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/vda1 rw,data=ordered
func parseMount(line string) (mount, bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if !ok || len(l) < 6 || len(r) < 2 || !strings.HasPrefix(l[4], "/") {
		return mount{}, false
	}
	m := mount{Type: r[0], Source: unescape(r[1]), Point: unescape(l[4]), Device: l[2], Options: strings.Split(l[5], ",")}
	if len(r) > 2 {
		for o := range strings.SplitSeq(r[2], ",") {
			if !slices.Contains(m.Options, o) {
				m.Options = append(m.Options, o)
			}
		}
	}
	return m, true
}

// unescape undoes what the kernel does to the bytes that would break its line.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
