#!/bin/sh
# install.sh [--prefix DIR] [--uninstall], as root: installs reuseport-migrate, its units, man pages
# and completions below DIR (/usr/local), and its defaults in /etc if there are none yet.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr/local
uninstall=
while [ $# -gt 0 ]; do
	case $1 in
	--prefix) prefix=${2:?--prefix requires a directory}; shift ;;
	--uninstall) uninstall=1 ;;
	*) echo "install.sh: unknown argument '$1': [--prefix DIR] [--uninstall]" >&2; exit 2 ;;
	esac
	shift
done
case $prefix in /*) ;; *) echo "install.sh: --prefix must be an absolute path" >&2; exit 2 ;; esac
lib=$prefix/lib/reuseport-migrate
command=$prefix/bin/reuseport-migrate
units="reuseport-migrate.service reuseport-migrate-store.service"

has_systemd() { [ -d /run/systemd/system ]; }
files() { (cd "$here" && find bin share lib/systemd -type f); }

if [ -n "$uninstall" ]; then
	# shellcheck disable=SC2086 # a list
	if has_systemd; then
		systemctl disable --quiet --now $units || true
		systemctl stop 'reuseport-migrate@*.service'
	fi
	# Stopping leaves everything attached; removing does not.
	if [ -d /sys/fs/bpf/reuseport-migrate ]; then "$command" detach --all; fi
	files | while read -r file; do rm -f "$prefix/$file"; done
	rm -rf "$lib"
	if has_systemd; then systemctl daemon-reload; fi
	echo "removed; left: /etc/default/reuseport-migrate, /etc/reuseport-migrate.yaml"
	exit
fi

mkdir -p "$prefix/lib" /etc/default
rm -rf "$lib.new"
cp -R "$here/lib/reuseport-migrate" "$lib.new"
rm -rf "$lib"
mv "$lib.new" "$lib"
files | while read -r file; do
	mkdir -p "$(dirname "$prefix/$file")"
	sed "s|/usr/local|$prefix|g" "$here/$file" >"$prefix/$file.new"
	chmod 644 "$prefix/$file.new"
	mv "$prefix/$file.new" "$prefix/$file"
done
chmod 755 "$command"
for file in default/reuseport-migrate reuseport-migrate.yaml; do
	[ -e "/etc/$file" ] || cp "$here/etc/$file" "/etc/$file"
done
if has_systemd; then
	systemctl daemon-reload
	# An upgrade: everything stays attached while the sidecar restarts.
	# shellcheck disable=SC2086
	systemctl try-restart $units 'reuseport-migrate@*.service'
fi
"$command" --version
ldconfig -p | grep -q 'libbpf\.so\.1' || echo "libbpf 1.x is missing: install the package libbpf (or libbpf1)" >&2
