#!/bin/sh
# Brings Apache Kafka's broker and tools into bin/kafka/libs, through Maven, once for each version of .ci/kafka/pom.xml.
# Where they cannot be had, bin/kafka/missing says why, and so do the tables of the benchmark; that is no failure.
set -u
cd "$(dirname "$0")/.." || exit 1
to=bin/kafka
stamp=$to/$(cksum < .ci/kafka/pom.xml | tr ' ' '-')
[ -e "$stamp" ] && exit 0
rm -rf "$to"
mkdir -p "$to" || exit 1

missing() {
	echo "$1" > "$to/missing"
	echo "skipped: Apache Kafka: $1"
	exit 0
}
command -v java > /dev/null || missing "there is no java on the PATH (Debian: apt-get install openjdk-17-jre-headless)"
command -v mvn > /dev/null || missing "there is no mvn on the PATH (Debian: apt-get install maven)"
mvn -B -q -f .ci/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/$to/libs" > "$to/mvn.txt" 2>&1 ||
	missing "Maven could not bring it: $(grep -m 1 ERROR "$to/mvn.txt" | cut -c 1-200)"
touch "$stamp"
