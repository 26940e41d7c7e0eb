package disk

import (
	"fmt"
	"slices"
)

// LeftOut is a topic that is there and cannot be understood.
type LeftOut struct {
	Name string
	Why  error
}

// LeftOut finds the topics that Topics, which has returned known, could not read. Their names are taken, and DropTopic
// removes them. Errors: the directory of topics cannot be listed.
func (s *Store) LeftOut(by By, known []Topic) (left []LeftOut, err error) {
	found, err := s.fs.List(by, topicsDir)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	for _, e := range found {
		if !e.Dir || checkTopicName(e.Name) != nil || slices.ContainsFunc(known, func(t Topic) bool { return t.Name == e.Name }) {
			continue
		}
		_, why := s.readTopic(by, e.Name)
		if why == nil { // which it was not a moment ago: a disk that comes and goes
			why = fmt.Errorf("its %s could not be read at first", topicFile)
		}
		left = append(left, LeftOut{e.Name, fmt.Errorf("topic %s can't be read: %w; restore its %s from a copy", e.Name, why, topicFile)})
	}
	return left, nil
}
