#!/bin/sh
# Builds the pinned tools of .ci/tools/go.mod into bin/tools, once for each version of that file.
# Exit 0: they are there. Exit 3: a registry could not be reached, the reason stands on standard output.
set -eu
cd "$(dirname "$0")/tools"
bin=$(cd ../.. && pwd)/bin/tools
want=$(cat go.sum go.mod && go version)
if [ -f "$bin/.built" ] && [ "$(cat "$bin/.built")" = "$want" ]; then
	exit 0
fi
if ! why=$(go mod download 2>&1); then
	echo "skipped: the linters and benchstat: $(printf '%s' "$why" | tail -n 1)"
	exit 3
fi
mkdir -p "$bin"
GOBIN=$bin go install tool
printf '%s\n' "$want" > "$bin/.built"
