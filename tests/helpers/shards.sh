#!/bin/sh
# Runs each test file in a sandbox of its own, N at a time, as the tests mostly wait:
#   shards.sh N COMMAND... -- FILE...
# The output of a file is printed when it has ended.
set -eu
n=$1
shift
SANDBOX=$(dirname "$0")/sandbox.sh
COMMAND=
while [ "$1" != -- ]; do
	COMMAND="$COMMAND $1"
	shift
done
shift
export SANDBOX COMMAND

# xargs goes on after a failure, and ends with 123 then.
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\n' "$@" | xargs -P "$n" -I FILE sh -c '
	log=$(mktemp)
	code=0
	"$SANDBOX" $COMMAND FILE >"$log" 2>&1 </dev/null || code=1
	cat "$log"
	rm -f "$log"
	exit $code'
