// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
	"github.com/holdfast-lb/holdfast/ipvs"
)

var balancing = []Check{
	{
		ID: "module-missing", Role: Director, Severity: Broken,
		Looks: "the modules ip_vs, of the schedulers and engines, and macvlan for virtual MAC addresses",
		Why:   "without them the kernel does not take the services",
		Mend:  "the package with the kernel's modules; in a container, `modprobe` on its host",
		find:  findModules,
	},
	{
		ID: "sysctl", Role: Director, Severity: Broken,
		Looks: "kernel parameters that the forwarding methods need, where the director does not set them or others have changed them",
		Why:   "each one has its reason, which the finding tells",
		Mend:  "`sysctl -w`, and the same in /etc/sysctl.d; or `manage_sysctls = true`",
		find:  findSysctls,
	},
	{
		ID: "server-unreachable", Role: Director, Severity: Broken,
		Looks: "there is no route to a real server",
		Why:   "what is forwarded to it is dropped, and checks of it fail",
		Mend:  "a route to it",
		find: func(f Facts) []problem {
			return eachServer(f, func(s server) (problem, bool) {
				return problem{fact: "no route leads to " + s.String(), mend: fmt.Sprintf("ip route add %s via GATEWAY", s.address)}, s.path.Device == ""
			})
		},
	},
	{
		ID: "dr-behind-router", Role: Director, Severity: Broken,
		Looks: "a real server with `forward = \"dr\"` is behind a router",
		Why:   "dr changes the Ethernet address alone: the router sends the packet, which is for the virtual address, back here",
		Mend:  "a link in its network, or `forward = \"tunnel\"`",
		find: func(f Facts) []problem {
			return eachServer(f, func(s server) (problem, bool) {
				return problem{
					fact: fmt.Sprintf("%s, with dr, is behind the router %s", s, s.path.Via),
					mend: `forward = "tunnel", or a link of this host in its network`,
				}, s.forward == ipvs.DR && s.path.Via.IsValid()
			})
		},
	},
	{
		ID: "tunnel-mtu", Role: Director, Severity: Warning,
		Looks: "the way to a real server with `forward = \"tunnel\"` carries less than the clients' link",
		Why:   "full packets of clients do not fit there, wrapped, and where they do not learn of it their connections hang",
		Mend:  "a larger MTU on that way",
		find:  findTunnelMTU,
	},
	{
		ID: "files", Role: Director, Severity: Broken,
		Looks: "the limit of open files is too low for so many checks",
		Why:   "a check that cannot open a socket has no verdict",
		Mend:  "`LimitNOFILE=` in the unit, by `systemctl edit holdfast`",
		find: func(f Facts) []problem {
			n := checks(f.Config)
			need := int64(n + otherFiles)
			if f.Files == 0 || f.Files >= need {
				return nil
			}
			return []problem{{
				fact: fmt.Sprintf("a director here may have %d files open, and checks alone may take %d", f.Files, n),
				mend: fmt.Sprintf("systemctl edit holdfast: [Service] LimitNOFILE=%d", max(65536, 2*need)),
			}}
		},
	},
}

// otherFiles is how many a director has open beside those of checks, with room.
const otherFiles = 128

func checks(cfg *configs.Config) (n int) {
	for _, s := range cfg.VirtualServers {
		for _, rs := range s.RealServers {
			n += len(rs.Checks)
		}
	}
	return n
}

// neededModules lists modules and what for.
func neededModules(cfg *configs.Config) (names []string, uses map[string]string) {
	uses = make(map[string]string)
	add := func(module, use string) {
		if uses[module] == "" {
			names, uses[module] = append(names, module), use
		}
	}
	for _, s := range cfg.VirtualServers {
		add("ip_vs", "all services")
		add("ip_vs_"+s.Scheduler, fmt.Sprintf("scheduler %s of virtual_server %q", s.Scheduler, s.Name))
		if s.Persistence.Engine != "" {
			add("ip_vs_pe_"+s.Persistence.Engine, fmt.Sprintf("engine %s of virtual_server %q", s.Persistence.Engine, s.Name))
		}
	}
	for _, vr := range cfg.VirtualRouters {
		if vr.VMAC {
			add("macvlan", fmt.Sprintf("use_vmac of virtual_router %q", vr.Name))
		}
	}
	return names, uses
}

