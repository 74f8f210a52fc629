#!/bin/bash
# vm-run.sh KERNEL-GLOB COMMAND...: runs a command, as root, on a kernel of Debian's under qemu.
#
# Emulated (no KVM): 5 to 20 times slower than this machine. The root file system is this machine's,
# read-only below an overlay in memory: what the guest writes vanishes with it. qemu and kernels come
# from apt into VM_HOME; nothing is installed. The guest has no network except lo.
#
#   tests/vm/vm-run.sh '6.1.0-*-cloud-amd64' uname -r
#   VM_ROOT=DIR VM_INIT=systemd tests/vm/vm-run.sh '6.1.0-*-cloud-amd64' systemctl --failed
#
# A single COMMAND is a line of shell. Exit code: COMMAND's; 124: timed out; 125: the VM ended
# without one, and the end of its console is on stderr; 2: usage.
set -euo pipefail
if [ $# -lt 2 ]; then
	sed -n '2,/^set/{/^set/!p}' "$0" >&2
	exit 2
fi

VM_HOME=${VM_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/vm-run}
VM_TIMEOUT=${VM_TIMEOUT:-300} # seconds
VM_MEM=${VM_MEM:-2048}        # MiB
VM_SMP=${VM_SMP:-2}
VM_ROOT=${VM_ROOT:-/}       # another root file system, such as one of debootstrap
VM_INIT=${VM_INIT:-}        # systemd: VM_ROOT's systemd is pid 1; COMMAND runs after multi-user.target
VM_DISK=${VM_DISK:-}        # a file for what the guest writes, which the next boot finds; made if missing
VM_MODULES=${VM_MODULES:-}  # further kernel modules, such as nf_tables
VM_APPEND=${VM_APPEND:-}    # further kernel arguments
VM_VERBOSE=${VM_VERBOSE:-}  # 1: times and the guest's console on stderr

die() {
	echo "vm-run.sh: $2" >&2
	exit "$1"
}

glob=$1
shift
case $VM_INIT in '' | systemd) ;; *) die 2 "VM_INIT is systemd or empty, not '$VM_INIT'" ;; esac
[ -d "$VM_ROOT" ] || die 2 "VM_ROOT: '$VM_ROOT' is not a directory"
tools=$VM_HOME/root
cache=$VM_HOME/cache
mkdir -p "$VM_HOME/kernels" "$VM_HOME/debs/partial" "$cache" "$tools"
# One run at a time prepares; each runs its own VM.
exec 9>"$VM_HOME/lock"
flock 9

