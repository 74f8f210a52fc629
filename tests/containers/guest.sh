#!/bin/bash
# In the guest: what is lost without the sidecar, then with it. Each line `RESULT NAME JSON` is
# asserted by containers.test.ts; every other line is there to be read if one is missing.
exec 2>&1
set -eu
here=/opt/containers
metrics=http://127.0.0.1:9944/metrics

result() { echo "RESULT $1 $2"; }
serve() { podman run --quiet --detach --name "$1" --network "$2" --stop-signal "$3" --volume $here:$here:ro server "${@:4}" >/dev/null; }
# Stopped gracefully, as by their official images: what they had accepted is theirs to finish.
nginx() { serve nginx host QUIT nginx -c $here/nginx.conf -g 'daemon off;'; }
haproxy() { serve haproxy host USR1 haproxy -W -db -f $here/haproxy.cfg; }
until_true() {
	for _ in $(seq 1200); do
		if "$@"; then return; fi
		sleep 0.5
	done
	echo "never true: $*"
	podman ps --all
	exit 1
}
answers() { curl --silent --fail --output /dev/null "$1"; }
# Number of listeners on a port that the sidecar knows.
listeners() { curl --silent $metrics | awk -v port="port=\"$1\"" '/^reuseport_migrate_listeners{/ && index($0, port) { n += $NF } END { print n + 0 }'; }
reloaded() { podman logs reuseport-migrate 2>&1 | grep -q '/etc/reuseport-migrate.yaml: '; }
knows() { [ "$(listeners "$1")" = "$2" ]; }

# queue NAME READY COMMAND..: the first listener closes once READY is true.
queue() {
	rm -f $here/go
	"${@:3}" python3 $here/queue.py 8080 $here/go >/tmp/queue &
	until_true "$2"
	touch $here/go
	wait $!
	result "$1" "$(cat /tmp/queue)"
}
both() { knows 8080 2; }

# Each server's only container is replaced under load, as a rolled DaemonSet does with a pod.
replace() {
	until_true answers http://127.0.0.1:8081
	until_true answers http://127.0.0.1:8082
	python3 $here/paced.py '{"ports": [8081, 8082], "rate": 10, "seconds": 30, "timeout": 600}' >/tmp/paced &
	sleep 2
	for server in nginx haproxy; do
		podman rm --force --time 5 $server
		$server
	done
	wait $!
	result "$1" "$(cat /tmp/paced)"
}

result size "$(podman image inspect --format '{{.Size}}' reuseport-migrate)"

serve box none KILL sleep infinity
nginx
haproxy
queue host-without true
queue container-without true podman exec box
replace replaced-without

. $here/sidecar.sh
until_true answers $metrics
until_true knows 8081 1
until_true knows 8082 1
queue host-with both
until_true knows 8080 0
queue container-with both podman exec box
replace replaced-with
podman healthcheck run reuseport-migrate
result healthy true
result owners "$(curl --silent $metrics | grep -c '^reuseport_migrate_group_owner_info{container="[0-9a-f]\{64\}",service="ingress"')"
podman kill --signal HUP reuseport-migrate
until_true reloaded
result reloaded true
podman logs reuseport-migrate
podman rm --force reuseport-migrate
. $here/pod.sh
until_true answers $metrics
until_true knows 8081 1
result took-over "$(podman logs pod 2>&1 | grep -c 'took over 0.0.0.0:808[12] of podman')"
result end true
