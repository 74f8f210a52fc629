#!/bin/sh
# Runs a command isolated from the host, as root: sandbox.sh COMMAND...
# It has its own network namespace (lo up), mount namespace (a fresh bpffs on /sys/fs/bpf) and
# cgroup v2, all of which are removed when it ends. SANDBOX_CGROUP is the directory of the cgroup.
set -eu

if [ "${SANDBOX_INSIDE:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "sandbox: not root: run it as root, or with sudo" >&2; exit 1; }
	v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	if [ -n "$v2" ]; then
		SANDBOX_CGROUP=$v2/reuseport-migrate-test-$$
		mkdir "$SANDBOX_CGROUP"
		export SANDBOX_CGROUP
		trap 'rmdir "$SANDBOX_CGROUP" 2>/dev/null || true' EXIT
	fi
	export SANDBOX_INSIDE=1
	# These signals reach the command too; this shell ignores them so that it can clean up.
	trap : HUP INT PIPE TERM
	code=0
	unshare --net --mount --propagation private "$0" "$@" || code=$?
	if [ -n "${SANDBOX_CGROUP:-}" ]; then
		# Kill the processes that a killed test has left.
		echo 1 >"$SANDBOX_CGROUP/cgroup.kill"
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			find "$SANDBOX_CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null && break
			sleep 0.2
		done
	fi
	exit "$code"
fi

if [ -n "${SANDBOX_CGROUP:-}" ]; then echo $$ >"$SANDBOX_CGROUP/cgroup.procs"; fi
ip link set lo up
mount -t bpf bpf /sys/fs/bpf
unset SANDBOX_INSIDE
exec "$@"
