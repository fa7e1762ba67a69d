// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// Host reads and changes the kernel of this host.
type Host interface {
	// Read returns what is there. Of the sysctls it reads those whose path below /proc/sys fits one of the patterns of
	// filepath.Match; of the ports none unless asked to, because to ask for them loads a module.
	Read(sysctls []string, ports bool) (Facts, error)
	// Apply makes one change. To add a link that is there by then is no error.
	Apply(Change) error
}

// Result is what was done.
type Result struct {
	Changes []Change `json:"changes"` // in the order in which they were made
	Left    []string `json:"left"`    // what would have been put back, but is somebody else's by now
}

// Check says what is wrong with uses.
func Check(uses []Use) error {
	if len(uses) == 0 {
		return errors.New("nothing to be a real server for")
	}
	gateways, tunnels := make(map[bool]Use), make(map[string]Use)
	for _, u := range uses {
		if err := u.validate(); err != nil {
			return err
		}
		if u.Forward == ipvs.NAT {
			if o, ok := gateways[u.Gateway.Is6()]; ok && o.Gateway != u.Gateway {
				return fmt.Errorf("nat: %s and %s cannot both be the default gateway", o.Gateway, u.Gateway)
			}
			gateways[u.Gateway.Is6()] = u
		}
		if u.Forward != ipvs.Tunnel || !u.tunnel().bound {
			continue
		}
		if o, ok := tunnels[u.tunnel().device]; ok && o.Local != u.Local {
			return fmt.Errorf("tunnel: %s takes packets to one of %s and %s only", u.tunnel().device, o.Local, u.Local)
		}
		tunnels[u.tunnel().device] = u
	}
	return nil
}

// Verify returns what is missing or wrong; nothing: this host is a real server for all uses. It changes nothing and needs no
// privileges.
func Verify(h Host, uses []Use) ([]Finding, error) {
	if err := Check(uses); err != nil {
		return nil, err
	}
	needs := needed(uses)
	have, err := read(h, needs, nil)
	if err != nil {
		return nil, err
	}
	return slices.Concat(compare(needs, have), strays(uses, have)), nil
}

// Setup makes this host a real server for the uses, and for no others: what an earlier setup has made and these do not need
// is undone. It remembers in the file named state what it changes. What is as it should be is not touched. After an error
// the file says what has been done by then.
func Setup(h Host, state string, uses []Use) (Result, error) {
	if err := Check(uses); err != nil {
		return Result{}, err
	}
	needs := needed(uses)
	m, err := remembered(h, state)
	if err != nil {
		return Result{}, err
	}
	if err := m.feasible(needs); err != nil {
		return Result{}, err
	}
	r, err := m.undo(needs)
	if err != nil {
		return r, err
	}
	made := make(map[Change]bool)
	for {
		have, err := read(h, needs, nil)
		if err != nil {
			return r, err
		}
		differs := compare(needs, have)
		switch {
		case len(differs) == 0:
			return r, nil
		case differs[0].Change == Change{}: // and the next ones may rely on it
			return r, fmt.Errorf("%s: %s", differs[0].Fact, differs[0].Mend)
		case made[differs[0].Change]:
			return r, fmt.Errorf("%s: it has no effect: %s", differs[0].Change, differs[0].Fact)
		}
		c := differs[0].Change
		made[c] = true
		if err := m.apply(c); err != nil {
			return r, err
		}
		r.Changes = append(r.Changes, c)
	}
}

// Teardown undoes what setups have changed and nobody has changed since.
func Teardown(h Host, state string) (Result, error) {
	m, err := remembered(h, state)
	if err != nil {
		return Result{}, err
	}
	return m.undo(nil)
}

func read(h Host, needs []need, made []Change) (Facts, error) {
	sysctls, ports := append(paths(needs), conf4+"*/arp_ignore"), false
	for _, n := range needs {
		ports = ports || n.Kind == AddPort
	}
	for _, c := range made {
		ports = ports || c.Kind == AddPort
		if c.Kind == SetSysctl {
			sysctls = append(sysctls, c.Path)
		}
	}
	return h.Read(sysctls, ports)
}

