package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice/client"
)

const (
	serverEnv     = "SLUICE_SERVER"
	defaultServer = "127.0.0.1:1774"
)

// remote is what the commands that talk to a server have in common.
type remote struct {
	server string
	json   bool
}

// flags adds --server and --json.
func (r *remote) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.server, "server", "", "address of the server (default $"+serverEnv+" or "+defaultServer+")")
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON")
}

func (r *remote) dial(ctx context.Context) (*client.Client, error) {
	addr := cmp.Or(r.server, os.Getenv(serverEnv), defaultServer)
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		return nil, usagef("%q is no address of a server: give host:port with --server or %s", addr, serverEnv)
	}
	c, err := client.Dial(ctx, client.Options{Addr: addr, Name: "sluice-" + version})
	if err != nil && !errors.Is(err, client.ErrProtocol) {
		return nil, fmt.Errorf("%w; start a server with \"sluice serve\", or name another with --server", err)
	}
	return c, err
}

// with runs do on a connected client, and closes it.
func (r *remote) with(ctx context.Context, do func(*client.Client) error) error {
	c, err := r.dial(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close())
}

// partitionOf puts --partition behind a topic's name, unless that names one itself.
func partitionOf(topic string, partition int32) (string, error) {
	switch {
	case partition < 0:
		return "", usagef("--partition %d is negative", partition)
	case partition > 0 && strings.Contains(topic, "/"):
		return "", usagef("%s names a partition already: leave --partition out", topic)
	case partition > 0:
		topic += "/" + strconv.Itoa(int(partition))
	}
	if err := client.CheckPartition(topic); err != nil {
		return "", usageError{err}
	}
	return topic, nil
}

// checkTopic is for commands that work on all partitions of a topic.
func checkTopic(topic string) error {
	if strings.Contains(topic, "/") {
		return usagef("%q names a partition: name the topic only", topic)
	}
	if err := client.CheckTopic(topic); err != nil {
		return usageError{err}
	}
	return nil
}
