// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"net/netip"
	"time"
	"unique"
)

// Kind is what a check speaks.
type Kind uint8

// The kinds of check.
const (
	_    Kind = iota
	TCP       // a connection is accepted, and answers as expected
	HTTP      // a request is answered with a wanted status and body
	DNS       // a query is answered
	GRPC      // grpc.health.v1 says that it serves
	SMTP      // it greets, and answers EHLO
	UDP       // a datagram is answered, or at least not refused
	ICMP      // an echo request is answered
	Exec      // a program says so
)

func (k Kind) String() string {
	switch k {
	case TCP:
		return "tcp"
	case HTTP:
		return "http"
	case DNS:
		return "dns"
	case GRPC:
		return "grpc"
	case SMTP:
		return "smtp"
	case UDP:
		return "udp"
	case ICMP:
		return "icmp"
	case Exec:
		return "exec"
	}
	return "invalid"
}

// Key names a check: the service and the real server that it belongs to, and its own name in it.
type Key struct {
	Service, Server, Check string
}

// Config is everything that decides what one check does and when. It compares: an equal Config keeps its running state
// over a reload.
type Config struct {
	Kind     Kind
	Target   netip.AddrPort // of a Check: zero, for it has that itself
	Interval time.Duration
	Timeout  time.Duration // for the whole check, from dial to verdict
	Retry    time.Duration // the interval while a change of verdict is pending
	Rise     int           // passes in a row to come up
	Fall     int           // failures in a row to go down

	Source  netip.Addr     // local address; zero: the kernel's choice, but never a virtual address
	Path    bool           // by the way of a client's packet to Service, not to Target itself
	Service netip.AddrPort // the virtual service's own address; with Path
	Tunnel  Tunnel         // by which the packet goes, with Path; its zero value: direct routing. Target and Service are of one family
	TLS     TLS            // its zero value: none

	Send   string // TCP, UDP: what is sent, as it is
	Expect string // TCP, HTTP, DNS, UDP: regular expression (RE2) on the answer; empty: any

	HTTP HTTPConfig
	DNS  DNSConfig

	GRPCService string // empty: the server as a whole
	HELO        string // SMTP
	StartTLS    bool   // SMTP: and TLS says how

	Command       string // Exec: program and arguments, joined by NUL
	DynamicWeight bool   // Exec: an exit status from 2 on is a pass, with weight status-2
	User          string // Exec: whom it runs as
}

// TLS is how a connection is secured. Files are read again when they have changed.
type TLS struct {
	On          bool
	SkipVerify  bool
	CA          string // file; empty: the system's
	ServerName  string // empty: the host, or none for an address
	Certificate string // file, with Key: our own
	Key         string
	MinVersion  uint16 // of crypto/tls
}

// HTTPConfig is what an HTTP check asks and wants.
type HTTPConfig struct {
	Method    string
	Path      string // with a leading slash, may carry a query
	Host      string // Host header; empty: the target's address
	Headers   string // lines "Name: value", each ended by CR LF
	Body      string
	HTTP2     bool
	Status    StatusSet
	Digest    string // of the body, "sha256:…" or "md5:…"; empty: any
	MaxBody   int    // bytes read at most
	Redirects bool   // are followed, on the same server only
}

// DNSConfig is what a DNS check asks.
type DNSConfig struct {
	Name string // with a trailing dot
	Type uint16 // RFC 1035 section 3.2.2
	TCP  bool
}

// Verdict is what the checks say of a server, or one check of its target.
type Verdict uint8

// The verdicts. Unknown: not checked yet.
const (
	Unknown Verdict = iota
	Up
	Down
)

func (v Verdict) String() string {
	switch v {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return "unknown"
}

// Check is one configured check; NewCheck makes it. Start is the verdict that a new one begins with: Unknown takes the first
// result as the verdict, Up and Down need fall failures or rise passes to change.
type Check struct {
	Key    Key
	Target netip.AddrPort
	Config unique.Handle[Config] // without the target: thousands of checks differ in nothing else, and so have one
	Start  Verdict
	// Relapses of an earlier Set, with Start Down: it has to pass so much longer than Rise to come up, see Tally, until that
	// is forgotten, counted from Since.
	Relapses int
	Since    time.Time // when it went down, with Start Down; zero: now
}

// NewCheck returns the check that a Config with its target stands for. It compares as that does.
func NewCheck(k Key, c Config) Check {
	target := c.Target
	c.Target = netip.AddrPort{}
	return Check{Key: k, Target: target, Config: unique.Make(c)}
}

// StatusSet is a set of HTTP status codes from 100 to 599.
type StatusSet [10]uint64

// Add puts the codes from first to last into the set.
func (s *StatusSet) Add(first, last int) {
	for code := first; code <= last; code++ {
		s[code/64] |= 1 << (code % 64)
	}
}

// Contains reports whether code is in the set.
func (s StatusSet) Contains(code int) bool {
	return code >= 0 && code/64 < len(s) && s[code/64]&(1<<(code%64)) != 0
}

// Change is a new verdict of one check.
type Change struct {
	Key     Key
	Target  netip.AddrPort // that was checked
	Verdict Verdict
	Reason  string // short and stable: "connection refused", "status"; empty when up
	Detail  string // for a person: "503 Service Unavailable (3 in a row)"
	Weight  Weight // of the newest result, with Config.DynamicWeight; a change of it alone is a Change, too
	At      time.Time
	// Relapses, of Down: how often in a row it came so soon after Up that the check flaps.
	Relapses int
}

// Weight is a weight that a check has set; its zero value: none.
type Weight struct {
	Set   bool
	Value uint32
}

// Status is the state of one check, for people and metrics.
type Status struct {
	Key      Key
	Verdict  Verdict
	Since    time.Time     // of the verdict
	Last     time.Time     // of the last result; zero: none yet
	Duration time.Duration // of the last run
	Next     time.Time     // when it runs again; zero: it is running, or due. Of Snapshot only
	Reason   string        // of the last failed result while it is the newest; empty after a pass
	Detail   string
	Run      int  // results of the same kind in a row
	Passing  bool // which is that of passes
	Need     int  // passes in a row that bring it up, more than Rise while it flaps
	Counts   Counts
	Weight   Weight
	Damped   time.Duration // how much longer than Rise asks a check that flaps has to pass; 0: it does not flap
}

// Counts are the results of a check since it was configured.
type Counts struct {
	Passed, Failed uint64
	Local          uint64 // could not run here
}
