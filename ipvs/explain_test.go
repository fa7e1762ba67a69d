// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

// TestExplain has every errno that the kernel answers with, and for each of its causes a word of what to do.
func TestExplain(t *testing.T) {
	service4 := Key{Address: netip.MustParseAddr("10.9.0.1"), Port: 80, Protocol: TCP}
	service6 := Key{Address: netip.MustParseAddr("fd00::1"), Port: 80, Protocol: TCP}
	dest := func(k Kind, address string, change func(*Destination)) Op {
		d := Destination{Address: netip.MustParseAddrPort(address), Forward: NAT, Weight: 1}
		if change != nil {
			change(&d)
		}
		return Op{Kind: k, Service: service4, Destination: d}
	}
	tunnel := func(e Encapsulation) func(*Destination) {
		return func(d *Destination) { d.Forward, d.Encapsulation = Tunnel, e }
	}
	daemon := func(k Kind, group string) Op {
		return Op{Kind: k, Sync: SyncDaemon{Role: SyncMaster, Interface: "eth7", Group: netip.MustParseAddr(group)}}
	}
	for _, tt := range []struct {
		name  string
		op    Op
		errno syscall.Errno
		want  string
	}{
		{"reading", Op{}, syscall.EPERM, "CAP_NET_ADMIN"},
		{"no IPv6", Op{Kind: AddService, Service: service6}, syscall.EAFNOSUPPORT, "no IPv6"},
		{"unloading", Op{Kind: AddService, Service: service4}, syscall.ENOPROTOOPT, "unloading"},
		{"memory", Op{Kind: AddService, Service: service4}, syscall.ENOMEM, "memory"},
		{"old kernel", daemon(StartSync, "224.0.0.81"), syscall.EOPNOTSUPP, "too old"},
		{"service exists", Op{Kind: AddService, Service: service4}, syscall.EEXIST, "there already"},
		{"service is gone", Op{Kind: UpdateService, Service: service4}, syscall.ESRCH, "gone"},
		{"netmask", Op{Kind: AddService, Service: service6, Settings: Settings{Persistence: Persistence{Netmask: 129}}}, syscall.EINVAL, "1 to 128 bits"},
		{"server exists", dest(AddDestination, "10.9.1.1:80", nil), syscall.EEXIST, "there already"},
		{"server is gone", dest(UpdateDestination, "10.9.1.1:80", nil), syscall.ENOENT, "real server is gone"},
		{"its service is gone", dest(UpdateDestination, "10.9.1.1:80", nil), syscall.ESRCH, "service is gone"},
		{"weight", dest(AddDestination, "10.9.1.1:80", func(d *Destination) { d.Weight = 1 << 31 }), syscall.ERANGE, "weight"},
		{"thresholds", dest(AddDestination, "10.9.1.1:80", func(d *Destination) { d.Lower = 1 }), syscall.ERANGE, "lower threshold"},
		{"gue", dest(AddDestination, "10.9.1.1:80", tunnel(Encapsulation{Type: GUE})), syscall.EINVAL, "port"},
		{"mixed without tunnel", dest(AddDestination, "[fd00::1]:80", nil), syscall.EINVAL, "by tunnel only"},
		{"mixed with sync", dest(AddDestination, "[fd00::1]:80", tunnel(Encapsulation{Type: IPIP})), syscall.EINVAL, "while connection sync runs"},
		{"address", dest(AddDestination, "224.0.0.1:80", nil), syscall.EINVAL, "unicast"},
		{"timeouts", Op{Kind: SetTimeouts}, syscall.EINVAL, "too long"},
		{"interface", daemon(StartSync, "224.0.0.81"), syscall.ENODEV, "no interface eth7"},
		{"interface down", daemon(StartSync, "224.0.0.81"), syscall.ENETUNREACH, "eth7 must be up"},
		{"no address", daemon(StartSync, "ff05::81"), syscall.EADDRNOTAVAIL, "an address for the group ff05::81"},
		{"runs already", daemon(StartSync, "224.0.0.81"), syscall.EEXIST, "runs already"},
		{"does not run", daemon(StopSync, "224.0.0.81"), syscall.ESRCH, "does not run"},
		{"sync with mixed", daemon(StartSync, "224.0.0.81"), syscall.EINVAL, "another address family"},
		{"group", daemon(StartSync, "10.0.0.1"), syscall.EINVAL, "not a multicast group"},
	} {
		err := explain(tt.op, tt.errno)
		if !errors.Is(err, tt.errno) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q and %v", tt.name, err, tt.want, tt.errno)
		}
	}
	if err := explain(Op{}, ErrNoIPVS); err != ErrNoIPVS {
		t.Errorf("got %v, want the error as it was", err)
	}
	if err := explain(Op{}, nil); err != nil {
		t.Errorf("got %v, want none", err)
	}
}
