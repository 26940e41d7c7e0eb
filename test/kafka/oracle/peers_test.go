package oracle

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/sluicetest"
	"sluice/wire/kafka"
)

// largest is the limit of a batch at both brokers.
const largest = 4096

// Topics that both brokers have, by what is done to them, and how many partitions each has.
var topics = map[string]int32{"produce": 3, "sequence": 40, "fetch": 3, "admin": 2}

// peer is one of the two brokers.
type peer struct {
	addr  string
	ids   map[string][16]byte
	names map[[16]byte]string
	conn  net.Conn
}

func startPeers(t *testing.T) (ours, theirs *peer) {
	size := strconv.Itoa(largest)
	s := sluicetest.StartWith(t, sluicetest.Options{Quiet: true, Settings: map[string]string{"auto_create": "false", "topic.max.message.bytes": size}})
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DefaultNumPartitions(1), kfake.BrokerConfigs(map[string]string{"message.max.bytes": size}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ours, theirs = newPeer(t, s.Kafka), newPeer(t, c.ListenAddrs()[0])
	return ours, theirs
}

// newPeer connects, and makes the topics.
func newPeer(t *testing.T, addr string) *peer {
	p := &peer{addr: addr, ids: map[string][16]byte{}, names: map[[16]byte]string{}}
	t.Cleanup(p.hangUp)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	for name, n := range topics {
		req.Topics = append(req.Topics, kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: n, ReplicationFactor: 1})
	}
	resp := kmsg.NewPtrCreateTopicsResponse()
	p.mustAsk(t, req, resp)
	for _, topic := range resp.Topics {
		if topic.ErrorCode != 0 {
			t.Fatalf("%s: CreateTopics: %v", addr, kafka.Code(topic.ErrorCode))
		}
		p.ids[topic.Topic] = topic.TopicID
		p.names[topic.TopicID] = topic.Topic
	}
	return p
}

// mustAsk is for what must work before anything is compared.
func (p *peer) mustAsk(t *testing.T, req kmsg.Request, resp kmsg.Response) {
	t.Helper()
	a, err := p.ask(frameOf(req))
	if err != nil || a.how != answered {
		t.Fatalf("%s: %v, %v", p.addr, a.how, err)
	}
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body(a.frame, kafka.Key(req.Key()), req.GetVersion())); err != nil {
		t.Fatal(err)
	}
}

func (p *peer) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close() // the broker may have closed it before
		p.conn = nil
	}
}

// how a broker may react to a request.
type how string

const (
	answered   how = "answered"
	unanswered how = "no answer"
	closed     how = "closed"
)

// reaction is what came of a request.
type reaction struct {
	how   how
	frame []byte // without its size
}

const (
	correlation = 7
	probe       = 77
	limit       = 60 * time.Second // only guards against hanging
)

// after is sent behind each request, so that no answer can be told from one that takes its time.
var after = kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), probe)

func frameOf(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("oracle")).AppendRequest(nil, req, correlation)
}

// ask sends one frame, and tells what came of it.
func (p *peer) ask(frame []byte) (reaction, error) {
	if p.conn == nil {
		var err error
		if p.conn, err = net.Dial("tcp", p.addr); err != nil {
			return reaction{}, err
		}
	}
	if err := p.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return reaction{}, err
	}
	_, err := p.conn.Write(append(frame[:len(frame):len(frame)], after...))
	if err != nil && isTimeout(err) {
		return reaction{}, err
	}
	got, ok, err := p.read()
	if !ok || err != nil {
		return reaction{how: closed}, err
	}
	if binary.BigEndian.Uint32(got) == probe {
		return reaction{how: unanswered}, nil
	}
	second, ok, err := p.read()
	if err != nil || ok && binary.BigEndian.Uint32(second) != probe {
		return reaction{}, fmt.Errorf("%x where the answer to the probe should be: %w", second, cmpErr(err))
	}
	return reaction{how: answered, frame: got}, nil
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("another answer")
	}
	return err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// read reads one frame; not ok: the connection was closed.
func (p *peer) read() (frame []byte, ok bool, err error) {
	var size [4]byte
	_, err = io.ReadFull(p.conn, size[:])
	if err == nil {
		frame = make([]byte, binary.BigEndian.Uint32(size[:]))
		_, err = io.ReadFull(p.conn, frame)
	}
	if err == nil && len(frame) >= 4 {
		return frame, true, nil
	}
	p.hangUp()
	if err != nil && isTimeout(err) {
		return nil, false, err
	}
	return nil, false, nil
}

// body is what follows an answer's header.
func body(frame []byte, key kafka.Key, version int16) []byte {
	if kafka.Flexible(key, version) && key != kafka.ApiVersions {
		return frame[5:]
	}
	return frame[4:]
}

// findings are what an answer says, by place: the codes, and offsets that do not depend on what was taken before.
type findings map[string]string

// read takes an answer apart.
func (p *peer) findings(r reaction, key kafka.Key, version int16) (findings, error) {
	out := findings{"": string(r.how)}
	if r.how != answered {
		return out, nil
	}
	resp := kmsg.RequestForKey(int16(key)).ResponseKind()
	resp.SetVersion(version)
	if err := resp.ReadFrom(body(r.frame, key, version)); err != nil {
		return nil, err
	}
	p.look(reflect.ValueOf(resp).Elem(), "", out)
	return out, nil
}

// look walks over an answer.
func (p *peer) look(v reflect.Value, at string, out findings) {
	code := v.FieldByName("ErrorCode")
	failed := code.IsValid() && code.Int() != 0
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch {
		case name == "ErrorCode":
			out[at+" code"] = kafka.Code(f.Int()).String()
		case (name == "Offset" || name == "EndOffset" || name == "HighWatermark") && !failed:
			out[at+" "+name] = strconv.FormatInt(f.Int(), 10)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct && name != "Configs" && name != "ApiKeys":
			for j := range f.Len() {
				place := at + "/" + p.label(f.Index(j))
				for out[place+" code"] != "" {
					place += "'"
				}
				p.look(f.Index(j), place, out)
			}
		}
	}
}

// label names an element of an answer.
func (p *peer) label(v reflect.Value) string {
	for _, name := range []string{"Topic", "Partition", "ResourceName", "NodeID"} {
		f := reflect.Indirect(v.FieldByName(name))
		switch {
		case !f.IsValid():
		case f.Kind() == reflect.String && f.Len() == 0:
		case f.Kind() == reflect.String:
			return f.String()
		default:
			return strconv.FormatInt(f.Int(), 10)
		}
	}
	if f := v.FieldByName("TopicID"); f.IsValid() {
		id := f.Interface().([16]byte)
		if id != ([16]byte{}) {
			return cmp.Or(p.names[id], "id")
		}
	}
	return "?"
}
