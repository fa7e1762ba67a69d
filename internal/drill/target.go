// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
)

// A Target is what a load is sent to.
type Target struct {
	Address netip.AddrPort
	HTTP    bool   // a GET of Path, or else only a connection
	Host    string // of the request
	Path    string // with the query
}

// ParseTarget reads ADDRESS:PORT, to which connections are only opened, or http://ADDRESS[:PORT][/PATH]. Names are not
// looked up: they could lead elsewhere.
func ParseTarget(s string) (Target, error) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return usable(s, Target{Address: a})
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return Target{}, fmt.Errorf("target %q: want ADDRESS:PORT or http://ADDRESS[:PORT]/PATH", s)
	case u.Scheme != "http":
		return Target{}, fmt.Errorf("target %q: the load speaks http only; give ADDRESS:PORT to open connections and no more", s)
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return Target{}, fmt.Errorf("target %q: want an address, not a name; --host sets the name that the request is for", s)
	}
	port, err := netip.ParseAddrPort("0.0.0.0:" + cmp.Or(u.Port(), "80"))
	if err != nil {
		return Target{}, fmt.Errorf("target %q: no such port", s)
	}
	return usable(s, Target{
		Address: netip.AddrPortFrom(a, port.Port()), HTTP: true, Host: u.Host, Path: cmp.Or(u.RequestURI(), "/"),
	})
}

func usable(s string, t Target) (Target, error) {
	var err error
	switch {
	case t.Address.Addr().IsUnspecified():
		err = errors.New("nobody has this address")
	case t.Address.Port() == 0:
		err = errors.New("port 0 is none")
	case t.Address.Addr().Zone() != "":
		err = errors.New("an address with a zone is no virtual one")
	}
	if err != nil {
		return Target{}, fmt.Errorf("target %q: %w", s, err)
	}
	return t, nil
}

// String says what is done with the target.
func (t Target) String() string {
	if !t.HTTP {
		return "connections to " + t.Address.String()
	}
	s := "GET http://" + t.Address.String() + t.Path
	if t.Host != "" && t.Host != t.Address.String() && t.Host != t.Address.Addr().String() {
		s += " as " + t.Host
	}
	return s
}
