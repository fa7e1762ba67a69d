// SPDX-License-Identifier: Apache-2.0

// Package sysctl knows which kernel parameters a director needs and why, sets them, and puts them back.
package sysctl

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// SyncRefresh is how often the master half of connection sync repeats a connection that has traffic, with the parameters
// that Needed asks for: after so long a backup half knows all of them (ip_vs_sync_conn_needed in ip_vs_sync.c).
const SyncRefresh = 10 * time.Second

// Setting is a kernel parameter that a director needs.
type Setting struct {
	Path   string // below /proc/sys
	Value  string // fields are separated by one space
	Serves string // another value that does as well; empty: none
	// Larger is a path whose value counts instead where it is the larger one, as of net.ipv4.conf.all; empty: none.
	Larger string
	Reason string
}

// Name is the parameter as sysctl(8) writes it: with dots, or with slashes if the name of a link has a dot.
func (s Setting) Name() string { return name(s.Path) }

// Met reports whether the parameter does with the value that it has, and the one of Larger, which is empty if there is none.
func (s Setting) Met(is, larger string) bool {
	if s.Larger != "" && number(larger) > number(is) {
		is = larger
	}
	return is == s.Value || s.Serves != "" && is == s.Serves
}

func name(path string) string {
	if strings.Contains(path, ".") {
		return path
	}
	return strings.ReplaceAll(path, "/", ".")
}

const (
	forward6 = "net/ipv6/conf/all/forwarding"
	conf4    = "net/ipv4/conf/"
	vs       = "net/ipv4/vs/"
)

// Needed returns what the configuration needs of the kernel, in the order of the paths: nothing if it balances nothing.
func Needed(cfg *configs.Config) []Setting {
	if len(cfg.VirtualServers) == 0 {
		return nil
	}
	list := slices.Concat(forwarding(cfg), neighbours(cfg), table(cfg))
	if cfg.ConnectionSync != (configs.ConnectionSync{}) {
		list = append(list, sync()...)
	}
	slices.SortFunc(list, func(a, b Setting) int { return cmp.Compare(a.Path, b.Path) })
	return list
}

// use is a forwarding method in one family.
type use struct {
	forward ipvs.Forward
	v6      bool
}

// uses are the forwarding methods that services use. The family is that of the packets that are forwarded: of the service.
func uses(cfg *configs.Config) map[use]bool {
	all := make(map[use]bool)
	for _, s := range cfg.VirtualServers {
		v6 := s.Key.Address.Is6()
		for _, rs := range s.RealServers {
			all[use{rs.Forward, v6}] = true
		}
		if s.Sorry.Address.IsValid() {
			all[use{s.Sorry.Forward, v6}] = true
		}
	}
	return all
}

// forwarding is what the forwarding methods need.
func forwarding(cfg *configs.Config) (list []Setting) {
	used := uses(cfg)
	links := linksOf(cfg)
	if used[use{ipvs.NAT, false}] {
		list = append(list, Setting{Path: "net/ipv4/ip_forward", Value: "1",
			Reason: "nat: the answers of the real servers pass through this host"})
		for _, link := range append([]string{"all"}, links...) {
			list = append(list, Setting{Path: conf4 + link + "/send_redirects", Value: "0",
				Reason: "nat: a real server must not be told of a shorter way, its answers have to come back here"})
		}
	}
	if used[use{ipvs.NAT, true}] {
		list = append(list, Setting{Path: forward6, Value: "1", Serves: "2",
			Reason: "nat: the answers of the real servers pass through this host"})
	}
	for _, f := range []ipvs.Forward{ipvs.DR, ipvs.Tunnel} {
		if !used[use{f, false}] {
			continue
		}
		for _, link := range links {
			list = append(list, Setting{Path: conf4 + link + "/rp_filter", Value: "2", Serves: "0", Larger: conf4 + "all/rp_filter",
				Reason: f.String() + ": the answers do not pass here, so the strict check of the way back would drop requests"})
		}
		break
	}
	return list
}

// neighbours is what keeps the virtual IPv4 addresses out of the ARP tables of others, but through an election. Links with
// a virtual MAC address are left to package vrrp.
func neighbours(cfg *configs.Config) (list []Setting) {
	for _, link := range linksOf(cfg) {
		list = append(list, Setting{Path: conf4 + link + "/arp_announce", Value: "2", Larger: conf4 + "all/arp_announce",
			Reason: "an ARP request in the name of a virtual address would draw its traffic here, also after a hand-over"})
	}
	for link := range answering(cfg) {
		list = append(list, Setting{Path: conf4 + link + "/arp_ignore", Value: "1", Serves: "2", Larger: conf4 + "all/arp_ignore",
			Reason: "only the link that has a virtual address is to answer for it"})
	}
	return list
}

