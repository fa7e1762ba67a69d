// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations, each with the letter of ipvsadm.
const (
	_                 Kind = iota
	AddService             // -A
	AddDestination         // -a
	UpdateService          // -E
	UpdateDestination      // -e
	DeleteDestination      // -d
	DeleteService          // -D
	numKinds
)

var kinds = [numKinds]struct{ name, letter string }{
	AddService:        {"add service", "-A"},
	AddDestination:    {"add destination", "-a"},
	UpdateService:     {"update service", "-E"},
	UpdateDestination: {"update destination", "-e"},
	DeleteDestination: {"delete destination", "-d"},
	DeleteService:     {"delete service", "-D"},
}

// Kinds returns every kind, in the order of [Diff].
func Kinds() []Kind {
	return []Kind{AddService, AddDestination, UpdateService, UpdateDestination, DeleteDestination, DeleteService}
}

func (k Kind) String() string {
	if k == 0 || k >= numKinds {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kinds[k].name
}

func (k Kind) letter() string {
	if k == 0 || k >= numKinds {
		return k.String()
	}
	return kinds[k].letter
}

// Op is one operation on the table. Settings count for adding and updating a service, Destination for the
// operations on a destination (to delete one, its address).
type Op struct {
	Kind    Kind
	Service Key
	Settings
	Destination Destination
}

// String returns the operation as arguments of ipvsadm.
func (o Op) String() string {
	proto := "-t"
	if o.Service.Protocol == UDP {
		proto = "-u"
	}
	s := fmt.Sprintf("%s %s %s", o.Kind.letter(), proto, netip.AddrPortFrom(o.Service.Address, o.Service.Port))
	switch o.Kind {
	case AddService, UpdateService:
		s += " -s " + SchedulerArgs(o.Scheduler, o.Flags)
	case AddDestination, UpdateDestination:
		method := map[Forward]string{NAT: "-m", DR: "-g", Tunnel: "-i"}[o.Destination.Forward]
		s += fmt.Sprintf(" -r %s %s -w %d", o.Destination.Address, method, o.Destination.Weight)
	case DeleteDestination:
		s += fmt.Sprintf(" -r %s", o.Destination.Address)
	}
	return s
}

// object names what the operation is about, for errors.
func (o Op) object() string {
	if o.Destination.Address.IsValid() {
		return fmt.Sprintf("%s of %s", o.Destination.Address, o.Service)
	}
	return o.Service.String()
}

// SchedulerArgs returns a scheduler and its flags as ipvsadm takes them after -s.
func SchedulerArgs(scheduler string, f Flags) string { return scheduler + flagArgs(scheduler, f) }

// flagArgs returns the -b argument of ipvsadm, or nothing. A bit without a name is printed as a number.
func flagArgs(scheduler string, f Flags) string {
	if f == 0 {
		return ""
	}
	fallback, port := "flag-1", "flag-2"
	if scheduler == "sh" || scheduler == "mh" {
		fallback, port = scheduler+"-fallback", scheduler+"-port"
	}
	var names []string
	for _, n := range []struct {
		flag Flags
		name string
	}{{SchedFallback, fallback}, {SchedPort, port}, {0x0020, "flag-3"}} {
		if f&n.flag != 0 {
			names = append(names, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(f)))
	}
	return " -b " + strings.Join(names, ",")
}

// Diff returns the operations that turn have into want: first every service that is new with its destinations and every
// new destination, then updates in place, then deletions. Adding comes before deleting, so that a service never runs
// dry on the way; a change of settings is never a deletion, which would cost the connections. Neither list needs an
// order; of two entries with the same key the first counts.
func Diff(want, have []Service) []Op {
	var add, update, remove, drop []Op
	for w, h := range pairs(want, have, func(a, b Service) int { return a.Key.Compare(b.Key) }) {
		if w == nil {
			drop = append(drop, Op{Kind: DeleteService, Service: h.Key})
			continue
		}
		if h == nil {
			h = &Service{Key: w.Key, Settings: w.Settings}
			add = append(add, Op{Kind: AddService, Service: w.Key, Settings: w.Settings})
		}
		if w.Settings != h.Settings {
			update = append(update, Op{Kind: UpdateService, Service: w.Key, Settings: w.Settings})
		}
		for wd, hd := range pairs(w.Destinations, h.Destinations, compareDestinations) {
			switch {
			case hd == nil:
				add = append(add, Op{Kind: AddDestination, Service: w.Key, Destination: *wd})
			case wd == nil:
				gone := Destination{Address: hd.Address}
				remove = append(remove, Op{Kind: DeleteDestination, Service: w.Key, Destination: gone})
			case *wd != *hd:
				update = append(update, Op{Kind: UpdateDestination, Service: w.Key, Destination: *wd})
			}
		}
	}
	return slices.Concat(add, update, remove, drop)
}

func compareDestinations(a, b Destination) int { return a.Address.Compare(b.Address) }

// pairs walks two lists in order and yields what is equal by compare together, nil standing for what one side lacks.
func pairs[E any](want, have []E, compare func(a, b E) int) iter.Seq2[*E, *E] {
	return func(yield func(w, h *E) bool) {
		want, have := unique(want, compare), unique(have, compare)
		for len(want) > 0 || len(have) > 0 {
			var w, h *E
			switch c := order(want, have, compare); {
			case c < 0:
				w, want = &want[0], want[1:]
			case c > 0:
				h, have = &have[0], have[1:]
			default:
				w, want = &want[0], want[1:]
				h, have = &have[0], have[1:]
			}
			if !yield(w, h) {
				return
			}
		}
	}
}

// order compares the heads of two lists that are not both empty; an empty list comes last.
func order[E any](a, b []E, compare func(a, b E) int) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return compare(a[0], b[0])
}

// unique returns the list sorted, of equals only the first, and leaves the caller's list alone.
func unique[E any](list []E, compare func(a, b E) int) []E {
	rising := true
	for i := 1; i < len(list) && rising; i++ {
		rising = compare(list[i-1], list[i]) < 0
	}
	if rising {
		return list
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, compare)
	return slices.CompactFunc(list, func(a, b E) bool { return compare(a, b) == 0 })
}
