// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Settle is how long the network may take until every election has found its end: the longest master-down interval and
// what the configurations add to it.
func (n *Network) Settle() time.Duration {
	longest, grouped := time.Duration(0), false
	for _, d := range n.Directors {
		for _, r := range d.Routers {
			c := r.Config
			down := 4*c.Interval + time.Second/4
			if c.Version == 2 {
				down = 3*c.Interval + time.Second + time.Second/4
			}
			longest = max(longest, down+c.StartupDelay+c.PreemptDelay)
			grouped = grouped || r.Group != ""
		}
	}
	if grouped {
		longest *= 2 // one member after the other
	}
	return longest + 2*n.MaxDelay
}

// pause is the time between two events of the default script: a crashed director has lost its addresses by then.
func (n *Network) pause() time.Duration {
	longest := n.Settle()
	for _, d := range n.Directors {
		for _, r := range d.Routers {
			longest = max(longest, r.Config.Lease+time.Second)
		}
	}
	return (longest + time.Second - 1).Truncate(time.Second)
}

// DefaultScript is the script that every pair should pass: each preferred master stops as planned, returns, crashes and
// returns; everything that is tracked, and every interface, fails on the master and recovers; every segment is cut and
// healed. It ends with a pause.
func (n *Network) DefaultScript() (script string, length time.Duration) {
	var b strings.Builder
	pause := n.pause()
	add := func(lines ...string) {
		for _, l := range lines {
			fmt.Fprintf(&b, "%v %s\n", length, l)
			length += pause
		}
	}
	add("all boot")
	elections := n.Elections()
	for _, e := range n.leaders(elections) {
		master := masterOf + e[0].Config.Name
		add(master+" stop", "all boot", master+" crash", "all boot")
	}
	done := make(map[string]bool)
	both := func(key, fail, mend string) {
		if !done[key] {
			done[key] = true
			add(fail, mend)
		}
	}
	for _, e := range elections {
		for _, r := range e {
			master := masterOf + e[0].Config.Name
			for _, t := range r.Tracked {
				both(master+t.String(), fmt.Sprintf("%s track %s failed", master, t), fmt.Sprintf("all track %s ok", t))
			}
			for _, device := range r.devices() {
				both(master+device, fmt.Sprintf("%s link %s down", master, device), fmt.Sprintf("all link %s up", device))
			}
		}
	}
	for _, e := range elections {
		if len(e) > 1 {
			of := e[0].Config.Interface
			both("cut "+of, fmt.Sprintf("network partition %s on %s", apart(e), of), "network heal "+of)
		}
	}
	return b.String(), length
}

// leaders returns one election for each director that is the preferred master of some.
func (n *Network) leaders(elections [][]*Router) [][]*Router {
	var list [][]*Router
	var seen []*Director
	for _, e := range elections {
		if p := preferred(e); !slices.Contains(seen, p.director) {
			seen = append(seen, p.director)
			list = append(list, e)
		}
	}
	return list
}

// preferred is who should be master.
func preferred(e []*Router) *Router {
	return slices.MaxFunc(e, func(a, b *Router) int {
		if a.Config.Priority != b.Config.Priority {
			return int(a.Config.Priority) - int(b.Config.Priority)
		}
		return a.Source.Compare(b.Source)
	})
}

// apart names the preferred master on one side and the others on the other.
func apart(e []*Router) string {
	p := preferred(e)
	var others []string
	for _, r := range e {
		if r != p {
			others = append(others, r.director.Name)
		}
	}
	return p.director.Name + " | " + strings.Join(others, ",")
}
