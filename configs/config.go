// SPDX-License-Identifier: Apache-2.0

// Package configs reads the configuration language of holdfast: HCL files in, one immutable [Config] out, or every
// diagnostic at once.
package configs

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/internal/notify"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/holdfast-lb/holdfast/vrrp/track"
)

// Config is a whole, valid configuration with every default filled in.
type Config struct {
	Path            string     // as given: a file or a folder
	Hash            string     // "sha256:…" over the contents of all files in the order in which they were read
	Variables       []Variable // as given beside the files
	Director        Director
	Log             Log
	HTTP            HTTP
	VirtualRouters  []vrrp.Config   // in the order of the files
	Trackers        []track.Tracker // of all virtual routers, in the order of the files
	TrackedServices []TrackedService
	SyncGroups      []SyncGroup
	Notify          []notify.Config
	VirtualServers  []VirtualServer // in the order of the files
	ConnectionSync  ConnectionSync
	Timeouts        ipvs.Timeouts

	Untrusted error // by LoadAsRoot: who besides root may change the files; nil: nobody, or this process is not root's
}

// DefaultControlSocket is where the director is asked unless the configuration says otherwise.
const DefaultControlSocket = "/run/holdfast/control.sock"

// DefaultStateDir is where the director remembers its state unless the configuration says otherwise.
const DefaultStateDir = "/var/lib/holdfast"

// Director is the block of the same name.
type Director struct {
	Name          string
	ControlSocket string
	StateDir      string
	Realtime      bool
	ManageSysctls bool
	OnExit        OnExit
	ControlGroup  string // whose members may change something, besides root; empty: nobody
	ReportDrift   bool   // drift = "report": what others change in our part of the table stays
}

// OnExit says what a director that stops leaves behind.
type OnExit uint8

// The ways to leave.
const (
	_        OnExit = iota
	Withdraw        // hand over the addresses, leave the table as it is
	Clear           // and delete our services
	Keep            // leave both; the addresses end with their lease
)

func (o OnExit) String() string {
	switch o {
	case Withdraw:
		return "withdraw"
	case Clear:
		return "clear"
	case Keep:
		return "keep"
	}
	return fmt.Sprintf("on exit(%d)", uint8(o))
}

// ConnectionSync is the block of the same name; its zero value: there is none, and daemons that run are somebody else's.
type ConnectionSync struct {
	VirtualRouter string          // whose role it follows
	Daemon        ipvs.SyncDaemon // without a role
}

// TrackedService is a virtual server whose quorum counts in the election of a virtual router.
type TrackedService struct {
	Router, Service string
	Weight          int
}

// SyncGroup is the block of the same name.
type SyncGroup struct {
	Name    string
	Members []string // names of virtual routers
}

// Log is the block of the same name.
type Log struct {
	Level  slog.Level
	Format string // auto, text, json
}

// HTTP is the block of the same name.
type HTTP struct {
	Listen string // host:port; empty: off
	TLS    ListenTLS
	Users  []User // who may read; empty: everybody
}

// ListenTLS is the tls block of the http block; its zero value: there is none, and no TLS.
type ListenTLS struct {
	Certificate, Key string // paths of files in PEM
	ClientCA         string // of those that sign the clients' certificates; empty: clients need none
}

// User is one entry of basic_auth.
type User struct {
	Name string
	Hash string // of the password, by bcrypt
}

// VirtualServer is one balanced service.
type VirtualServer struct {
	Name string
	Key  ipvs.Key
	ipvs.Settings
	Forward ipvs.Forward // of a real server that says nothing else
	// Active is the name of the virtual router that has to be master for the service to be in the table; empty: always.
	Active string
	// DrainTimeout bounds how long a server that is taken out keeps its connections; 0: they are cut at once.
	DrainTimeout time.Duration
	StartUp      bool // start = "up": traffic before the first check
	Inhibit      bool // on_failure = "inhibit": weight 0 instead of removal
	RealServers  []RealServer
	// PanicThreshold: while less than this percentage of the real servers is up, all get traffic; 0: off.
	PanicThreshold int
	SlowStart      time.Duration // the weight of a server that comes back is raised over this long
	Quorum         Quorum
	Sorry          SorryServer
	// VirtualRouter is the name of the virtual router that carries the address; empty: none does, or the service is by mark.
	VirtualRouter string
}

// Quorum says when a service is up: while the weights of its servers that are up add up to Weight; once lost, when they add
// up to Weight + Hysteresis, and once up, until they fall below Weight - Hysteresis.
type Quorum struct {
	Weight, Hysteresis uint32
}

// SorryServer gets the traffic while the quorum is lost; its zero value: there is none.
type SorryServer struct {
	Address       netip.AddrPort
	Forward       ipvs.Forward
	Encapsulation ipvs.Encapsulation // with ipvs.Tunnel
}

// RealServer is one server behind a virtual server.
type RealServer struct {
	Name                           string
	Address                        netip.AddrPort // port 0: the one that the client asked for
	Weight                         uint32
	Forward                        ipvs.Forward
	Encapsulation                  ipvs.Encapsulation // with ipvs.Tunnel
	UpperThreshold, LowerThreshold uint32             // connections; 0: none
	Maintenance                    bool               // drained, whatever the checks say
	Checks                         []checker.Check    // all must pass; empty: always up
}
