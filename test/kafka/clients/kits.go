package clients

// pip takes wheels only: a machine for which there is none has no use for a client that it would have to compile.
func pip(pins string) kit {
	return kit{
		sources: []string{"python/" + pins},
		needs:   []string{"python3"},
		steps: [][]string{{"python3", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
			"--target", "{dir}", "-r", "{here}/python/" + pins}},
	}
}

// apt keeps its lists in a folder of the kit, where packages are unpacked, too: nothing is installed, and nobody needs to be root.
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
			// What a machine is likely to lack of what it needs; a machine that lacks more is told by its first start.
			apt("download", "kcat", "librdkafka1", "libyajl2"),
			{"rm", "-rf", "lists", "archives"},
			{"sh", "-c", "for deb in *.deb; do dpkg-deb -x \"$deb\" . || exit; done; rm *.deb"},
			{"sh", "-c", "LD_LIBRARY_PATH=$(echo usr/lib/*-linux-gnu) usr/bin/kcat -V"},
		},
	},
	// Its sources come with an npm package that builds on them. The few packages that it could link to are left out where
	// machines differ, so that every machine gets the same tool.
	"librdkafka": {
		needs: []string{"npm", "cc", "make", "tar", "stdbuf"},
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
