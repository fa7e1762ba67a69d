// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/holdfast-lb/holdfast/internal/sysctl"
)

// Kind says what a [Change] changes.
type Kind uint8

// The kinds, each with the one that undoes it; the others undo themselves.
const (
	_ Kind = iota
	SetSysctl
	AddLink
	DeleteLink
	SetUp
	SetDown
	AddAddress
	DeleteAddress
	AddPort
	DeletePort
	SetRoute
	DeleteRoute
)

var kinds = map[Kind]string{
	SetSysctl: "set sysctl", AddLink: "add link", DeleteLink: "delete link", SetUp: "set up", SetDown: "set down",
	AddAddress: "add address", DeleteAddress: "delete address", AddPort: "add port", DeletePort: "delete port",
	SetRoute: "set route", DeleteRoute: "delete route",
}

func (k Kind) String() string {
	if s, ok := kinds[k]; ok {
		return s
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MarshalText writes the words of String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Kind) UnmarshalText(b []byte) error {
	for kind, s := range kinds {
		if s == string(b) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("unknown kind of change %q", b)
}

// Change is one change of this host. It says what was there before, so that it can be undone, and prints itself as the
// command that makes it.
type Change struct {
	Kind   Kind         `json:"kind"`
	Device string       `json:"device,omitempty"` // that it is about
	Index  int          `json:"index,omitempty"`  // of that device; 0: there is none yet
	Path   string       `json:"path,omitempty"`   // of a sysctl, below /proc/sys
	Value  string       `json:"value,omitempty"`  // of a sysctl
	Was    string       `json:"was,omitempty"`    // its value before
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Link   NewLink      `json:"link,omitzero"`
	Port   Port         `json:"port,omitzero"`
	Route  Route        `json:"route,omitzero"`
	Old    Route        `json:"old,omitzero"` // the default route that Route took the place of; zero: there was none
}

// NewLink is a tunnel to be made.
type NewLink struct {
	Kind     string     `json:"kind"` // as ip-link(8) names it
	Local    netip.Addr `json:"local,omitzero"`
	Checksum bool       `json:"checksum,omitempty"`
}

// Port is a UDP port on which the kernel takes packets in generic UDP encapsulation.
type Port struct {
	Number uint16 `json:"number"`
	V6     bool   `json:"v6,omitempty"`
}

// Route is a default route of the main table.
type Route struct {
	Via      netip.Addr `json:"via,omitzero"` // invalid: the destinations are on the link
	Device   string     `json:"device,omitempty"`
	Source   netip.Addr `json:"source,omitzero"`
	Metric   int        `json:"metric,omitempty"`
	Protocol int        `json:"protocol,omitempty"` // 0: the kernel's default, boot
	Scope    uint8      `json:"scope,omitempty"`
	OnLink   bool       `json:"onlink,omitempty"`
	MTU      int        `json:"mtu,omitempty"`
	AdvMSS   int        `json:"advmss,omitempty"`
	V6       bool       `json:"v6,omitempty"`
	// Special: it has what is not listed here, several next hops for one. It cannot be put back, so it is not replaced.
	Special bool `json:"special,omitempty"`
}

// String is the route as ip-route(8) writes it.
func (r Route) String() string {
	var b strings.Builder
	b.WriteString("default")
	if r.Via.IsValid() {
		fmt.Fprintf(&b, " via %s", r.Via.WithZone(""))
	}
	if r.Device != "" {
		fmt.Fprintf(&b, " dev %s", r.Device)
	}
	if r.Source.IsValid() {
		fmt.Fprintf(&b, " src %s", r.Source)
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"metric", r.Metric}, {"mtu", r.MTU}, {"advmss", r.AdvMSS}} {
		if n.value != 0 {
			fmt.Fprintf(&b, " %s %d", n.name, n.value)
		}
	}
	if r.OnLink {
		b.WriteString(" onlink")
	}
	return b.String()
}

// same reports whether o can be r as the kernel shows it, which knows more of it than who asked for it.
func (r Route) same(o Route) bool {
	return r.Via.WithZone("") == o.Via.WithZone("") && r.Metric == o.Metric && r.V6 == o.V6 && !o.Special
}

func ip(v6 bool) string {
	if v6 {
		return "ip -6"
	}
	return "ip"
}

// String is the command that makes the change.
func (c Change) String() string {
	switch c.Kind {
	case SetSysctl:
		return fmt.Sprintf("sysctl -w %s=%s", sysctl.Setting{Path: c.Path}.Name(), c.Value)
	case AddLink:
		text := fmt.Sprintf("ip link add %s type %s", c.Device, c.Link.Kind)
		if c.Link.Kind == "ip6tnl" {
			text += " mode any"
		}
		if c.Link.Local.IsValid() {
			text += " local " + c.Link.Local.String()
		}
		if c.Link.Checksum {
			text += " icsum"
		}
		return text
	case DeleteLink:
		return "ip link delete " + c.Device
	case SetUp:
		return fmt.Sprintf("ip link set %s up", c.Device)
	case SetDown:
		return fmt.Sprintf("ip link set %s down", c.Device)
	case AddAddress:
		return fmt.Sprintf("ip address add %s dev %s", c.Prefix, c.Device)
	case DeleteAddress:
		return fmt.Sprintf("ip address del %s dev %s", c.Prefix, c.Device)
	case AddPort:
		return strings.TrimSuffix(fmt.Sprintf("ip fou add port %d gue %s", c.Port.Number, family(c.Port.V6)), " ")
	case DeletePort:
		return strings.TrimSuffix(fmt.Sprintf("ip fou del port %d %s", c.Port.Number, family(c.Port.V6)), " ")
	case SetRoute:
		return fmt.Sprintf("%s route replace %s", ip(c.Route.V6), c.Route)
	case DeleteRoute:
		return fmt.Sprintf("%s route del %s", ip(c.Route.V6), c.Route)
	}
	return c.Kind.String()
}

func family(v6 bool) string {
	if v6 {
		return "-6"
	}
	return ""
}

// identity is what a change is about: two with the same one cannot both be needed.
func (c Change) identity() Change {
	c.Index, c.Value, c.Was, c.Old = 0, "", "", Route{}
	return c
}

// undo returns the change that undoes c, if what c made is still there. If it is not, it says what is instead.
func (c Change) undo(have Facts) (back Change, left string) {
	back = c
	if link := have.Links[c.Device]; c.Index != 0 && link.Index != c.Index {
		return Change{}, fmt.Sprintf("%s is gone, or another one", c.Device)
	}
	switch c.Kind {
	case SetSysctl:
		is, there := have.Sysctls[c.Path]
		name := sysctl.Setting{Path: c.Path}.Name()
		switch {
		case !there:
			return Change{}, name + " is gone"
		case is != c.Value:
			return Change{}, fmt.Sprintf("%s is %s, which others have set", name, is)
		}
		back.Value, back.Was = c.Was, c.Value
	case AddLink:
		back.Kind = DeleteLink
		if is, there := have.Links[c.Device]; !there || is.Kind != c.Link.Kind || c.Link.Local.IsValid() && is.Local != c.Link.Local {
			return Change{}, fmt.Sprintf("%s is gone, or another one", c.Device)
		}
	case SetUp:
		back.Kind = SetDown
		if !have.Links[c.Device].Up {
			return Change{}, c.Device + " is down already"
		}
	case AddAddress:
		back.Kind = DeleteAddress
		if !have.has(c.Device, c.Prefix) {
			return Change{}, fmt.Sprintf("%s is not on %s any more", c.Prefix, c.Device)
		}
	case AddPort:
		back.Kind = DeletePort
		if !have.hears(c.Port) {
			return Change{}, fmt.Sprintf("nothing takes packets on UDP port %d any more", c.Port.Number)
		}
	case SetRoute:
		return c.undoRoute(have)
	default:
		return Change{}, fmt.Sprintf("%s cannot be undone", c.Kind)
	}
	return back, ""
}

func (c Change) undoRoute(have Facts) (back Change, left string) {
	for _, r := range have.Defaults {
		if !c.Route.same(r) {
			continue
		}
		if c.Old == (Route{}) {
			return Change{Kind: DeleteRoute, Route: c.Route}, ""
		}
		return Change{Kind: SetRoute, Route: c.Old, Old: c.Route}, ""
	}
	return Change{}, fmt.Sprintf("%s is not there any more", c.Route)
}
