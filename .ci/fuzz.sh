#!/bin/sh
# Runs every Fuzz function of the module, one after the other: go test takes one at a time.
# $1: how long each, as Go writes durations.
set -eu
cd "$(dirname "$0")/.."
grep -rEl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r name; do
		echo "fuzz $(dirname "$file") $name for $1"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "$(dirname "$file")" </dev/null || exit 1
	done || exit 1
done