# --- Tools from apt, unpacked ---------------------------------------------------------------------
download() { (cd "$VM_HOME/debs" && apt-get download -qq -o APT::Sandbox::User=root "$1") >&2; }
if [ ! -e "$tools/.unpacked" ]; then
	apt-get install -qq -y --download-only --no-install-recommends -o APT::Sandbox::User=root \
		-o Dir::Cache::archives="$VM_HOME/debs" qemu-system-x86 >&2
	for package in busybox-static cpio kmod libkmod2; do download "$package"; done
	for deb in "$VM_HOME"/debs/*.deb; do dpkg -x "$deb" "$tools"; done
	touch "$tools/.unpacked"
fi
libs=$tools/usr/lib/x86_64-linux-gnu:$tools/lib/x86_64-linux-gnu
for name in depmod modprobe; do ln -sfn "$tools/bin/kmod" "$cache/$name"; done
cpio() { "$tools/bin/cpio" --create --null --format=newc --quiet --owner=0:0; }

# --- Kernel: the newest in VM_HOME that matches, or else the newest in apt ------------------------
matching() {
	local name
	# shellcheck disable=SC2053 # a pattern
	while read -r name; do if [[ $name == $glob ]]; then echo "$name"; fi; done | sort -V | tail -n 1
}
kernel=$(find "$VM_HOME/kernels" -mindepth 1 -maxdepth 1 -printf '%f\n' | matching)
if [ -z "$kernel" ]; then
	kernel=$(apt-cache pkgnames linux-image- | sed 's/^linux-image-//' | grep '^[0-9]' |
		grep -v -E 'unsigned$|-dbg$' | matching)
	[ -n "$kernel" ] || die 2 "no kernel in apt matches '$glob': run apt-get update, or name another"
	download "linux-image-$kernel"
	dpkg -x "$VM_HOME"/debs/linux-image-"$kernel"_*.deb "$VM_HOME/kernels/$kernel"
fi
tree=$VM_HOME/kernels/$kernel
[ -e "$tree/lib" ] || ln -s usr/lib "$tree/lib"
image=$(find "$tree/boot" "$tree/lib/modules/" -name 'vmlinuz*' 2>/dev/null | head -n 1)
[ -n "$image" ] || die 2 "no vmlinuz below $tree: remove that directory and run again"

# --- First file system: busybox, modules, init; kept for each kernel and list of modules ----------
modules="virtio_pci virtiofs overlay virtio_blk ext4 inet_diag tcp_diag veth $VM_MODULES"
key=$(printf '%s' "$kernel $modules $(cat "$0" "$(dirname "$0")/first_init.sh" | sha256sum)" | sha256sum | cut -c1-12)
base=$cache/$kernel-$key.cpio
if [ ! -s "$base" ]; then
	[ -e "$tree/lib/modules/$kernel/modules.dep" ] ||
		LD_LIBRARY_PATH=$libs "$cache/depmod" -b "$tree" "$kernel"
	first=$(mktemp -d "$cache/first.XXXXXX")
	mkdir -p "$first"/{bin,dev,proc,sys,modules,lower,rw,new}
	cp "$tools/bin/busybox" "$first/bin/"
	: >"$first/modules/order"
	for module in $modules; do
		files=$(LD_LIBRARY_PATH=$libs "$cache/modprobe" -d "$tree" -S "$kernel" --show-depends "$module") ||
			die 2 "$kernel has no module $module"
		while read -r verb file _; do
			[ "$verb" = insmod ] || continue
			name=$(basename "$file")
			name=${name%.[xz]z}
			name=${name%.zst}
			if grep -qx "$name" "$first/modules/order"; then continue; fi
			case $file in
			*.xz) xz -dc "$file" >"$first/modules/$name" ;;
			*.zst) zstd -dcq "$file" >"$first/modules/$name" ;;
			*) cp "$file" "$first/modules/$name" ;;
			esac
			echo "$name" >>"$first/modules/order"
		done <<<"$files"
	done
	cp "$(dirname "$0")/first_init.sh" "$first/init"
	chmod 755 "$first/init"
	(cd "$first" && find . -print0 | LC_ALL=C sort -z | cpio) >"$base.new"
	mv "$base.new" "$base"
	rm -rf "$first"
fi
flock -u 9

# --- This run: the command, the root file system, qemu --------------------------------------------
run=$(mktemp -d "$cache/run.XXXXXX")
files_pid=
qemu_pid=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	local pid
	for pid in $qemu_pid $files_pid; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf --one-file-system "$run"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
mkdir "$run/command" "$run/root"
directory=$PWD
[ "$VM_ROOT" = / ] || directory=/root
printf 'init=%s\ndisk=%s\n' "$VM_INIT" "$VM_DISK" >"$run/command/vm.env"
{
	printf '#!/bin/bash\nulimit -n 65536\ncd %q || exit 125\n' "$directory"
	if [ $# -eq 1 ]; then printf '%s\n' "$1"; else
		printf 'exec'
		printf ' %q' "$@"
	fi
} >"$run/command/vm-command"
(cd "$run/command" && printf '%s\0' vm.env vm-command | cpio) >"$run/command.cpio"
cat "$base" "$run/command.cpio" >"$run/initrd"

# virtiofsd, in a mount namespace of its own. The root is bound without what is mounted below it.
# shellcheck disable=SC2016 # expanded by the inner shell
LD_LIBRARY_PATH=$libs unshare -m --propagation private sh -c '
	mount --bind "$3" "$1/root" && mount -o remount,bind,ro "$1/root" &&
	exec "$2" --socket-path="$1/files.sock" -o source="$1/root" -o sandbox=chroot \
		-o cache=always -o no_posix_lock --thread-pool-size=4 -o log_level=warn' \
	_ "$run" "$tools/usr/lib/qemu/virtiofsd" "$VM_ROOT" >"$run/files.log" 2>&1 9>&- &
files_pid=$!
for _ in $(seq 500); do
	[ ! -S "$run/files.sock" ] || break
	sleep 0.02
done
if [ ! -S "$run/files.sock" ]; then
	cat "$run/files.log" >&2
	die 125 "virtiofsd did not start"
fi

disk=()
if [ -n "$VM_DISK" ]; then
	if [ ! -e "$VM_DISK" ]; then
		truncate -s 4G "$VM_DISK"
		mkfs.ext4 -q "$VM_DISK"
	fi
	disk=(-drive "if=virtio,format=raw,cache=unsafe,file=$VM_DISK")
fi
begin=$(date +%s)
code=0
# The guest's serial lines: its console, the command's output, the command's exit code.
LD_LIBRARY_PATH=$libs QEMU_MODULE_DIR=$tools/usr/lib/x86_64-linux-gnu/qemu timeout -k 5 "$VM_TIMEOUT" \
	"$tools/usr/bin/qemu-system-x86_64" -L "$tools/usr/share/qemu" -L "$tools/usr/share/seabios" \
	-machine q35,memory-backend=memory -accel tcg,thread=multi -cpu max -m "$VM_MEM" -smp "$VM_SMP" \
	-nodefaults -no-user-config -display none -no-reboot \
	-serial "file:$run/console" -chardev stdio,id=out,signal=off -serial chardev:out \
	-serial "file:$run/code" -kernel "$image" -initrd "$run/initrd" \
	-object "memory-backend-memfd,id=memory,size=${VM_MEM}M,share=on" \
	-chardev "socket,id=files,path=$run/files.sock" \
	-device vhost-user-fs-pci,chardev=files,tag=root "${disk[@]}" \
	-append "console=ttyS0 quiet loglevel=4 panic=-1 random.trust_cpu=on no_timer_check mitigations=off audit=0 nmi_watchdog=0 $VM_APPEND" \
	</dev/null 2>"$run/errors" 9>&- &
qemu_pid=$!
wait "$qemu_pid" || code=$?
qemu_pid=
if [ -n "$VM_VERBOSE" ]; then
	cat "$run/console" "$run/errors" >&2
	echo "vm-run.sh: $kernel ran for $(($(date +%s) - begin)) s" >&2
fi
if [ "$code" = 124 ] || [ "$code" = 137 ]; then
	tail -n 5 "$run/console" >&2
	die 124 "timed out after $VM_TIMEOUT s (VM_TIMEOUT)"
fi
result=$(tr -cd 0-9 <"$run/code" || true)
if [ -z "$result" ]; then
	cat "$run/errors" >&2
	tail -n 20 "$run/console" >&2
	die 125 "the VM ended without an exit code (qemu: $code)"
fi
exit "$result"
