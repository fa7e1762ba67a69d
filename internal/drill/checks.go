// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// staleTable is when a table that nobody has compared with the kernel's is no longer known to be true. It is compared each
// 5 s, and the largest takes some 70 s.
const staleTable = 5 * time.Minute

// age is how long ago something was; the clock of the director may not be ours.
func age(now, then time.Time) string {
	d := max(0, now.Sub(then)).Round(time.Second)
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return d.String()
}

func readyCheck(s director.Status) Check {
	const name = "ready"
	if !s.Ready {
		return failed(name, "%s has not done its first round of checks: wait for it", s.Name)
	}
	return passed(name, "%s has checked every real server", s.Name)
}

func reloadCheck(s director.Status) Check {
	const name = "configuration"
	if s.Config.Error != "" {
		return failed(name, "the last reload was refused, and what runs is not what the file says: %s", s.Config.Error)
	}
	return passed(name, "the one in the file")
}

// peerCheck tells of the other directors. A backup is silent in VRRP, so that the last word of one may be old; that none
// was ever heard is no fault as long as the role has never moved. Who takes over shows when the role is given up.
func peerCheck(vr director.VirtualRouterStatus, now time.Time) Check {
	name := "peer of " + vr.Name
	if len(vr.Peers) == 0 {
		return warning(name, "no other director was heard since the start, which is so where the role has never moved")
	}
	var list []string
	for _, p := range vr.Peers {
		if !p.SameAddresses {
			return failed(name, "%s carries other addresses: make both configurations alike", p.Address)
		}
		list = append(list, fmt.Sprintf("%s, priority %d, last heard %s ago", p.Address, p.Priority, age(now, p.LastSeen)))
	}
	return passed(name, "%s", strings.Join(list, "; "))
}

func addressCheck(vr director.VirtualRouterStatus) Check {
	name := "addresses of " + vr.Name
	all := slices.Concat(vr.Addresses, vr.ExcludedAddresses)
	missing := slices.DeleteFunc(slices.Clone(all), func(a string) bool { return slices.Contains(vr.HeldAddresses, a) })
	switch {
	case vr.Error != "":
		return failed(name, "%s", vr.Error)
	case len(vr.Contested) > 0:
		return failed(name, "someone else answers for %s: %s", vr.Contested[0].Address, vr.Contested[0].Reason)
	case len(missing) > 0:
		return failed(name, "not on this host: %s", strings.Join(missing, ", "))
	}
	return passed(name, "%d held, and by no other", len(all))
}

func tableCheck(s director.Status, now time.Time) Check {
	const name = "table"
	since := now.Sub(s.IPVS.LastReconcile)
	switch {
	case len(s.VirtualServers) == 0:
		return skipped(name, "no service is configured")
	case s.IPVS.Error != "":
		return failed(name, "%s", s.IPVS.Error)
	case s.IPVS.DriftLeft != "":
		return failed(name, "changed by others and left so, which takes to mend: %s", s.IPVS.DriftLeft)
	case s.IPVS.LastReconcile.IsZero():
		return failed(name, "the kernel's has not been compared with the wanted one yet")
	case since > staleTable:
		return failed(name, "the kernel's has not been compared with the wanted one for %s", age(now, s.IPVS.LastReconcile))
	}
	return passed(name, "the kernel's is the wanted one, compared %s ago", age(now, s.IPVS.LastReconcile))
}

// serverChecks are about the services on the addresses of the routers, and those of firewall marks, which may be.
func serverChecks(s director.Status, routers []director.VirtualRouterStatus) []Check {
	var checks []Check
	for _, vs := range s.VirtualServers {
		if vs.Fwmark == 0 && !carries(routers, vs.Address.Addr()) {
			continue
		}
		name, up, reason := "servers of "+vs.Name, 0, ""
		for _, rs := range vs.RealServers {
			if rs.State == "up" {
				up++
			} else if reason == "" {
				reason = fmt.Sprintf("%s is %s", rs.Name, rs.State)
			}
		}
		count := fmt.Sprintf("%d of %d up", up, len(vs.RealServers))
		switch {
		case vs.Panic, vs.Sorry, vs.State != "up":
			checks = append(checks, failed(name, "%s: %s", count, vs.Reason))
		case up < len(vs.RealServers):
			checks = append(checks, warning(name, "%s: %s", count, reason))
		default:
			checks = append(checks, passed(name, "%s", count))
		}
	}
	return checks
}

func syncCheck(c director.ConnectionSyncStatus) Check {
	const name = "connection sync"
	switch {
	case c.Error != "":
		return failed(name, "%s", c.Error)
	case !slices.Contains(c.Running, "master"):
		return failed(name, "the master's half does not run: the other director knows no connections")
	}
	return passed(name, "tells the other directors on %s", c.Interface)
}
