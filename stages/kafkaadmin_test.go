package stages

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/disk"
	"sluice/disk/fstest"
	"sluice/wire/kafka"
)

// named asks for metadata of topics by name.
func named(version int16, create bool, names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = version, create
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	}
	return req
}

// described is an answer's topics: name, code, partitions.
func described(answer kmsg.Response) (list []string) {
	for _, t := range answer.(*kmsg.MetadataResponse).Topics {
		name := "-"
		if t.Topic != nil {
			name = *t.Topic
		}
		list = append(list, fmt.Sprint(name, " ", t.ErrorCode, " ", len(t.Partitions)))
	}
	return list
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got  %q\nwant %q", what, got, want)
	}
}

// Every version that is served is told and answered in its own form; one that is not is
// answered in the oldest, so that any client can read it.
func TestKafkaApiVersions(t *testing.T) {
	s := startKafka(t, nil)
	c := dialKafka(t, s)
	cluster, other := s.store.ClusterID(), "other"
	for _, k := range []struct {
		version int16
		cluster *string
		node    int32
		code    kafka.Code
		keys    int
	}{
		{0, nil, -1, kafka.NoError, len(kafka.Served())},
		{1, nil, -1, kafka.NoError, len(kafka.Served())},
		{2, nil, -1, kafka.NoError, len(kafka.Served())},
		{3, nil, -1, kafka.NoError, len(kafka.Served())},
		{4, nil, -1, kafka.NoError, len(kafka.Served())},
		{5, nil, -1, kafka.NoError, len(kafka.Served())},
		{5, &cluster, 0, kafka.NoError, len(kafka.Served())},
		{5, &cluster, 1, kafka.RebootstrapRequired, len(kafka.Served())},
		{5, &other, 0, kafka.RebootstrapRequired, len(kafka.Served())},
		{5, &other, -1, kafka.InvalidRequest, len(kafka.Served())},
		{5, nil, 0, kafka.InvalidRequest, len(kafka.Served())},
	} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClusterID, req.NodeID = k.version, k.cluster, k.node
		got := c.ask(req).(*kmsg.ApiVersionsResponse)
		if kafka.Code(got.ErrorCode) != k.code || len(got.ApiKeys) != k.keys || got.ApiKeys[0].MinVersion != 0 || got.ApiKeys[0].MaxVersion != 11 {
			t.Errorf("%+v: got %+v", k, got)
		}
	}
	for _, version := range []int16{6, 99, -1, 32767} {
		frame := c.frame(kmsg.NewPtrApiVersionsRequest())
		frame[6], frame[7] = byte(uint16(version)>>8), byte(version)
		c.write(frame)
		old := kmsg.NewPtrApiVersionsRequest()
		got := c.receive(old).(*kmsg.ApiVersionsResponse)
		if kafka.Code(got.ErrorCode) != kafka.UnsupportedVersion || len(got.ApiKeys) != 1 || got.ApiKeys[0].ApiKey != 18 || got.ApiKeys[0].MaxVersion != 5 {
			t.Errorf("version %d: %+v", version, got)
		}
	}
}

// What is told of topics and of the server, in every version.
func TestKafkaMetadata(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.AutoCreate = false })
	w := dial(t, s)
	w.send("CREATE b partitions=2\nCREATE a\n")
	w.want("OK", "OK")
	a := s.catalog.all()["a"]
	c := dialKafka(t, s)
	for v := range int16(14) {
		all := named(v, false)
		if all.Topics = nil; v == 0 {
			all.Topics = []kmsg.MetadataRequestTopic{}
		}
		answer := c.ask(all).(*kmsg.MetadataResponse)
		same(t, fmt.Sprintf("version %d: all", v), described(answer), "a 0 1", "b 0 2")
		host, port, _ := net.SplitHostPort(s.KafkaAddr())
		broker := answer.Brokers[0]
		if len(answer.Brokers) != 1 || broker.NodeID != 0 || broker.Host != host || fmt.Sprint(broker.Port) != port {
			t.Errorf("version %d: brokers %+v, want %s:%s", v, answer.Brokers, host, port)
		}
		if v >= 1 && answer.ControllerID != 0 || v >= 2 && (answer.ClusterID == nil || *answer.ClusterID != s.store.ClusterID() || len(*answer.ClusterID) != 22) {
			t.Errorf("version %d: controller %d, cluster %v", v, answer.ControllerID, answer.ClusterID)
		}
		for _, got := range answer.Topics {
			if v >= 10 && disk.TopicID(got.TopicID) != s.catalog.all()[*got.Topic].id || v >= 8 && got.AuthorizedOperations != -2147483648 {
				t.Errorf("version %d: %+v", v, got)
			}
			for i, p := range got.Partitions {
				if int(p.Partition) != i || p.Leader != 0 || p.ErrorCode != 0 || !slices.Equal(p.Replicas, []int32{0}) || !slices.Equal(p.ISR, []int32{0}) || len(p.OfflineReplicas) != 0 || v >= 7 && p.LeaderEpoch != 0 {
					t.Errorf("version %d: %+v", v, p)
				}
			}
		}
		if v > 0 {
			same(t, fmt.Sprintf("version %d: none", v), described(c.ask(named(v, false))))
		}
		long := strings.Repeat("x", 250)
		same(t, fmt.Sprintf("version %d: by name", v), described(c.ask(named(v, true, "b", "none", "..", long, "__x", "b", "", "none", "a"))),
			"b 0 2", "none 3 0", ".. 17 0", long+" 17 0", "__x 17 0", " 17 0", "a 0 1")
		if v < 10 {
			continue
		}
		ids := named(v, false)
		ids.Topics = []kmsg.MetadataRequestTopic{{TopicID: a.id}, {TopicID: [16]byte{1}}, {TopicID: a.id}, {}}
		want := []string{"a 0 1", "- 100 0", "- 100 0"}
		if v < 12 {
			want = []string{" 42 0", " 42 0", " 42 0"}
		}
		same(t, fmt.Sprintf("version %d: by id", v), described(c.ask(ids)), want...)
	}
}

