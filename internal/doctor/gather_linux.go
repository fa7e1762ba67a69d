// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// Options say what to look at.
type Options struct {
	Config  *configs.Config  // of the directors, of which this host is one; nil: it is none
	Uses    []realserver.Use // what it is a real server for; empty: it is none
	Running bool             // a director runs here
	Socket  string           // the control socket of the director that runs here
	Masters []string         // the virtual routers that it is master of
	Listen  time.Duration    // for adverts; 0: as long as the configuration takes
	Root    string           // of the files that say what manages the links and what modules there are; empty: /
}

// Gather finds out about the host whose network namespace the calling thread is in, and changes nothing. What it cannot find
// out for want of a tool or a privilege is in Facts.Unknown. It takes some seconds, for which it listens.
func Gather(ctx context.Context, o Options) (Facts, error) {
	f := Facts{
		Config: o.Config, Uses: o.Uses, Running: o.Running, Masters: o.Masters,
		Links: make(map[string]Link), Sysctls: make(map[string]string), Modules: make(map[string]Module),
		Paths: make(map[netip.Addr]Path), Deaf: make(map[string]string),
	}
	if err := f.readLinks(); err != nil {
		return Facts{}, err
	}
	if err := f.readAddresses(); err != nil {
		return Facts{}, err
	}
	f.readFirewall(ctx)
	if len(o.Uses) > 0 {
		if err := f.verify(); err != nil {
			return Facts{}, err
		}
	}
	if o.Config == nil {
		return f, nil
	}
	f.readSysctls()
	f.readModules(o.Root)
	f.readPaths()
	f.readFiles(o)
	f.readManagers(o.Root)
	return f, f.listen(ctx, o.Listen)
}

func (f *Facts) unknown(format string, args ...any) {
	f.Unknown = append(f.Unknown, fmt.Sprintf(format, args...))
}

func (f *Facts) readLinks() error {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	byIndex, masters, peers := make(map[int]string), make(map[string]int), make(map[string]int)
	for _, m := range messages {
		info := nl.DeserializeIfInfomsg(m)
		attrs, err := nl.ParseRouteAttr(m[info.Len():])
		if err != nil {
			return fmt.Errorf("list links: %w", err)
		}
		l := Link{
			Index: int(info.Index), Up: info.Flags&unix.IFF_UP != 0, Carrier: info.Flags&unix.IFF_LOWER_UP != 0,
		}
		name, master, peer := "", 0, 0
		for _, a := range attrs {
			switch a.Attr.Type &^ unix.NLA_F_NESTED {
			case unix.IFLA_IFNAME:
				name = unix.ByteSliceToString(a.Value)
			case unix.IFLA_MTU:
				l.MTU = int(nl.NativeEndian().Uint32(a.Value))
			case unix.IFLA_MASTER:
				master = int(nl.NativeEndian().Uint32(a.Value))
			case unix.IFLA_LINK:
				peer = int(nl.NativeEndian().Uint32(a.Value))
			case unix.IFLA_LINK_NETNSID:
				l.abroad = true
			case unix.IFLA_LINKINFO:
				l.readInfo(a.Value)
			}
		}
		f.Links[name], byIndex[l.Index], masters[name], peers[name] = l, name, master, peer
	}
	for name, l := range f.Links {
		if l.port {
			l.Bridge = byIndex[masters[name]]
		}
		if l.veth && !l.abroad {
			l.Peer = byIndex[peers[name]]
		}
		f.Links[name] = l
	}
	return nil
}

// readInfo reads what is said of a bridge and a port of one. The kind comes before its data.
func (l *Link) readInfo(b []byte) {
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		return
	}
	bridge := false
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case nl.IFLA_INFO_KIND:
			kind := unix.ByteSliceToString(a.Value)
			bridge, l.veth = kind == "bridge", kind == "veth"
		case nl.IFLA_INFO_SLAVE_KIND:
			l.port = unix.ByteSliceToString(a.Value) == "bridge"
		case nl.IFLA_INFO_DATA:
			if bridge {
				l.Sorts, l.Querier = flag(a.Value, nl.IFLA_BR_MCAST_SNOOPING), flag(a.Value, nl.IFLA_BR_MCAST_QUERIER)
			}
		case nl.IFLA_INFO_SLAVE_DATA:
			if l.port {
				l.Flood = flag(a.Value, nl.IFLA_BRPORT_MCAST_FLOOD)
			}
		}
	}
}

