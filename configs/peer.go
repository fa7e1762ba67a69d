// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// LoadPair is Load, and compares the configuration with that of another director at peer: what keeps both from hearing
// each other is an error, what only two configurations show to be doubtful a warning. Of the other one by itself, only
// errors are reported. Its variables are those of theirs and, but for the same names, those of ours that it declares.
func LoadPair(path, peer string, ours, theirs []Variable) (*Config, Diagnostics) {
	there := open(peer, theirs...)
	there.shared = ours
	return open(path, ours...).beside(there)
}

// beside finishes two configurations.
func (l *loader) beside(peer *loader) (*Config, Diagnostics) {
	l.paired, peer.paired = true, true
	p := pair{l.build(), peer.build()}
	p.there.diags = slices.DeleteFunc(p.there.diags, func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError })
	if !p.here.diags.HasErrors() && !p.there.diags.HasErrors() {
		p.compare()
	}
	found := slices.Concat(p.here.diags, p.there.diags)
	files := maps.Clone(l.parser.Files())
	maps.Copy(files, peer.parser.Files())
	out := diagnostics(found, files)
	if found.HasErrors() {
		return nil, out
	}
	return p.here.cfg, out
}

// pair is the configurations of two directors.
type pair struct{ here, there *builder }

// half is one director's part of a virtual router.
type half struct {
	*builder // whose it is
	raw      *rawVirtualRouter
	vrrp.Config
}

// place refers to a place in the files of the other director.
func place(at hcl.Range) string { return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line) }

func (b *builder) halves() []half {
	var list []half
	for i, c := range b.cfg.VirtualRouters {
		list = append(list, half{b, b.raw.VirtualRouters[i], c})
	}
	return list
}

func (p pair) compare() {
	p.names()
	mine, theirs := p.here.halves(), p.there.halves()
	partner := map[string]string{} // by the name here
	for _, like := range []func(a, b half) bool{
		func(a, b half) bool { return a.Name == b.Name },
		func(a, b half) bool { return a.Interface == b.Interface },
		func(half, half) bool { return true },
	} {
		mine = slices.DeleteFunc(mine, func(a half) bool {
			i := slices.IndexFunc(theirs, func(b half) bool {
				return a.ID == b.ID && a.Family6() == b.Family6() && like(a, b)
			})
			if i < 0 {
				return false
			}
			partner[a.Name] = theirs[i].Name
			compareRouter(a, theirs[i])
			theirs = slices.Delete(theirs, i, i+1)
			return true
		})
	}
	for _, a := range mine {
		alone(a, p.there)
	}
	for _, b := range theirs {
		alone(b, p.here)
	}
	p.groups(partner)
	p.services()
	p.sync(partner)
}

// names reports two directors of one name. One that comes from the host's name is not known of the other.
func (p pair) names() {
	a, b := orNew(p.here.raw.Director).Name, orNew(p.there.raw.Director).Name
	if a != nil && b != nil && p.here.cfg.Director.Name == p.there.cfg.Director.Name {
		p.here.warn(a.Expr.Range(), "Same director name", fmt.Sprintf(
			"The peer is called %q too (%s): logs, metrics and events would not tell one from the other.",
			p.here.cfg.Director.Name, place(b.Expr.Range())))
	}
}

// alone reports a virtual router that the other director does not have.
func alone(h half, other *builder) {
	detail := fmt.Sprintf("%s has no virtual_router with id %d for %s: nobody takes over when this director fails.",
		other.cfg.Path, h.ID, family(h.Family6()))
	for i, c := range other.cfg.VirtualRouters {
		if c.Name == h.Name {
			detail += fmt.Sprintf(" %q there has id %d for %s (%s).", c.Name, c.ID, family(c.Family6()),
				place(other.raw.VirtualRouters[i].ID.Expr.Range()))
		}
	}
	h.warn(h.raw.Range, "Only on one director", detail)
}

// groups reports sync groups that the other director does not have. A member that has no partner was reported by itself.
func (p pair) groups(partner map[string]string) {
	back := map[string]string{}
	for mine, theirs := range partner {
		back[theirs] = mine
	}
	lack := func(a, b *builder, partner map[string]string) {
		for i, g := range a.cfg.SyncGroups {
			var want []string
			for _, m := range g.Members {
				if name, ok := partner[m]; ok {
					want = append(want, name)
				}
			}
			slices.Sort(want)
			has := slices.ContainsFunc(b.cfg.SyncGroups, func(o SyncGroup) bool {
				return slices.Equal(slices.Sorted(slices.Values(o.Members)), want)
			})
			if len(want) == len(g.Members) && len(want) > 1 && !has {
				a.warn(a.raw.SyncGroups[i].Range, "Different sync groups", fmt.Sprintf(
					"%s has no sync_group of the same members: there they move one by one, and each that moves alone takes the others along here.",
					b.cfg.Path))
			}
		}
	}
	lack(p.here, p.there, partner)
	lack(p.there, p.here, back)
}
