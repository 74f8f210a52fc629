#!/bin/busybox sh
# shellcheck shell=dash
# The guest's first process (tests/vm/vm-run.sh): mounts the root file system below an overlay and
# runs the command, or hands over to the root's systemd.
box=/bin/busybox
$box mount -t devtmpfs dev /dev
$box mount -t proc proc /proc
$box mount -t sysfs sys /sys
$box stty -F /dev/ttyS1 raw -echo
$box stty -F /dev/ttyS2 raw -echo
exec 3>/dev/ttyS1 4>/dev/ttyS2
finish() {
	echo "$1" >&4
	exec 3>&- 4>&-
	$box sync
	$box poweroff -f
}
while read -r module; do $box insmod "/modules/$module" || echo "insmod $module failed"; done </modules/order
init=''
disk=''
# shellcheck disable=SC1091 # written for each run
. /vm.env
$box mount -t virtiofs -o ro root /lower || finish 125
if [ -n "$disk" ]; then $box mount -t ext4 /dev/vda /rw || finish 125; else $box mount -t tmpfs rw /rw; fi
$box mkdir -p /rw/upper /rw/work
$box mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /new || finish 125
for name in dev proc sys; do
	$box mkdir -p /new/$name
	$box mount --move /$name /new/$name
done
$box hostname vm

if [ "$init" = systemd ]; then
	units=/new/etc/systemd/system
	$box cp /vm-command /new/opt/vm-command
	$box mkdir -p $units/vm.target.wants
	$box cat >$units/vm-command.service <<-END
		[Unit]
		After=multi-user.target
		[Service]
		Type=oneshot
		Environment=HOME=/root IN_VM=1
		TimeoutStartSec=infinity
		ExecStart=/bin/sh -c "/bin/bash /opt/vm-command >/dev/ttyS1 2>&1; echo \$\$? >/dev/ttyS2; sync; systemctl poweroff -ff"
	END
	$box cat >$units/vm.target <<-END
		[Unit]
		Requires=multi-user.target
		After=multi-user.target
		Wants=vm-command.service
		AllowIsolate=yes
	END
	$box ln -sfn /etc/systemd/system/vm.target $units/default.target
	for name in serial-getty@ttyS0 getty@tty1 systemd-networkd-wait-online; do
		$box ln -sfn /dev/null $units/$name.service
	done
	exec 3>&- 4>&-
	exec $box switch_root /new /lib/systemd/systemd
fi

$box mkdir -p /new/run
$box mount -t tmpfs run /new/run
$box mkdir -p /new/dev/pts /new/dev/shm
$box mount -t devpts -o ptmxmode=666 pts /new/dev/pts
$box mount -t tmpfs shm /new/dev/shm
$box ln -snf /proc/self/fd /new/dev/fd
for each in 0:stdin 1:stdout 2:stderr; do $box ln -snf /proc/self/fd/${each%%:*} /new/dev/${each#*:}; done
$box mount -t cgroup2 cg /new/sys/fs/cgroup
$box mount -t bpf bpf /new/sys/fs/bpf
$box mount -t tracefs t /new/sys/kernel/tracing 2>/dev/null
$box mount -t debugfs d /new/sys/kernel/debug 2>/dev/null
$box ifconfig lo 127.0.0.1 up
$box cp /vm-command /new/run/vm-command
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb IN_VM=1 \
	$box setsid $box chroot /new /bin/sh /run/vm-command </dev/null >&3 2>&3 3>&- 4>&-
finish $?