func flag(b []byte, kind uint16) bool {
	attrs, err := nl.ParseRouteAttr(b)
	return err == nil && slices.ContainsFunc(attrs, func(a syscall.NetlinkRouteAttr) bool {
		return a.Attr.Type == kind && len(a.Value) > 0 && a.Value[0] != 0
	})
}

func (f *Facts) device(index int) string {
	for name, l := range f.Links {
		if l.Index == index {
			return name
		}
	}
	return ""
}

func (f *Facts) readAddresses() error {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range list {
		ip, _ := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		f.Addresses = append(f.Addresses, Address{f.device(a.LinkIndex), netip.PrefixFrom(ip.Unmap(), bits), a.Flags&unix.IFA_F_PERMANENT != 0})
	}
	return nil
}

func (f *Facts) verify() error {
	k, err := realserver.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	if f.RealServer, err = realserver.Verify(k, f.Uses); err != nil {
		return err
	}
	have, err := k.Read(nil, false)
	f.Routes = have.Defaults
	return err
}

func (f *Facts) readSysctls() {
	for _, s := range sysctl.Needed(f.Config) {
		for _, path := range []string{s.Path, s.Larger} {
			if value, err := sysctl.Read(path); path != "" && err == nil {
				f.Sysctls[path] = value
			}
		}
	}
}

// readPaths asks the kernel how it would send to each real server.
func (f *Facts) readPaths() {
	for _, vs := range f.Config.VirtualServers {
		addresses := []netip.Addr{vs.Sorry.Address.Addr()}
		for _, rs := range vs.RealServers {
			addresses = append(addresses, rs.Address.Addr())
		}
		for _, a := range addresses {
			if a.IsValid() {
				f.Paths[a] = f.path(a)
			}
		}
	}
}

func (f *Facts) path(a netip.Addr) Path {
	routes, err := netlink.RouteGet(net.IP(a.AsSlice()))
	if err != nil || len(routes) == 0 {
		return Path{}
	}
	r := routes[0]
	p := Path{Device: f.device(r.LinkIndex), Local: r.Type == unix.RTN_LOCAL, MTU: r.MTU}
	if p.MTU == 0 {
		p.MTU = f.Links[p.Device].MTU
	}
	if via, ok := netip.AddrFromSlice(r.Gw); ok {
		p.Via = via.Unmap()
	}
	return p
}

// readFiles reads the hard limit, to which a Go program raises its own: of the director that runs, or of this process.
func (f *Facts) readFiles(o Options) {
	pid := 0
	if o.Running {
		pid = peer(o.Socket)
	}
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		f.unknown("the limit of open files of process %d: %v", pid, err)
		return
	}
	f.Files = int64(min(limit.Max, math.MaxInt64))
}

// peer is the process that listens on a unix socket; 0: it is not known.
func peer(socket string) (pid int) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// listen hears adverts and asks for virtual addresses.
func (f *Facts) listen(ctx context.Context, d time.Duration) error {
	n, err := vrrp.OpenNetwork(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer n.Close()
	f.hear(ctx, n, d)
	asked := make(map[string][]netip.Addr)
	for _, vr := range usable(*f) {
		for device, list := range f.status(vr).Asked(time.Now()) {
			if l := f.Links[device]; l.Up && l.Carrier {
				asked[device] = append(asked[device], list...)
			}
		}
	}
	for _, device := range names(asked) {
		addresses := append(asked[device], f.own(device)...)
		slices.SortFunc(addresses, netip.Addr.Compare)
		list, err := n.WhoHas(ctx, device, slices.Compact(addresses))
		if err != nil {
			f.unknown("who has the virtual addresses: %v", err)
		}
		f.Answers = append(f.Answers, list...)
	}
	return ctx.Err()
}
