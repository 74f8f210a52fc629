#!/bin/sh
# Runs test files in N parallel sandboxes, as the tests mostly wait:
#   shards.sh N COMMAND... -- FILE...
# The output of a sandbox is printed when it has ended.
set -eu
n=$1
shift
here=$(dirname "$0")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

command=
while [ "$1" != -- ]; do
	command="$command $1"
	shift
done
shift
i=0
for file; do
	echo "$file" >>"$out/files-$((i % n))"
	i=$((i + 1))
done

pids=
for files in "$out"/files-*; do
	# shellcheck disable=SC2046,SC2086 # lists of words
	"$here/sandbox.sh" $command $(cat "$files") >"$files.log" 2>&1 &
	pids="$pids $!"
done
trap 'kill $pids 2>/dev/null; wait; exit 130' INT TERM
code=0
for files in "$out"/files-?; do
	# shellcheck disable=SC2086
	set -- $pids
	wait "$1" || code=$?
	shift
	pids=$*
	cat "$files.log"
done
exit "$code"
