// SPDX-License-Identifier: Apache-2.0

// Package configs reads the configuration language of holdfast: HCL files in, one immutable [Config] out, or every
// diagnostic at once.
package configs

import (
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
	Path            string // as given: a file or a folder
	Hash            string // "sha256:…" over the files' contents in order
	Director        Director
	Log             Log
	HTTP            HTTP
	VirtualRouters  []vrrp.Config   // in the order of the files
	Trackers        []track.Tracker // of all virtual routers, in the order of the files
	TrackedServices []TrackedService
	SyncGroups      []SyncGroup
	Notify          []notify.Config
	VirtualServers  []VirtualServer // in the order of the files
}

// DefaultControlSocket is where the director is asked unless the configuration says otherwise.
const DefaultControlSocket = "/run/holdfast/control.sock"

// Director is the block of the same name.
type Director struct {
	Name          string
	ControlSocket string
	StateDir      string
	Realtime      bool
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
}

// VirtualServer is one balanced service.
type VirtualServer struct {
	Name        string
	Key         ipvs.Key
	Scheduler   string
	Flags       ipvs.Flags
	Forward     ipvs.Forward
	StartUp     bool // start = "up": traffic before the first check
	Inhibit     bool // on_failure = "inhibit": weight 0 instead of removal
	RealServers []RealServer
	// PanicThreshold: while less than this percentage of the real servers is up, all get traffic; 0: off.
	PanicThreshold int
	SlowStart      time.Duration // the weight of a server that comes back is raised over this long
	Quorum         Quorum
	Sorry          SorryServer
	// VirtualRouter is the name of the virtual router that carries the address; empty: none does.
	VirtualRouter string
}

// Quorum says when a service is up: while the weights of its servers that are up add up to Weight; once lost, when they add
// up to Weight + Hysteresis, and once up, until they fall below Weight - Hysteresis.
type Quorum struct {
	Weight, Hysteresis uint32
}

// SorryServer gets the traffic while the quorum is lost; its zero value: there is none.
type SorryServer struct {
	Address netip.AddrPort
	Forward ipvs.Forward
}

// RealServer is one server behind a virtual server.
type RealServer struct {
	Name    string
	Address netip.AddrPort
	Weight  uint32
	Checks  []checker.Check // all must pass; empty: always up
}
