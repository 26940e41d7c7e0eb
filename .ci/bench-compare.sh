#!/bin/sh
# Compares the Go benchmarks of a commit with those of this tree, changes not committed included.
# $1 commit, $2 packages, $3 benchmarks, $4 runs of each. The runs alternate, so that a machine that
# slows down half way slows both sides.
set -eu
cd "$(dirname "$0")/.."
if [ -z "$1" ]; then
	echo "say which commit to compare with: make bench-compare REF=main" >&2
	exit 2
fi
.ci/tools.sh
work=$(mktemp -d)
trap 'git worktree remove --force "$work/old" 2>/dev/null || true; git worktree remove --force "$work/new" 2>/dev/null || true; rm -rf "$work"' EXIT INT TERM
git worktree add --quiet --detach "$work/old" "$1"
git worktree add --quiet --detach "$work/new" HEAD
git diff --binary HEAD | (cd "$work/new" && git apply --allow-empty)
git ls-files --others --exclude-standard -z | tar --null -T - -cf - | tar -xf - -C "$work/new"
if [ "$4" -lt 10 ]; then
	echo "$4 runs of each: too few to prove anything, 10 is the least"
fi
run=1
while [ "$run" -le "$4" ]; do
	for side in old new; do
		echo "run $run of $4: $side"
		(cd "$work/$side" && go test -run '^$' -bench "$3" -benchmem -count 1 $2) >> "$work/$side.txt"
	done
	run=$((run + 1))
done
bin/tools/benchstat "$1=$work/old.txt" "this=$work/new.txt"
