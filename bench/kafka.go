package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A jvm is Apache Kafka's jars, and what runs them. Without jars it says why there are none.
type jvm struct {
	java, libs string
	version    string // "" where Kafka is missing
	missing    string // the reason
}

// findKafka looks into a folder that .ci/kafka.sh has filled, or has said there why it could not.
func findKafka(dir string) jvm {
	if dir == "" {
		return jvm{missing: "-kafka names no folder with its jars"}
	}
	j := jvm{libs: filepath.Join(dir, "libs")}
	jars, _ := filepath.Glob(filepath.Join(j.libs, "kafka_2.13-*.jar")) // the pattern is good
	if len(jars) == 0 {
		why, _ := os.ReadFile(filepath.Join(dir, "missing")) // not there: nobody has tried
		return jvm{missing: cmp.Or(strings.TrimSpace(string(why)), "no jars in "+j.libs+", which `make bench-full` fetches")}
	}
	var err error
	if j.java, err = exec.LookPath("java"); err != nil {
		return jvm{missing: "there is no java on the PATH"}
	}
	j.version = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "kafka_2.13-"), ".jar")
	return j
}

// run is a command of Kafka's; opts are for the machine.
func (j jvm) run(opts []string, class string, args ...string) *exec.Cmd {
	opts = append(opts, "-cp", filepath.Join(j.libs, "*"), class)
	return exec.Command(j.java, append(opts, args...)...)
}

// brokerHeap and the rest is what Kafka's own start script sets.
var brokerHeap = []string{"-server", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"}

const brokerSettings = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
num.network.threads=2
num.io.threads=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
%[4]s`

const brokerLog = `rootLogger.level=info
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%level %m%n
`

// startKafka starts a broker that is its own controller. more are lines of its settings.
func startKafka(ctx context.Context, j jvm, dir, more string) (*proc, error) {
	p, err := j.broker(ctx, dir, more)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start Apache Kafka: %w", err), os.RemoveAll(dir))
	}
	return p, nil
}

func (j jvm) broker(ctx context.Context, dir, more string) (*proc, error) {
	broker, err := freePort()
	if err != nil {
		return nil, err
	}
	controller, err := freePort()
	if err != nil {
		return nil, err
	}
	settings, logging := filepath.Join(dir, "server.properties"), filepath.Join(dir, "log4j2.properties")
	err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(logging, []byte(brokerLog), 0o644),
		os.WriteFile(settings, fmt.Appendf(nil, brokerSettings, broker, controller, filepath.Join(dir, "data"), more), 0o644))
	if err != nil {
		return nil, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	id[0] &= 0x7f           // else the name may begin as a flag does
	opts := []string{"-Dlog4j2.configurationFile=" + logging}
	format := j.run(opts, "kafka.tools.StorageTool", "format", "--standalone", "-t", base64.RawURLEncoding.EncodeToString(id[:]), "-c", settings)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format its folder: %w\n%s", err, out)
	}
	p, err := startProc(ctx, j.run(append(opts, brokerHeap...), "kafka.Kafka", settings), func(line string) string {
		if strings.HasSuffix(line, "Kafka Server started") {
			return fmt.Sprintf("127.0.0.1:%d", broker)
		}
		return ""
	})
	if err != nil {
		return nil, err
	}
	p.dir, p.status = dir, 128+int(syscall.SIGTERM)
	p.end = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	return p, nil
}