// Topics are made by asking for them where the client and the configuration allow it, at
// once; never where all are asked for.
func TestKafkaMetadataMakesTopics(t *testing.T) {
	s := startKafka(t, func(c *Config) { c.Topic.Partitions, c.MaxPartitions = 2, 6 })
	c := dialKafka(t, s)
	same(t, "not allowed", described(c.ask(named(4, false, "a"))), "a 3 0")
	same(t, "allowed", described(c.ask(named(4, true, "a", "b", "a/1"))), "a 0 2", "b 0 2", "a/1 17 0")
	same(t, "of old", described(c.ask(named(3, false, "c"))), "c 0 2")
	same(t, "too many", described(c.ask(named(9, true, "c", "d"))), "c 0 2", "d 44 0")
	// Behind it the topic is there, also for what was sent with it.
	w := dial(t, s)
	w.send("DROP b\n")
	w.want("OK")
	produce := produceRequest(9, 1, toPartition{"e", 1, recordBatch(t, "x")})
	ask := named(9, true, "e")
	c.send(ask, produce)
	same(t, "ahead of a Produce", described(c.receive(ask)), "e 0 2")
	if got := results(c.receive(produce)); !slices.Equal(got, []produced{{"e", 1, 0, 0}}) {
		t.Errorf("the Produce behind it: %+v", got)
	}
	off := startKafka(t, func(c *Config) { c.AutoCreate = false })
	same(t, "forbidden", described(dialKafka(t, off).ask(named(3, true, "a"))), "a 3 0")
}

// A topic's id lasts as long as the topic, over a restart too; one of the same name has
// another.
func TestKafkaTopicIDs(t *testing.T) {
	mem, conf := fstest.NewMem(), noTicks()
	conf.Kafka = anyPort
	id := func(s *Server) (found [16]byte) {
		return dialKafka(t, s).ask(named(12, true, "t")).(*kmsg.MetadataResponse).Topics[0].TopicID
	}
	s := startServerOn(t, mem, conf)
	first := id(s)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = startServerOn(t, mem, conf)
	if now := id(s); now != first || first == [16]byte{} {
		t.Errorf("the id was %v, and is %v behind a restart", first, now)
	}
	w := dial(t, s)
	w.send("ALTER t partitions=3\n")
	w.want("OK")
	if now := id(s); now != first {
		t.Errorf("the id was %v, and is %v with more partitions", first, now)
	}
	w.send("DROP t\n")
	w.want("OK")
	if now := id(s); now == first || now == [16]byte{} {
		t.Errorf("the id was %v, and is %v for another topic", first, now)
	}
}

