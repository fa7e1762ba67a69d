// SPDX-License-Identifier: Apache-2.0

package ipvs

import "net/netip"

// history tells what we changed from what others did: it holds what is wanted now and, by service and address, what
// became different from before since an attempt last succeeded (the zero address stands for the service itself).
type history struct {
	wanted []Service
	begun  bool // there was an attempt that succeeded; before it everything is new
	fresh  parts
}

// parts are parts of a table, by service and address; the zero address stands for the service itself.
type parts map[Key]map[netip.AddrPort]bool

func (p *parts) add(op Op) {
	if *p == nil {
		*p = make(parts)
	}
	if (*p)[op.Service] == nil {
		(*p)[op.Service] = make(map[netip.AddrPort]bool)
	}
	(*p)[op.Service][op.Destination.Address] = true
}

// move returns the table have with these parts as they are in want.
func (p parts) move(want, have []Service) []Service {
	var table []Service
	for w, is := range pairs(want, have, compareServices) {
		switch {
		case w == nil:
			if !p[is.Key][netip.AddrPort{}] {
				table = append(table, *is)
			}
		case is != nil:
			table = append(table, merge(w, is, p[w.Key]))
		case p[w.Key][netip.AddrPort{}]:
			table = append(table, merge(w, &Service{Key: w.Key}, p[w.Key]))
		}
	}
	return table
}

// want notes the newest wanted table.
func (h *history) want(want []Service) {
	if h.begun {
		for _, op := range Diff(want, h.wanted) {
			h.fresh.add(op)
		}
	}
	h.wanted = want
}

// target returns the wanted table with what others changed, and we did not, left as it is in have. A service that others
// deleted comes back whole when we change anything in it.
func (h *history) target(have []Service) []Service {
	if !h.begun {
		return h.wanted
	}
	var target []Service
	for w, is := range pairs(h.wanted, have, compareServices) {
		switch {
		case w == nil:
			if !h.fresh[is.Key][netip.AddrPort{}] {
				target = append(target, *is)
			}
		case is == nil:
			if len(h.fresh[w.Key]) > 0 {
				target = append(target, *w)
			}
		default:
			target = append(target, merge(w, is, h.fresh[w.Key]))
		}
	}
	return target
}

// merge takes from want what is fresh and the rest from have.
func merge(want, have *Service, fresh map[netip.AddrPort]bool) Service {
	s := Service{Key: have.Key, Settings: have.Settings}
	if fresh[netip.AddrPort{}] {
		s.Settings = want.Settings
	}
	for w, is := range pairs(want.Destinations, have.Destinations, compareDestinations) {
		from := is
		if w != nil && fresh[w.Address] || is != nil && fresh[is.Address] {
			from = w
		}
		if from != nil {
			s.Destinations = append(s.Destinations, *from)
		}
	}
	return s
}
