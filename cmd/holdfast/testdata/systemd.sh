#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots systemd as the first process of namespaces of its own, with deploy/systemd and little else, and runs what comes on
# standard input there. What it writes vanishes.
# usage: systemd.sh REPOSITORY HOLDFAST
set -euo pipefail
repository=$1 holdfast=$2

if [ "${3:-}" != --inside ]; then
	steps=$(cat)
	# A control group of its own, which is the root of what systemd sees.
	group=/sys/fs/cgroup/holdfast-test.$$
	mkdir "$group"
	trap 'echo 1 >"$group/cgroup.kill"; wait; find "$group" -depth -type d -exec rmdir {} + 2>/dev/null' EXIT
	pid='' outer=''
	bash -c 'echo $$ >"$0/cgroup.procs"; exec unshare --mount --net --pid --cgroup --fork --propagation private "$@"' "$group" \
		"$0" "$repository" "$holdfast" --inside </dev/null >&2 &
	outer=$!
	inside() { nsenter -t "$pid" -a -r -w "$@"; }
	for ((i = 0; i < 300; i++)); do
		kill -0 "$outer" || exit 1
		# While it is not yet systemd, systemctl does nothing, and says that this is well.
		pid=$(pgrep -P "$outer") && [ "$(inside systemctl is-active test.target 2>/dev/null)" = active ] && break
		sleep 0.2
	done
	inside systemctl is-active test.target
	code=0
	inside bash -c "$steps" || code=$?
	if [ $code != 0 ]; then inside journalctl --no-pager -o cat -n 100 >&2; fi
	exit $code
fi

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/bin /run/upper /run/work /run/units
cp "$holdfast" /run/bin/holdfast
cp -r "$repository"/deploy/systemd/holdfast.service* /run/units
mount --bind /run/bin /usr/local/bin
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
mount -t tmpfs tmpfs /var/lib
umount /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t proc proc /proc

mkdir /etc/holdfast
# systemd before 253 cannot reload otherwise.
if [ "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')" -ge 253 ]; then
	rm /run/units/holdfast.service.d/reload.conf
fi
# The program is the test itself.
printf '[Service]\nEnvironment=HOLDFAST_TEST_AS_PROGRAM=1\n' >/run/units/holdfast.service.d/test.conf
cp /lib/systemd/system/systemd-journald{.service,.socket,-dev-log.socket} /run/units
for target in sysinit basic network multi-user shutdown umount sockets; do
	printf '[Unit]\nDefaultDependencies=no\n' >/run/units/$target.target
done
printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\nAfter=systemd-journald.service\n' >/run/units/test.target

ip link set lo up
ip link add eth0 type dummy
ip address add 10.0.0.2/24 dev eth0
ip link set eth0 up
cat >/etc/holdfast/holdfast.hcl <<'END'
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_server "web" {
  address = "10.0.0.100:80"
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}
END
exec env -i PATH="$PATH:/usr/sbin:/sbin" container=holdfast-test SYSTEMD_UNIT_PATH=/run/units /lib/systemd/systemd --system --unit=test.target --show-status=no --log-target=console
