#!/bin/sh
# Coverage of everything, as one figure: the unit tests, and the binary itself, built with counters and
# driven by the tests that start it (SLUICE_BIN names it to them) and by the demo.
# The unit tests run with -tags invariants: they ran without it before, and every check should be seen.
# $1: the version stamp, $2: the time limit of a package. Leaves cover/profile.txt for `go tool cover -html`.
set -eu
cd "$(dirname "$0")/.."
rm -rf cover
mkdir -p cover/unit cover/binary cover/merged cover/data
go build -cover -covermode atomic -coverpkg sluice/... -trimpath -buildvcs=false \
	-ldflags "-X main.version=$1" -o bin/sluice-cover ./cmd/sluice
go build -buildvcs=false -o bin/demo ./test/demo

export SLUICE_BIN="$PWD/bin/sluice-cover" GOCOVERDIR="$PWD/cover/binary"
go test -tags invariants -timeout "$2" -covermode atomic -coverpkg sluice/... ./... -args -test.gocoverdir="$PWD/cover/unit" > cover/tests.txt 2>&1 ||
	{ grep -E '^(---|FAIL|panic)' cover/tests.txt; echo "the tests failed; all of their output is in cover/tests.txt"; exit 1; }
bin/demo -bin "$SLUICE_BIN" -data cover/data -listen 127.0.0.1:0 -http 127.0.0.1:0 -lines 20000 -once > cover/demo.txt 2>&1 ||
	{ cat cover/demo.txt; exit 1; }

go tool covdata merge -i cover/unit,cover/binary -o cover/merged
go tool covdata textfmt -i cover/merged -o cover/all.txt
# The test and bench programs are no part of what is covered.
grep -vE '^sluice/(test|bench)/' cover/all.txt > cover/profile.txt
for part in unit binary; do
	printf '%s alone: ' "$part"
	go tool covdata textfmt -i "cover/$part" -o cover/part.txt
	grep -vE '^sluice/(test|bench)/' cover/part.txt > cover/part2.txt || echo "mode: atomic" > cover/part2.txt
	go tool cover -func cover/part2.txt | awk '/^total:/ { print $NF }'
done
printf 'coverage, merged: '
go tool cover -func cover/profile.txt | awk '/^total:/ { print $NF }'
