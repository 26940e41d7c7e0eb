package clients

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// pip takes wheels only: a machine for which there is none has no use for a client that it would have to compile.
func pip(pins string) kit {
	return kit{
		sources: []string{"python/" + pins},
		needs:   []string{"python3"},
		steps: [][]string{{"python3", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
			"--target", "{dir}", "-r", "{here}/python/" + pins}},
	}
}

// apt downloads into folders of its own, and unpacks what this machine lacks: nothing is installed, nobody needs to be root.
func apt(words ...string) []string {
	return append([]string{"apt-get", "-o", "Dir::State::Lists={dir}/lists", "-o", "Dir::Cache={dir}", "-o", "Dir::Cache::archives={dir}/archives",
		"-o", "Debug::NoLocking=true", "-o", "APT::Sandbox::User=root"}, words...)
}

const librdkafka = "{dir}/package/deps/librdkafka"

var kits = map[string]kit{
	"golang": {
		sources: []string{"golang"},
		needs:   []string{"go"},
		steps:   [][]string{{"env", "GOWORK=off", "CGO_ENABLED=0", "go", "build", "-C", "{here}/golang", "-buildvcs=false", "-o", "{dir}/", "./franz", "./sarama", "./kafkago"}},
	},
	"confluent":   pip("confluent.txt"),
	"kafkapython": pip("kafkapython.txt"),
	"node": {
		sources: []string{"node"},
		needs:   []string{"node", "npm"},
		steps: [][]string{
			{"cp", "{here}/node/package.json", "{here}/node/package-lock.json", "{here}/node/kafkajs.js", "."},
			{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"},
		},
	},
	"java": {
		sources: []string{"java"},
		needs:   []string{"java", "javac", "mvn"},
		steps: [][]string{
			{"mvn", "-q", "-B", "-f", "{here}/java/pom.xml", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory={dir}/jars"},
			{"javac", "-proc:none", "-cp", "{dir}/jars/*", "-d", "{dir}/driver", "{here}/java/Driver.java"},
		},
	},
	"kcat": {
		needs: []string{"apt-get", "dpkg-deb"},
		steps: [][]string{
			{"mkdir", "-p", "lists/partial", "archives/partial"},
			apt("update"),
			apt("install", "-y", "--no-install-recommends", "--download-only", "kcat"),
			{"rm", "-rf", "lists"},
		},
		after: unpack,
	},
	// Its sources come with an npm package that builds on them. The few packages that it could link to are left out where
	// machines differ, so that every machine gets the same tool.
	"librdkafka": {
		needs: []string{"npm", "cc", "make", "tar"},
		steps: [][]string{
			{"npm", "pack", "--silent", "node-rdkafka@3.6.1"},
			{"tar", "-xzf", "node-rdkafka-3.6.1.tgz", "package/deps/librdkafka"},
			{"env", "-C", librdkafka, "./configure", "--disable-ssl", "--disable-sasl", "--disable-curl", "--disable-zstd"},
			{"make", "-s", "-C", librdkafka, "-j2", "libs", "LIBSUBDIRS=src"},
			{"make", "-s", "-C", librdkafka + "/examples", "rdkafka_performance"},
			{"mv", librdkafka + "/examples/rdkafka_performance", "{dir}/"},
			{"rm", "-rf", "package", "node-rdkafka-3.6.1.tgz"},
		},
	},
}

func unpack(dir string) error {
	debs, err := filepath.Glob(filepath.Join(dir, "archives", "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if out, err := exec.Command("dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w\n%s", filepath.Base(deb), err, out)
		}
	}
	return nil
}