// Rows C6 and C9: a topic that can't be read has no leader, and hurts no other.
func TestC6C9KafkaMetadataOfBrokenTopics(t *testing.T) {
	mem := filled(t, 2)
	if err := scribble(mem, "topics/t1/topic.json"); err != nil {
		t.Fatal(err)
	}
	if err := scribble(mem, "topics/t1/topic.json.2"); err != nil {
		t.Fatal(err)
	}
	conf := noTicks()
	conf.Kafka = anyPort
	s := startServerOn(t, mem, conf)
	answer := dialKafka(t, s).ask(named(9, false, "t0", "t1")).(*kmsg.MetadataResponse)
	same(t, "topics", described(answer), "t0 0 1", "t1 0 1")
	fine, broken := answer.Topics[0].Partitions[0], answer.Topics[1].Partitions[0]
	if fine.ErrorCode != 0 || fine.Leader != 0 {
		t.Errorf("t0: %+v", fine)
	}
	if kafka.Code(broken.ErrorCode) != kafka.LeaderNotAvailable || broken.Leader != -1 || len(broken.ISR) != 0 || !slices.Equal(broken.OfflineReplicas, []int32{0}) {
		t.Errorf("t1: %+v", broken)
	}
}

// The address that clients are told is where they have connected to, or what is configured.
func TestKafkaAddress(t *testing.T) {
	for _, k := range []struct{ listen, dial, advertised, want string }{
		{"127.0.0.1:0", "127.0.0.1", "", "127.0.0.1 PORT"},
		{":0", "127.0.0.1", "", "127.0.0.1 PORT"},
		{":0", "127.0.0.2", "", "127.0.0.2 PORT"},
		{"[::1]:0", "::1", "", "::1 PORT"},
		{":0", "::1", "", "::1 PORT"},
		{":0", "127.0.0.1", "logs.example.com", "logs.example.com PORT"},
		{":0", "127.0.0.1", "logs.example.com:9999", "logs.example.com 9999"},
		{":0", "127.0.0.1", "[2001:db8::1]:9999", "2001:db8::1 9999"},
		{":0", "127.0.0.1", "2001:db8::1", "2001:db8::1 PORT"},
		{":0", "127.0.0.1", "[::ffff:192.0.2.1]", "192.0.2.1 PORT"},
	} {
		if k.dial == "::1" || strings.HasPrefix(k.listen, "[") {
			probe, err := net.Listen("tcp", "[::1]:0")
			if err != nil {
				t.Logf("skipped: no IPv6 here: %v", err)
				continue
			}
			if err := probe.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := startKafka(t, func(c *Config) {
			c.Kafka = k.listen
			if err := setAdvertised(c, k.advertised); err != nil {
				t.Fatal(err)
			}
		})
		_, port, err := net.SplitHostPort(s.KafkaAddr())
		if err != nil {
			t.Fatal(err)
		}
		c := dialKafkaAt(t, net.JoinHostPort(k.dial, port))
		broker := c.ask(named(1, false)).(*kmsg.MetadataResponse).Brokers[0]
		if got, want := fmt.Sprint(broker.Host, " ", broker.Port), strings.Replace(k.want, "PORT", port, 1); got != want {
			t.Errorf("listening on %s, dialled at %s, told to advertise %q: got %s, want %s", k.listen, k.dial, k.advertised, got, want)
		}
	}
}

func TestKafkaAdvertisedSetting(t *testing.T) {
	for _, v := range []string{"", "localhost", "logs.example.com:9092", "192.0.2.1", "192.0.2.1:1", "::1", "[::1]", "[::1]:65535"} {
		c := Default()
		if err := setAdvertised(&c, v); err != nil || c.KafkaProtocol.Advertised != v {
			t.Errorf("%q: %v", v, err)
		}
	}
	for _, v := range []string{":9092", "host:", "host:0", "host:65536", "host:x", "a:b:c", "[::1", "[host]:", "http://host:9092", "a host", "0.0.0.0", "0.0.0.0:9092", "::", "[::]:9092", "[]", "[]:1"} {
		c := Default()
		if err := setAdvertised(&c, v); err == nil || c.KafkaProtocol.Advertised != "" {
			t.Errorf("%q was taken", v)
		}
	}
}

// Whoever asks for a coordinator is told, in every version, that there is none; an answer about very many stays small.
func TestKafkaFindCoordinator(t *testing.T) {
	s := startKafka(t, nil)
	c := dialKafka(t, s)
	for version := int16(0); version <= 5; version++ {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.Version, req.CoordinatorKey = version, "group"
		for range 2 * coordinatorsMost {
			req.CoordinatorKeys = append(req.CoordinatorKeys, "")
		}
		got := c.ask(req).(*kmsg.FindCoordinatorResponse)
		code, told := got.ErrorCode, coordinatorsMost
		if version >= 4 {
			code = got.Coordinators[0].ErrorCode
		} else {
			told = 0
		}
		if kafka.Code(code) != kafka.CoordinatorNotAvailable || len(got.Coordinators) != told {
			t.Errorf("version %d: %v, %d coordinators", version, kafka.Code(code), len(got.Coordinators))
		}
	}
}
