// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/realserver"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// Facts are what is known of this host and what it hears.
type Facts struct {
	Config  *configs.Config  // of the directors, of which this host is one; nil: it is none
	Uses    []realserver.Use // what it is a real server for; empty: it is none
	Running bool             // a director runs here
	Masters []string         // the virtual routers that it is master of

	Links     map[string]Link // by name
	Addresses []Address
	Sysctls   map[string]string   // by the path below /proc/sys; those that are not there are left out
	Modules   map[string]Module   // those that are needed, by name
	Paths     map[netip.Addr]Path // to the real servers
	Files     int64               // that a director may have open; 0: not known

	Listened time.Duration     // for adverts
	Deaf     map[string]string // why nothing can be heard, by virtual router
	Heard    []Heard           // each sender once a virtual router
	Answers  []vrrp.Answer     // to who has the virtual addresses
	Firewall []Ruleset
	Managers []Manager

	RealServer []realserver.Finding
	Routes     []realserver.Route // the default ones

	Unknown []string // what could not be found out, and why
}

// Link is a network link.
type Link struct {
	Index   int
	Up      bool // set up
	Carrier bool
	MTU     int    // bytes
	Peer    string // at the other end, of a veth pair on this host; empty: none
	Bridge  string // that it is a port of; empty: none
	Flood   bool   // as a port of a bridge: it gets multicast that nobody has asked for
	Sorts   bool   // as a bridge: multicast goes where somebody has asked for it
	Querier bool   // as a bridge: it asks who wants which

	port   bool // of a bridge
	veth   bool // one of two ends
	abroad bool // the other one is in another network namespace
}

// Address is an address of this host.
type Address struct {
	Device  string
	Prefix  netip.Prefix
	Forever bool // it has no lifetime
}

// Module says how the kernel has a module.
type Module uint8

// The ways to have it, or not.
const (
	ModuleUnknown Module = iota // this host does not show what modules there are
	Loaded                      // or built in
	Loadable                    // on demand
	Forbidden                   // modprobe is told not to
	Missing
)

// Path is how packets go to an address.
type Path struct {
	Device string     // empty: there is no way
	Via    netip.Addr // invalid: the address is on the link
	Local  bool       // the address is this host's own
	MTU    int        // bytes
}

// Heard is what was last heard from one sender with the number of a virtual router.
type Heard struct {
	Router  string // its name
	From    netip.Addr
	Advert  vrrp.Advert  // zero where it could not be read
	Refused vrrp.Refusal // empty: it is taken
	Hint    string       // about the refusal
	Count   int          // of adverts
}

// Manager is a program that configures a link, and takes addresses off that it does not know.
type Manager struct {
	Name      string // networkd or NetworkManager
	Device    string
	File      string // that says so for the link; empty: none is known
	Routes    bool   // it takes off routes that it does not know
	Addresses bool   // likewise addresses
}
