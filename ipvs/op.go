// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations, each with the option of ipvsadm.
const (
	_                 Kind = iota
	AddService             // -A
	AddDestination         // -a
	UpdateService          // -E
	UpdateDestination      // -e
	DeleteDestination      // -d
	DeleteService          // -D
	SetTimeouts            // --set
	StopSync               // --stop-daemon
	StartSync              // --start-daemon
	numKinds
)

var kinds = [numKinds]struct{ name, option string }{
	AddService:        {"add service", "-A"},
	AddDestination:    {"add destination", "-a"},
	UpdateService:     {"update service", "-E"},
	UpdateDestination: {"update destination", "-e"},
	DeleteDestination: {"delete destination", "-d"},
	DeleteService:     {"delete service", "-D"},
	SetTimeouts:       {"set timeouts", "--set"},
	StopSync:          {"stop sync daemon", "--stop-daemon"},
	StartSync:         {"start sync daemon", "--start-daemon"},
}

// Kinds returns every kind, those on services in the order of [Diff].
func Kinds() []Kind {
	list := make([]Kind, 0, numKinds-1)
	for k := AddService; k < numKinds; k++ {
		list = append(list, k)
	}
	return list
}

func (k Kind) String() string {
	if k == 0 || k >= numKinds {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kinds[k].name
}

func (k Kind) option() string {
	if k == 0 || k >= numKinds {
		return k.String()
	}
	return kinds[k].option
}

// Op is one operation on the table. Settings count for adding and updating a service, Destination for the
// operations on a destination (to delete one, its address), Timeouts and Sync for the kinds that are about them.
type Op struct {
	Kind    Kind
	Service Key
	Settings
	Destination Destination
	Timeouts    Timeouts
	Sync        SyncDaemon
}

// String returns the operation as arguments of ipvsadm. For what ipvsadm -Sn prints it is the same text, but for
// thresholds, which that leaves out.
func (o Op) String() string {
	switch o.Kind {
	case SetTimeouts:
		t := o.Timeouts
		return fmt.Sprintf("--set %d %d %d", t.TCP/time.Second, t.TCPFin/time.Second, t.UDP/time.Second)
	case StopSync:
		return "--stop-daemon " + o.Sync.Role.String()
	case StartSync:
		d := o.Sync
		return fmt.Sprintf("--start-daemon %s --mcast-interface %s --syncid %d --mcast-group %s --mcast-port %d --mcast-ttl %d",
			d.Role, d.Interface, d.ID, d.Group, d.Port, d.TTL)
	}
	s := o.Kind.option() + " " + serviceArgs(o.Service)
	switch o.Kind {
	case AddService, UpdateService:
		return s + " -s " + o.Settings.args(o.Service.Address.Is6())
	case AddDestination, UpdateDestination:
		return s + " -r " + o.Destination.args()
	case DeleteDestination:
		return s + " -r " + o.Destination.Address.String()
	}
	return s
}

// object names what the operation is about, for errors.
func (o Op) object() string {
	switch {
	case o.Kind == SetTimeouts:
		return fmt.Sprintf("tcp %s tcp_fin %s udp %s", o.Timeouts.TCP, o.Timeouts.TCPFin, o.Timeouts.UDP)
	case o.Kind == StopSync || o.Kind == StartSync:
		return fmt.Sprintf("%s on %s", o.Sync.Role, o.Sync.Interface)
	case o.Destination.Address.IsValid():
		return fmt.Sprintf("%s of %s", o.Destination.Address, o.Service)
	}
	return o.Service.String()
}

func serviceArgs(k Key) string {
	if k.Mark != 0 {
		s := "-f " + strconv.FormatUint(uint64(k.Mark), 10)
		if k.Address.Is6() {
			s += " -6"
		}
		return s
	}
	option := "-t"
	switch k.Protocol {
	case UDP:
		option = "-u"
	case SCTP:
		option = "--sctp-service"
	}
	return option + " " + netip.AddrPortFrom(k.Address, k.Port).String()
}

// args returns what ipvsadm takes after -s. A default is left out as ipvsadm does.
func (s Settings) args(v6 bool) string {
	text, p := s.Scheduler, s.Persistence
	if p.Timeout != 0 {
		text += fmt.Sprintf(" -p %d", p.Timeout/time.Second)
		switch {
		case v6 && p.Netmask != 128:
			text += fmt.Sprintf(" -M %d", p.Netmask)
		case !v6 && p.Netmask != 32:
			text += " -M " + maskAddress(p.Netmask)
		}
	}
	if p.Engine != "" {
		text += " --pe " + p.Engine
	}
	if s.Flags&OnePacket != 0 {
		text += " -o"
	}
	return text + flagArgs(s.Scheduler, s.Flags&^OnePacket)
}

// oddMask stands for an IPv4 netmask with holes, which only others make.
const oddMask = 255

// mask4 returns an IPv4 netmask of so many bits as a number.
func mask4(length uint8) uint32 { return ^uint32(0) << (32 - min(length, 32)) }

func maskLength(mask uint32) uint8 {
	length := uint8(bits.LeadingZeros32(^mask))
	if mask4(length) != mask {
		return oddMask
	}
	return length
}

func maskAddress(length uint8) string {
	if length == oddMask {
		return "odd"
	}
	m := mask4(length)
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}).String()
}

// SchedulerArgs returns a scheduler and its flags as ipvsadm takes them after -s.
func SchedulerArgs(scheduler string, f Flags) string { return scheduler + flagArgs(scheduler, f) }

// flagArgs returns the -b argument of ipvsadm, or nothing. A bit without a name is printed as a number.
func flagArgs(scheduler string, f Flags) string {
	if f == 0 {
		return ""
	}
	fallback, port := "flag-1", "flag-2"
	if scheduler == "sh" || scheduler == "mh" {
		fallback, port = scheduler+"-fallback", scheduler+"-port"
	}
	var names []string
	for _, n := range []struct {
		flag Flags
		name string
	}{{SchedFallback, fallback}, {SchedPort, port}, {0x0020, "flag-3"}} {
		if f&n.flag != 0 {
			names = append(names, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(f)))
	}
	return " -b " + strings.Join(names, ",")
}

// args returns what ipvsadm takes after -r.
func (d Destination) args() string {
	method := map[Forward]string{NAT: "-m", DR: "-g", Tunnel: "-i"}[d.Forward]
	s := fmt.Sprintf("%s %s -w %d", d.Address, method, d.Weight)
	if d.Forward == Tunnel {
		s += d.Encapsulation.args()
	}
	if d.Upper != 0 {
		s += fmt.Sprintf(" -x %d", d.Upper)
	}
	if d.Lower != 0 {
		s += fmt.Sprintf(" -y %d", d.Lower)
	}
	return s
}

func (e Encapsulation) args() string {
	s := " --tun-type " + e.Type.String()
	if e.Type == GUE {
		s += fmt.Sprintf(" --tun-port %d", e.Port)
	}
	switch {
	case e.Type == IPIP:
		return s
	case e.Checksum == FullChecksum:
		return s + " --tun-csum"
	case e.Checksum == RemoteChecksum:
		return s + " --tun-remcsum"
	}
	return s + " --tun-nocsum"
}
