#!/bin/sh
# go mod tidy looks at the tests of our libraries too, so it may need modules that no build does:
# a machine that cannot fetch them says so and goes on. A difference in go.mod is a failure.
set -u
cd "$(dirname "$0")/.."
for dir in . .ci/tools test/kafka/clients/golang; do
	out=$(cd "$dir" && go mod tidy -diff 2>&1) && continue
	case $out in
	*"diff current/"*) # what it prints if it could find out, and go.mod or go.sum differ
		printf '%s\n' "$out"
		echo "run: go mod tidy (in $dir)"
		exit 1 ;;
	*"://"* | *"dial tcp"* | *"module lookup disabled"*) # a registry could not be asked, however it failed
		echo "skipped: go mod tidy: $(printf '%s' "$out" | tail -n 1)" ;;
	*)
		printf '%s\n' "$out"
		exit 1 ;;
	esac
done
