# What the guest does (tests/vm/systemd.test.ts): steps, and a line `@NAME JSON` for each result.
# The host asserts; only a step that cannot go on ends the script.
# shellcheck shell=bash
set -u
# Before the package is there, too.
node=/opt/node
sidecar=reuseport-migrate.service
# Far longer than any step, as the guest is emulated; a hold lasts as long.
patience_ms=120000

json() { "$node" -e 'process.stdout.write(JSON.stringify(require("fs").readFileSync(0, "utf8").trim()))'; }
# result NAME: reports stdin, as text.
result() { echo "@$1 $(json)"; }
# run NAME COMMAND...: reports the command's output, and its exit code.
run() {
	local name=$1 code=0
	shift
	"$@" >"/tmp/$name" 2>&1 || code=$?
	echo "@$name {\"code\": $code, \"text\": $(json <"/tmp/$name")}"
}
status() { systemctl show --property=StatusText --value "$1"; }
await() {
	local what=$1
	shift
	for _ in $(seq 200); do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.2
	done
	echo "@gave_up $(echo "$what" | json)"
}
# shellcheck disable=SC2053 # a pattern
status_is() { [[ $(status "$1") == $2 ]]; }

load_pid=
load() {
	"$node" /opt/tests/vm/load.js "$1" "${2:-60}" $patience_ms >/tmp/load.json 2>/tmp/load.started &
	load_pid=$!
	await "load on port $1" grep -q started /tmp/load.started
}
# tally NAME: ends the load and reports what became of it.
tally() {
	kill "$load_pid"
	wait "$load_pid"
	echo "@$1 $(cat /tmp/load.json)"
}

# --- what is done to servers under load -----------------------------------------------------------
workers() { pgrep -f 'nginx: worker process$' || true; }
# The workers are busy for a moment, so that connections wait when the listeners of some close.
reload_nginx() {
	local busy
	for count in 1 4 1; do
		busy=$(workers)
		sed -i "s/^worker_processes .*/worker_processes $count;/" /etc/nginx/nginx.conf
		# shellcheck disable=SC2086 # pids
		kill -STOP $busy
		sleep 0.5
		systemctl reload nginx &
		sleep 1
		# shellcheck disable=SC2086
		kill -CONT $busy
		wait $!
		sleep 1
	done
}
restart() { systemctl restart "$1"; }
under_load() {
	local name=$1 port=$2
	shift 2
	load "$port"
	sleep 1
	"$@"
	sleep 2
	tally "$name"
}
reuseport_site() {
	sed -i -E "s/^(\s*listen [^ ]*80 default_server).*/\1$1;/" /etc/nginx/sites-enabled/default
}

# --- the first boot -------------------------------------------------------------------------------
first_boot() {
	controls
	readme
	nothing_to_guard
	guide
	instances
	one_sidecar
	holds
	store
	analyze
}

# What is lost without the sidecar.
controls() {
	reuseport_site ' reuseport'
	sed -i 's/^worker_processes .*/worker_processes 4;/' /etc/nginx/nginx.conf
	systemctl restart nginx
	under_load control_reload_nginx 80 reload_nginx
	under_load control_restart_nginx 80 restart nginx
	under_load control_restart_haproxy 8081 restart haproxy
	reuseport_site ''
	systemctl restart nginx
}

# From nothing.
readme() {
	cd /root || exit 1
	run readme bash /opt/readme.sh
	run enabled systemctl is-enabled $sidecar
	await "nginx is attached" status_is $sidecar '2 groups, 2 listeners'
	status $sidecar | result status
	under_load restart_nginx 80 restart nginx
	systemctl disable --now --quiet $sidecar
	reuseport-migrate detach --all
}

# One server cannot be attached, and another one is not there.
nothing_to_guard() {
	echo 'SPECS=":80 :9"' >/etc/default/reuseport-migrate
	systemctl restart nginx
	systemctl start $sidecar
	status $sidecar | result status_nothing
	journalctl --no-pager -o cat -u $sidecar -n 8 | result journal_nothing
	systemctl stop $sidecar
}

guide() {
	run guide bash /opt/guide.sh
	await "nginx is attached" status_is reuseport-migrate@80 '2 groups, 2 listeners'
	under_load guide_restart_nginx 80 restart nginx
	reuseport_site ' reuseport'
	systemctl restart nginx
	under_load reload_nginx 80 reload_nginx
	journalctl --no-pager -o cat -u nginx --grep 'lost|migrate' -n 20 | result verdicts
	run dropin_again reuseport-migrate systemd-dropin nginx :80 --install
	run dropin_haproxy reuseport-migrate systemd-dropin haproxy
	run dropin_unknown reuseport-migrate systemd-dropin nothing
	run dropin_none reuseport-migrate systemd-dropin systemd-journald
	systemctl disable --now --quiet reuseport-migrate@80
	reuseport-migrate detach --all
	run reload_unattached systemctl reload nginx
	mv /usr/bin/reuseport-migrate /usr/bin/away
	run reload_removed systemctl reload nginx
	mv /usr/bin/away /usr/bin/reuseport-migrate
	reuseport_site ''
	systemctl restart nginx
}

