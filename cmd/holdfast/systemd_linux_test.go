// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// steps is what the test does, as root beside systemd. Each step says what it expects.
const steps = `
fail() { echo "$*: $(systemctl show holdfast -p ActiveState,SubState,Result,NRestarts,StatusText | tr '\n' ' ') $(ip -br address show eth0)"; exit 1; }
property() { systemctl show holdfast -P "$1"; }
# until_true SECONDS COMMAND waits for a command that succeeds.
until_true() { local n; for ((n = 0; n < $1 * 5; n++)); do "${@:2}" 2>/dev/null && return; sleep 0.2; done; return 1; }
status() { [ "$(property StatusText)" = "$1" ]; }
restarts() { [ "$(property NRestarts)" = "$1" ] && [ "$(property ActiveState)" = active ]; }
held() { ip address show eth0 | grep -q 10.0.0.100/32; }
said() { journalctl --sync; journalctl -u holdfast -o json | grep "$1" | grep -q "$2"; }

rmmod ip_vs_wlc ip_vs 2>/dev/null # so that it has to be loaded, unless others use it
systemctl start holdfast || fail "not started"
until_true 60 status "master: web" || fail "not master"
held || fail "no address"
grep -q 0A000064:0050 /proc/net/ip_vs || fail "no service"
until_true 20 said '"PRIORITY":"6"' 'to=master' || fail "not in the journal, with its priority"
[ "$(stat -c %A:%U /var/lib/holdfast/state.json /run/holdfast/control.sock | tr '\n' ' ')" = "-rw-------:root srw-rw----:root " ] || fail "files"
[ "$(cat /proc/sys/net/ipv4/conf/eth0/arp_announce)" = 2 ] || fail "no sysctls"
echo started

sed -i s/10.0.0.21/10.0.0.22/ /etc/holdfast/holdfast.hcl
systemctl reload holdfast || fail "not reloaded"
grep -q 0A000016:0050 /proc/net/ip_vs || fail "the reload was over before it was done"
echo nonsense >>/etc/holdfast/holdfast.hcl
systemctl reload holdfast
until_true 20 status "master: web; the last reload was refused" || fail "a refused reload is not seen"
sed -i '$d' /etc/holdfast/holdfast.hcl
systemctl reload holdfast
until_true 20 status "master: web" || fail "not reloaded"
restarts 0 || fail "restarted by a reload"
echo reloaded

systemctl kill -s KILL holdfast
until_true 60 restarts 1 || fail "not started after a crash"
until_true 60 status "master: web" || fail "not master after a crash"
echo crashed

# Nothing starts it again here, and its address has no lease: what is left is removed.
sed -i 's/id .*= 51/&\n address_lease = "off"/' /etc/holdfast/holdfast.hcl
systemctl reload holdfast
mkdir -p /run/units/holdfast.service.d
printf '[Service]\nRestart=no\n' >/run/units/holdfast.service.d/once.conf
systemctl daemon-reload
forever() { ip address show eth0 | grep -A1 10.0.0.100/32 | grep -q 'valid_lft forever'; }
until_true 20 forever || fail "a lease"
systemctl kill -s KILL holdfast
until_true 30 systemctl is-failed -q holdfast || fail "not failed"
[ "$(property Result)" = signal ] || fail "another result"
held && fail "the address is still there"
rm /run/units/holdfast.service.d/once.conf
systemctl daemon-reload
sed -i '/address_lease/d' /etc/holdfast/holdfast.hcl
systemctl reset-failed
systemctl start holdfast || fail "not started again"
until_true 60 status "master: web" || fail "not master again"
echo released

systemctl kill -s STOP holdfast
until_true 60 restarts 1 || fail "not started after it hung"
until_true 20 said . 'SIGABRT: abort' || fail "its goroutines are not in the journal"
until_true 60 status "master: web" || fail "not master after it hung"
echo watched

systemctl stop holdfast || fail "not stopped"
[ "$(property Result):$(property ActiveState)" = success:inactive ] || fail "no clean stop"
held && fail "the address is still there"
[ ! -e /run/holdfast ] || fail "/run/holdfast is left"
echo stopped
`

// TestSystemd runs deploy/systemd/holdfast.service under a real systemd.
func TestSystemd(t *testing.T) {
	netlab.RequireIPVS(t)
	holdfast, err := os.Executable() // as TestMain says
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("testdata/systemd.sh", root, holdfast)
	cmd.Stdin = strings.NewReader(steps)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	const want = "active\nstarted\nreloaded\ncrashed\nreleased\nwatched\nstopped\n"
	if err != nil || string(out) != want {
		t.Errorf("%v, got:\n%s\nwant:\n%s\nand was told:\n%s", err, out, want, said.String())
	}
}