// linksOf are the links that carry virtual IPv4 addresses, in order.
func linksOf(cfg *configs.Config) []string {
	links := make(map[string]bool)
	for _, vr := range cfg.VirtualRouters {
		for _, a := range vr.All() {
			if a.Prefix.Addr().Is4() && a.Device != "lo" && !virtual(vr, a) {
				links[a.Device] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(links))
}

// answering are the links where each virtual router has all of its IPv4 addresses on the link that it is elected on: only
// there is it certain that no link has to answer for the address of another one.
func answering(cfg *configs.Config) map[string]bool {
	links := make(map[string]bool)
	for _, link := range linksOf(cfg) {
		links[link] = true
	}
	elsewhere := func(vr vrrp.Config) bool {
		return slices.ContainsFunc(vr.All(), func(a vrrp.Address) bool {
			return a.Prefix.Addr().Is4() && (a.Device != vr.Interface || virtual(vr, a))
		})
	}
	elected := make(map[string]bool)
	for _, vr := range cfg.VirtualRouters {
		elected[vr.Interface] = true
		if elsewhere(vr) {
			delete(links, vr.Interface)
		}
	}
	maps.DeleteFunc(links, func(link string, _ bool) bool { return !elected[link] })
	return links
}

func virtual(vr vrrp.Config, a vrrp.Address) bool {
	return vr.VMAC && a.Device == vrrp.VMACDevice(vr.Interface, vr.ID, vr.Family6())
}

// table is what the IPVS table needs to do what it says.
func table(cfg *configs.Config) []Setting {
	list := []Setting{
		{Path: vs + "conn_reuse_mode", Value: "1",
			Reason: "a client's port that is used again reaches a server that is up, not the one of its last connection"},
		{Path: vs + "expire_nodest_conn", Value: "1",
			Reason: "connections to a real server that has left the table end at once, and do not hang until their time-out"},
	}
	var templates, sloppyTCP, sloppySCTP bool
	for _, s := range cfg.VirtualServers {
		persistent := s.Persistence != (ipvs.Persistence{})
		templates = templates || persistent
		// On either director these choose the same server for a connection whose first packet was not seen here.
		alike := s.Scheduler == "mh" || s.Scheduler == "sh" || persistent && cfg.ConnectionSync != (configs.ConnectionSync{})
		marked := s.Key.Mark != 0 // and of any protocol
		sloppyTCP = sloppyTCP || alike && (marked || s.Key.Protocol == ipvs.TCP)
		sloppySCTP = sloppySCTP || alike && (marked || s.Key.Protocol == ipvs.SCTP)
	}
	if templates {
		list = append(list, Setting{Path: vs + "expire_quiescent_template", Value: "1",
			Reason: "persistence: clients leave a real server that fails or drains"})
	}
	const takeUp = "mh, sh or synced persistence: a new master takes up connections that began on the other one"
	if sloppyTCP {
		list = append(list, Setting{Path: vs + "sloppy_tcp", Value: "1", Reason: takeUp})
	}
	if sloppySCTP {
		list = append(list, Setting{Path: vs + "sloppy_sctp", Value: "1", Reason: takeUp})
	}
	return list
}

// sync is what connection sync needs.
func sync() []Setting {
	refresh := fmt.Sprint(int(SyncRefresh / time.Second))
	return []Setting{
		{Path: vs + "backup_only", Value: "0",
			Reason: "connection_sync: the backup half runs on for some seconds after a take-over, which must not stop the balancing"},
		{Path: vs + "sync_version", Value: "1",
			Reason: "connection_sync: version 0 knows no IPv6, no marks and no time-outs"},
		{Path: vs + "sync_threshold", Value: "0 0",
			Reason: "connection_sync: a connection is told of when it is established, not after some packets"},
		{Path: vs + "sync_refresh_period", Value: refresh,
			Reason: "connection_sync: connections are repeated each " + refresh + " s while they have traffic, so that a director that returns learns of them"},
		{Path: vs + "sync_sock_size", Value: "4194304",
			Reason: "connection_sync: a burst of connections is not lost on its way (the kernel's net.core limits bound it)"},
	}
}

// link is the link that a path is about; empty: none.
func link(path string) string {
	rest, ok := strings.CutPrefix(path, conf4)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	if name == "all" || name == "default" {
		return ""
	}
	return name
}
