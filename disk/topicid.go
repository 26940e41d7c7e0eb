package disk

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// TopicID tells a topic from all others, also from one of the same name that was dropped: a random UUID. The zero one is
// that of a topic which could not be given any.
type TopicID [16]byte

// newTopicID never begins with -, when spelt: people type ids behind the flags of tools.
func newTopicID() (id TopicID) {
	for id.IsZero() || id.String()[0] == '-' {
		rand.Read(id[:]) // it does not fail: it ends the program where there is no randomness
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	}
	return id
}

// IsZero tells whether there is no id.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is the id as Kafka's tools show it: 22 characters.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// MarshalText is String, for topic.json.
func (id TopicID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (id *TopicID) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil || len(b) != len(id) {
		return fmt.Errorf("%q is no topic's id", text)
	}
	copy(id[:], b)
	return nil
}

// ClusterID is the directory's identity as Kafka spells a cluster's: the same 16 bytes as NodeID, in 22 characters.
func (s *Store) ClusterID() string {
	b, err := hex.DecodeString(s.node.ID)
	if err != nil || len(b) != nodeIDBytes { // an identity that somebody typed; it is told as it is
		return s.node.ID
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
