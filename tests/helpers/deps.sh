#!/bin/sh
# Installs the packages that the named sets of targets require and this machine lacks:
#   deps.sh build|sandbox|check|test|guides|bench|package|packages-test|containers-test...
# A package is missing if its command or file is missing, however it was installed. apt starts no
# service of a package, neither now nor at boot.
set -eu
PATH=$PATH:/usr/sbin:/sbin
me=tests/helpers/deps.sh
packages=
services=

missing() { case " $packages " in *" $1 "*) ;; *) packages="$packages $1" ;; esac; }
command_of() { command -v "$2" >/dev/null 2>&1 || missing "$1"; }
file_of() {
	package=$1
	shift
	for file; do [ -e "$file" ] && return; done
	missing "$package"
}
service_of() {
	command -v "$1" >/dev/null 2>&1 || { missing "$1"; services="$services $1"; }
}

need_build() {
	command_of clang clang
	file_of libbpf-dev /usr/include/bpf/bpf_helpers.h
	file_of linux-libc-dev /usr/include/linux/bpf.h
	file_of libbpf1 /usr/lib*/libbpf.so.1 /usr/lib/*/libbpf.so.1
	command_of nodejs node
	command_of npm npm
}

need_sandbox() {
	command_of iproute2 ip
	command_of util-linux unshare
	command_of mount mount
}

need_check() {
	command_of clang-format clang-format
}

need_test() {
	need_check
	command_of python3 python3
	service_of nginx
	service_of haproxy
	service_of prometheus
	command_of prometheus promtool
	command_of nftables nft
	command_of libcap2-bin capsh
	command_of chromium chromium
	file_of python3 /usr/bin/python3
}

need_guides() {
	service_of apache2
	service_of caddy
	command_of gunicorn gunicorn
	command_of uvicorn uvicorn
	command_of golang-go go
}

need_package() {
	command_of binutils strip
	command_of dpkg dpkg-deb
	command_of xz-utils xz
}

need_packages_test() {
	command_of debootstrap debootstrap
	command_of lintian lintian
	command_of zsh zsh
	command_of fish fish
	command_of man-db man
	command_of shellcheck shellcheck
	file_of bash-completion /usr/share/bash-completion/bash_completion
}

need_containers_test() {
	command_of debootstrap debootstrap
	command_of buildah buildah
	command_of kubernetes-client kubectl
}

need_bench() {
	command_of wrk wrk
	command_of apache2-utils ab
	command_of hping3 hping3
}

enough_node() { node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; }

for set; do "need_$(echo "$set" | tr - _)"; done

if [ -n "$packages" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "missing:$packages. Run as root: $me $*" >&2
		exit 1
	fi
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "missing (names of Debian packages):$packages. Install them, then run make again" >&2
		exit 1
	fi
	echo "installing:$packages"
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		trap 'exit 129' HUP
		trap 'exit 130' INT
		trap 'exit 143' TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update
	# shellcheck disable=SC2086 # a list of words
	apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install $packages
	if [ -n "$services" ] && command -v systemctl >/dev/null 2>&1; then
		# shellcheck disable=SC2086
		systemctl --quiet disable $services 2>/dev/null || true
	fi
fi

enough_node || {
	echo "Node $(node --version) is too old: install Node 20.19 or newer (https://nodejs.org), then run make again" >&2
	exit 1
}
