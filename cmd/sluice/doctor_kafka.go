package main

import (
	"context"
	be "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// advice is what a Kafka client would be told at an address, and whether it could use it from here. Its JSON is that of the
// command.
type advice struct {
	Asked    string    `json:"asked"`
	Cluster  string    `json:"cluster"`
	Brokers  []told    `json:"brokers"`
	Findings []finding `json:"findings"`
}

// told is one broker as Metadata names it.
type told struct {
	ID      int32  `json:"id"`
	Address string `json:"address"`
	Reached bool   `json:"reached"` // from here; and it is the same cluster
	Error   string `json:"error,omitempty"`
}

const (
	kafkaPatience  = 3 * time.Second // for each address
	kafkaAnswerMax = 1 << 20         // bytes: there are no topics in it
)

// runKafkaDoctor asks as every Kafka client begins: one connection to the address it was given, a Metadata, and from then on
// connections to whatever that says, which is where most go wrong.
func runKafkaDoctor(cmd *cobra.Command, addr string, asJSON bool) error {
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		return usagef("--kafka %s is no host:port", addr)
	}
	a, err := adviceOf(untilInterrupted(cmd.Context()), addr)
	if err != nil {
		return err
	}
	show := a.print
	if asJSON {
		show = func(cmd *cobra.Command) error { return printJSON(cmd, a) }
	}
	if err := show(cmd); err != nil {
		return err
	}
	for _, f := range a.Findings {
		if f.Level == levelFail {
			return fmt.Errorf("a Kafka client that is given %s could not go on from here: see what is marked \"fail\"", addr)
		}
	}
	return nil
}

func adviceOf(ctx context.Context, addr string) (*advice, error) {
	answer, err := askMetadata(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("%w; name the address of a server's Kafka listener, as \"sluice serve\" prints it", err)
	}
	a := &advice{Asked: addr, Findings: []finding{}}
	if answer.ClusterID != nil {
		a.Cluster = *answer.ClusterID
	}
	for _, b := range answer.Brokers {
		t := told{ID: b.NodeID, Address: net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))}
		if err := a.try(ctx, t.Address); err != nil {
			t.Error = err.Error()
		}
		t.Reached = t.Error == ""
		a.Brokers = append(a.Brokers, t)
		a.judge(t, b.Host)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(a.Brokers) == 0 {
		a.Findings = append(a.Findings, finding{levelFail, "clients are told of no broker at all", "ask a server whose start is over"})
	}
	return a, nil
}

// try goes on as a client would: it connects where it was told to, and must find the same cluster there.
func (a *advice) try(ctx context.Context, addr string) error {
	answer, err := askMetadata(ctx, addr)
	if err != nil {
		return err
	}
	if there := answer.ClusterID; there == nil || *there != a.Cluster {
		return fmt.Errorf("another server answers at %s", addr)
	}
	return nil
}

const setAdvertised = "set stages.kafka.advertised on the server to an address that its clients can reach"

// judge says what the address that was told means for clients here and elsewhere.
func (a *advice) judge(t told, host string) {
	if !t.Reached {
		do := setAdvertised + ": host:port, or a host"
		if t.Address != a.Asked {
			do += fmt.Sprintf("; --set stages.kafka.advertised=%s would do for clients that come as you did", a.Asked)
		}
		a.Findings = append(a.Findings, finding{levelFail, fmt.Sprintf("clients are told to go on to %s, and can't from here: %s", t.Address, t.Error), do})
		return
	}
	asked, _, _ := net.SplitHostPort(a.Asked) // it was taken apart before
	from, at := loopback(asked), loopback(host)
	switch {
	case at && !from:
		a.Findings = append(a.Findings, finding{levelWarn, fmt.Sprintf("clients are told to go on to %s, which on any other machine is that machine itself", t.Address), setAdvertised})
	case at:
		a.Findings = append(a.Findings, finding{levelNote, "you asked over loopback, and so were told a loopback address; unless stages.kafka.advertised is set, clients are told the address that each of them has connected to",
			"ask again from where the clients are, by the address that they are given"})
	case t.Address != a.Asked && net.ParseIP(host) == nil:
		a.Findings = append(a.Findings, finding{levelNote, fmt.Sprintf("clients are told the name %s, which each of them looks up by itself", host), "see to it that it means this server wherever they are"})
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (a *advice) print(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	rows := []row{{"asked", a.Asked, "answered"}, {"cluster", a.Cluster}}
	for _, b := range a.Brokers {
		state := "reached from here"
		if !b.Reached {
			state = "not reached from here"
		}
		rows = append(rows, row{fmt.Sprintf("broker %d", b.ID), b.Address, state})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return printFindings(w, a.Findings, "fine: a client that is given this address can go on from here")
}

// askMetadata connects to an address and asks for the brokers, and for no topic: nothing is made by it.
func askMetadata(ctx context.Context, addr string) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s can't be reached: %w", addr, err)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = nc.SetDeadline(time.Unix(1, 0)) // it fails where the connection is closed already
	})
	defer stop()
	answer, err := exchangeMetadata(nc)
	return answer, errors.Join(whyNot(ctx, addr, err), nc.Close())
}

// whyNot says what it means that there was a connection, and no answer.
func whyNot(ctx context.Context, addr string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s takes connections and does not answer within %v: it may be the port of another protocol", addr, kafkaPatience)
	case errors.Is(err, errNoKafka):
		return fmt.Errorf("%s answers, and not in Kafka's protocol: it may be the port of another one", addr)
	}
	return fmt.Errorf("%s closes the connection instead of an answer: it may expect TLS, or no Kafka client: %w", addr, err)
}

var errNoKafka = errors.New("no answer of Kafka's protocol")

// exchangeMetadata uses a version that all servers of the last years speak.
func exchangeMetadata(nc net.Conn) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 4, []kmsg.MetadataRequestTopic{}
	const correlation = 1
	if _, err := nc.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("sluice-doctor")).AppendRequest(nil, req, correlation)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return nil, err
	}
	size := be.BigEndian.Uint32(head[:])
	if size < 4 || size > kafkaAnswerMax || be.BigEndian.Uint32(head[4:]) != correlation {
		return nil, errNoKafka
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(nc, body); err != nil {
		return nil, err
	}
	answer := req.ResponseKind().(*kmsg.MetadataResponse)
	if err := answer.ReadFrom(body); err != nil {
		return nil, errNoKafka
	}
	return answer, nil
}
