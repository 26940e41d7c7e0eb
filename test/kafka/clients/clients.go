package clients

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// A Client is one of the real clients.
type Client struct {
	Name string // as in the matrix
	Kit  string // what installs it; clients share kits
	// drive makes its driver, where its kit has been installed into dir.
	drive func(ctx context.Context, dir string) (Driver, error)
}

// All are the clients, in the order of the matrix.
var All = []Client{
	{"franz-go", "golang", program("{dir}/franz")},
	{"sarama", "golang", program("{dir}/sarama")},
	{"kafka-go", "golang", program("{dir}/kafkago")},
	{"confluent-kafka", "confluent", program("env", "PYTHONPATH={dir}", "PYTHONDONTWRITEBYTECODE=1", "python3", "{here}/python/confluent.py")},
	{"kafka-python", "kafkapython", program("env", "PYTHONPATH={dir}", "PYTHONDONTWRITEBYTECODE=1", "python3", "{here}/python/kafkapython.py")},
	{"kafkajs", "node", program("node", "{dir}/kafkajs.js")},
	{"Java", "java", program(java("Driver")...)},
	{"Kafka's tools", "java", tools},
	{"kcat", "kcat", kcat},
	{"rdkafka_performance", "librdkafka", performance},
}

// java is the command line that runs a class of the kit. Short programs gain from a simple compiler and collector.
func java(class string) []string {
	return []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Dlog4j2.configurationFile={here}/java/log4j2.properties",
		"-cp", "{dir}/driver:{dir}/jars/*", class}
}

// Named gives a client of the table.
func Named(name string) (Client, error) {
	for _, c := range All {
		if c.Name == name {
			return c, nil
		}
	}
	return Client{}, fmt.Errorf("there is no client %q in the table", name)
}

// Start installs the client if it is not there yet, and starts its driver, which ends with Close or with ctx. The error is
// a Missing if the client cannot be had on this machine.
func (c Client) Start(ctx context.Context) (Driver, error) {
	dir, err := Install(ctx, c.Kit)
	if err != nil {
		return nil, err
	}
	return c.drive(ctx, dir)
}

// program drives a client by a program that reads requests and prints answers. {dir} stands for the kit's folder, {here}
// for the folder of this package.
func program(words ...string) func(context.Context, string) (Driver, error) {
	return func(ctx context.Context, dir string) (Driver, error) {
		here, err := here()
		if err != nil {
			return nil, err
		}
		return start(command(ctx, here, dir, words))
	}
}

func command(ctx context.Context, here, dir string, words []string) *exec.Cmd {
	filled := fill(here, dir, words)
	return exec.CommandContext(ctx, filled[0], filled[1:]...)
}

// here is the folder of this package, from any test of the repository.
func here() (string, error) {
	root, err := root()
	return filepath.Join(root, "test", "kafka", "clients"), err
}