// memory is what was changed, and the file that says so.
type memory struct {
	host  Host
	path  string
	state state
}

func remembered(h Host, path string) (*memory, error) {
	have, err := h.Read(nil, false)
	if err != nil {
		return nil, err
	}
	s, err := readState(path)
	if err != nil {
		return nil, err
	}
	if s.Boot != have.Boot {
		s = state{Boot: have.Boot} // a boot has undone all of it
	}
	return &memory{h, path, s}, nil
}

// feasible says what is in the way, before anything is undone for it. Links of an earlier setup are not.
func (m *memory) feasible(needs []need) error {
	have, err := read(m.host, needs, nil)
	if err != nil {
		return err
	}
	for _, f := range compare(needs, have) {
		ours := slices.ContainsFunc(m.state.Changes, func(c Change) bool { return c.Kind == AddLink && c.Device == f.device })
		if (f.Change == Change{}) && !ours {
			return fmt.Errorf("%s: %s", f.Fact, f.Mend)
		}
	}
	return nil
}

// apply makes a change, and remembers it before: whatever happens in between, it can be undone.
func (m *memory) apply(c Change) error {
	before := slices.Clone(m.state.Changes)
	m.state.Changes = slices.DeleteFunc(m.state.Changes, func(o Change) bool { return o.identity() == c.identity() })
	m.state.Changes = append(m.state.Changes, c)
	if err := m.state.write(m.path); err != nil {
		m.state.Changes = before
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w: run it as root", err)
		}
		return fmt.Errorf("remember what was there, before it is changed: %w", err)
	}
	if err := m.host.Apply(c); err != nil {
		m.state.Changes = before
		return errors.Join(advise(c, fmt.Errorf("%s: %w", c, err)), m.state.write(m.path))
	}
	return nil
}

// undo undoes, last things first, what was changed and is not needed.
func (m *memory) undo(needs []need) (r Result, err error) {
	var errs []error
	for _, c := range slices.Backward(slices.Clone(m.state.Changes)) {
		if slices.ContainsFunc(needs, func(n need) bool { return n.identity() == c.identity() }) {
			continue
		}
		have, err := read(m.host, nil, m.state.Changes)
		if err != nil {
			return r, errors.Join(append(errs, err)...)
		}
		back, left := c.undo(have)
		if left != "" {
			r.Left = append(r.Left, left)
		} else if err := m.host.Apply(back); err != nil {
			errs = append(errs, advise(back, fmt.Errorf("%s: %w", back, err)))
			continue
		} else {
			r.Changes = append(r.Changes, back)
		}
		m.state.Changes = slices.DeleteFunc(m.state.Changes, func(o Change) bool { return o == c })
		if err := m.state.write(m.path); err != nil {
			errs = append(errs, fmt.Errorf("remember in %s what is undone: %w", m.path, err))
		}
	}
	if len(m.state.Changes) == 0 && len(errs) == 0 {
		errs = append(errs, m.state.write(m.path))
	}
	return r, errors.Join(errs...)
}

// modules are those of the links, by their kind.
var modules = map[string]string{"ipip": "ipip", "sit": "sit", "ip6tnl": "ip6_tunnel", "gre": "ip_gre", "ip6gre": "ip6_gre"}

// advise adds what to do about an error.
func advise(c Change, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run it as root, with CAP_NET_ADMIN", err)
	case errors.Is(err, syscall.EROFS) && c.Kind == SetSysctl:
		return fmt.Errorf("%w: run it where /proc/sys can be written: in the network namespace of a container, from its host", err)
	case c.Kind == AddLink && errors.Is(err, syscall.EOPNOTSUPP):
		return fmt.Errorf("%w: the kernel lacks a module: modprobe %s", err, modules[c.Link.Kind])
	case c.Kind == AddPort && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: the kernel lacks a module: modprobe fou", err)
	}
	return err
}
