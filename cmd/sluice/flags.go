package main

import (
	"errors"
	"fmt"
	"strconv"

	"sluice/client"
)

// This file has the kinds of values that flags take. A value that can't be right is told before any server is asked.

// size is a flag with units, at least a batch's smallest limit.
type size int64

func (s *size) Set(v string) error {
	n, err := client.ParseBytes(v)
	if err == nil && n < client.MinBatchBytes {
		err = fmt.Errorf("use at least %s", client.FormatBytes(client.MinBatchBytes))
	}
	*s = size(n)
	return err
}
func (s *size) String() string { return client.FormatBytes(int64(*s)) }
func (s *size) Type() string   { return "bytes" }

// number is a flag that counts; 0 is no limit.
type number int64

func (c *number) Set(v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return errors.New("use a whole number, 0 or more")
	}
	*c = number(n)
	return nil
}
func (c *number) String() string { return strconv.FormatInt(int64(*c), 10) }
func (c *number) Type() string   { return "number" }

// place is a flag that says where to start reading.
type place struct{ client.From }

func (p *place) Set(v string) (err error) {
	p.From, err = client.ParseFrom(v)
	return err
}
func (p *place) Type() string { return "place" }

// level is a flag that names an ack level.
type level struct{ client.Ack }

func (l *level) Set(v string) (err error) {
	if l.Ack, err = client.ParseAck(v); err == nil && l.Ack > client.AckSynced {
		err = errors.New("this version has none, written and synced")
	}
	return err
}
func (l *level) Type() string { return "level" }

// String leaves the default out of the help: it is the topic's.
func (l *level) String() string {
	if l.Ack == client.AckDefault {
		return ""
	}
	return l.Ack.String()
}