# Several at once, one of them with brackets.
instances() {
	local units
	units="reuseport-migrate@8082.service reuseport-migrate@127.0.0.1:8081.service
		$(systemd-escape --template=reuseport-migrate@.service '[::1]:8083')"
	echo 'METRICS=127.0.0.1:9945' >/etc/default/reuseport-migrate-8082
	for unit in $units; do run "instance_$unit" systemctl enable "$unit"; done
	# Emulated, a start may wait longer for the lock than it has patience, and is tried again.
	for unit in $units; do systemctl start --no-block "$unit"; done
	for unit in $units; do await "$unit" status_is "$unit" '1 group, 1 listener'; done
	run instance_groups reuseport-migrate status --json
	run instance_metrics curl -sf http://127.0.0.1:9945/metrics
	for unit in $units; do systemctl disable --now --quiet "$unit"; done
	reuseport-migrate detach --all
}

# With a file, for two services.
one_sidecar() {
	cat >/etc/reuseport-migrate.yaml <<-END
		services:
		  nginx: {listen: [":80"], unit: nginx, adopt: true, hold: 10m}
		  haproxy: {listen: [":8081"], hold: 10m}
	END
	printf 'SPECS=\nOPTIONS="--config /etc/reuseport-migrate.yaml"\n' >/etc/default/reuseport-migrate
	sed -i "s/^After=.*/After=$sidecar/" /etc/systemd/system/nginx.service.d/after.conf
	systemctl daemon-reload
	systemctl enable --now --quiet $sidecar
	systemctl restart nginx
	await "both are attached" status_is $sidecar '3 groups, 3 listeners'
	under_load restart_haproxy 8081 restart haproxy
	cp /etc/reuseport-migrate.yaml /root/good.yaml
	echo 'services: 7' >/etc/reuseport-migrate.yaml
	run reload_bad systemctl reload $sidecar
	await "the refusal" status_is $sidecar 'reload refused*'
	status $sidecar | result status_refused
	run active systemctl is-active $sidecar
	cp /root/good.yaml /etc/reuseport-migrate.yaml
	systemctl reload $sidecar
	await "the reload" status_is $sidecar '3 groups, *'
	status $sidecar | result status_reloaded
}

# What is held stays held, whatever becomes of the sidecar.
holds() {
	hold_over killed kill_sidecar KILL
	hold_over restarted restart $sidecar
	hold_over upgraded upgrade
	dpkg-query --show reuseport-migrate | cut -f 2 | result version
	hold_over hung kill_sidecar STOP
	journalctl --no-pager -o cat -u $sidecar --grep 'Watchdog timeout' | result watchdog
}

analyze() {
	for unit in $sidecar reuseport-migrate@443.service reuseport-migrate-store.service; do
		run "verify_$unit" systemd-analyze verify --man=yes "$unit"
		systemd-analyze security --no-pager "$unit" | tail -n 1 | result "security_$unit"
	done
}

kill_sidecar() { systemctl kill --kill-whom=main --signal="$1" $sidecar; }
upgrade() { dpkg -i /root/next.deb >/dev/null; }
main_pid() { systemctl show --property=MainPID --value $sidecar; }
is_successor() { [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ] && [ "$(systemctl is-active $sidecar)" = active ]; }
# hold_over NAME COMMAND: the sidecar's end while nginx is down and its clients wait.
hold_over() {
	local name=$1 before
	shift
	before=$(main_pid)
	load 80 10
	systemctl stop nginx
	await "a hold" status_is $sidecar '*holds clients of *:80*'
	sleep 1
	"$@"
	await "another sidecar" is_successor "$before"
	sleep 1
	systemctl start nginx
	sleep 1
	tally "held_$name"
	await "the listeners" status_is $sidecar '3 groups, *listeners'
}

# systemd keeps the descriptors of the store over a kill and a restart.
store() {
	local unit=reuseport-migrate-store.service socket=/run/reuseport-migrate/store.sock
	systemctl start $unit
	cat >/opt/server.mjs <<-'END'
		import { createServer } from "node:http";
		createServer((request, response) => response.end(request.url)).listen({ fd: 3 });
	END
	systemd-run --quiet --unit=stored reuseport-migrate store exec --store $socket --name web --tcp :8090 -- "$node" /opt/server.mjs
	await "the stored listener" curl -sf http://127.0.0.1:8090/
	systemctl show --property=NFileDescriptorStore --value $unit | result store_kept
	systemctl kill --kill-whom=main --signal=KILL $unit
	sleep 1
	await "the store" reuseport-migrate store list --store $socket
	run store_killed reuseport-migrate store list --store $socket
	systemctl restart $unit
	run store_restarted reuseport-migrate store list --store $socket
}

# After a reboot the enabled unit guards again.
second_boot() {
	await "the groups" status_is $sidecar '3 groups, *'
	status $sidecar | result boot_status
	under_load boot_restart_nginx 80 restart nginx
	under_load boot_restart_haproxy 8081 restart haproxy
	journalctl --no-pager -o cat -b -u $sidecar | result boot_journal
}

"$@"
echo "@end true"
