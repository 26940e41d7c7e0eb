package fstest

import (
	"slices"
	"strings"
)

// names are the entries of a directory, sorted. Two of them share a list until one is changed.
type names struct {
	list   []entry
	shared bool
}

type entry struct {
	name string
	n    *node
}

func (s *names) share() names {
	s.shared = true
	return *s
}

func (s *names) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.list, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}

func (s *names) get(name string) *node {
	if i, ok := s.find(name); ok {
		return s.list[i].n
	}
	return nil
}

func (s *names) own() {
	if s.shared {
		s.list, s.shared = slices.Clone(s.list), false
	}
}

func (s *names) set(name string, n *node) {
	s.own()
	i, ok := s.find(name)
	if ok {
		s.list[i].n = n
		return
	}
	s.list = slices.Insert(s.list, i, entry{name, n})
}

func (s *names) remove(name string) {
	if i, ok := s.find(name); ok {
		s.own()
		s.list = slices.Delete(s.list, i, i+1)
	}
}

func (s *names) removeNode(n *node) {
	if i := slices.IndexFunc(s.list, func(e entry) bool { return e.n == n }); i >= 0 {
		s.remove(s.list[i].name)
	}
}