func findModules(f Facts) (list []problem) {
	names, uses := neededModules(f.Config)
	for _, name := range names {
		switch f.Modules[name] {
		case Missing:
			list = append(list, problem{
				fact: fmt.Sprintf("the kernel has no module %s, for %s", name, uses[name]),
				mend: "modprobe " + name + " (in a container: on its host), once the kernel's modules are installed",
			})
		case Forbidden:
			list = append(list, problem{
				fact: fmt.Sprintf("modprobe is told not to load %s, for %s", name, uses[name]),
				mend: fmt.Sprintf("remove the line: grep -r 'install %s' /etc/modprobe.d", name),
			})
		}
	}
	return list
}

// findSysctls leaves alone what a director sets when it starts.
func findSysctls(f Facts) (list []problem) {
	if f.Config.Director.ManageSysctls && !f.Running {
		return nil
	}
	for _, s := range sysctl.Needed(f.Config) {
		is, there := f.Sysctls[s.Path]
		if !there || s.Met(is, f.Sysctls[s.Larger]) {
			continue // a module or a link that is not there is another finding
		}
		fact := fmt.Sprintf("%s is %q, not %q", s.Name(), is, s.Value)
		if larger := f.Sysctls[s.Larger]; s.Larger != "" && larger > is {
			fact += fmt.Sprintf(", and %s, which counts, is %q", sysctl.Setting{Path: s.Larger}.Name(), larger)
		}
		value := s.Value
		if strings.Contains(value, " ") {
			value = `"` + value + `"`
		}
		list = append(list, problem{fact: fact, why: s.Reason, mend: fmt.Sprintf("sysctl -w %s=%s", s.Name(), value)})
	}
	return list
}

// server is a real server or sorry server, and the way to it.
type server struct {
	of, name string // of which virtual server, and its own
	address  netip.Addr
	forward  ipvs.Forward
	service  ipvs.Key
	path     Path
}

func (s server) String() string {
	return fmt.Sprintf("%s (%s) of virtual_server %q", s.name, s.address, s.of)
}

// servers lists those that are not this host.
func servers(f Facts) (list []server) {
	for _, vs := range f.Config.VirtualServers {
		all := slices.Clone(vs.RealServers)
		if vs.Sorry.Address.IsValid() {
			all = append(all, configs.RealServer{Name: "sorry_server", Address: vs.Sorry.Address, Forward: vs.Sorry.Forward})
		}
		for _, rs := range all {
			path, known := f.Paths[rs.Address.Addr()]
			if known && !path.Local {
				list = append(list, server{vs.Name, rs.Name, rs.Address.Addr(), rs.Forward, vs.Key, path})
			}
		}
	}
	return list
}

func eachServer(f Facts, ask func(server) (problem, bool)) (list []problem) {
	for _, s := range servers(f) {
		if p, found := ask(s); found {
			list = append(list, p)
		}
	}
	return list
}

func findTunnelMTU(f Facts) []problem {
	return eachServer(f, func(s server) (problem, bool) {
		client := ""
		for _, vr := range f.Config.VirtualRouters {
			for _, a := range vr.All() {
				if a.Prefix.Addr() == s.service.Address {
					client = a.Device
				}
			}
		}
		from, there := f.Links[client]
		return problem{
			fact: fmt.Sprintf("the way to %s by %s carries %d bytes, %s carries %d", s, s.path.Device, s.path.MTU, client, from.MTU),
			mend: fmt.Sprintf("ip link set %s mtu %d, where its network carries that", s.path.Device, from.MTU),
		}, s.forward == ipvs.Tunnel && there && s.path.Device != "" && s.path.MTU < from.MTU
	})
}
