// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// virtualRoutes builds the routes that move with the addresses. Where nothing else says so, a route leaves by the virtual
// router's interface, and "default" is of its family.
func (b *builder) virtualRoutes(raw *rawVirtualRouter, c vrrp.Config) []vrrp.Route {
	list, _ := readList(b, raw.VirtualRoutes, matching(parseRoute))
	var out []vrrp.Route
	for _, r := range list {
		route := r.value
		if !route.Destination.IsValid() {
			route.Destination = defaultRoute(c.Family6())
		}
		if route.Device == "" {
			route.Device = c.Interface
		}
		if a := strange(route); a.IsValid() {
			b.invalid("virtual_routes", r.at,
				fmt.Errorf("takes addresses of one family: %s does not fit %s", a, route.Destination))
			continue
		}
		b.unique("virtual route", "", routeKey(route), r.at)
		out = append(out, route)
	}
	return out
}

// strange returns the address of a route that is of another family than its destination, if there is one.
func strange(r vrrp.Route) netip.Addr {
	for _, a := range []netip.Addr{r.Via, r.Source} {
		if a.IsValid() && a.Is4() != r.Destination.Addr().Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// routeKey is what tells one route from another in the kernel.
func routeKey(r vrrp.Route) string {
	key := r.Destination.String()
	if r.Table != 0 {
		key += fmt.Sprintf(" table %d", r.Table)
	}
	if r.Metric != 0 && (r.Metric != defaultMetric6 || r.Destination.Addr().Is4()) {
		key += fmt.Sprintf(" metric %d", r.Metric)
	}
	return key
}

func defaultRoute(family6 bool) netip.Prefix {
	if family6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// defaultMetric6 is what the kernel makes of metric 0 under IPv6, linux/ipv6_route.h IP6_RT_PRIO_USER.
const defaultMetric6 = 1024

// mainTable is the number of the table that vrrp.Route calls 0, linux/rtnetlink.h RT_TABLE_MAIN.
const mainTable = 254

// parseRoute accepts a route the way that ip-route(8) writes it. The destination of "default" without an address that
// tells the family is left open.
func parseRoute(s string) (vrrp.Route, error) {
	var r vrrp.Route
	words := strings.Fields(s)
	if len(words) == 0 {
		return r, errors.New(`takes routes such as "192.0.2.0/24 via 10.0.0.1"`)
	}
	var err error
	if r.Destination, err = parseDestination(words[0]); err != nil {
		return r, err
	}
	given := map[string]bool{}
	for i := 1; i < len(words); i += 2 {
		word := words[i]
		switch {
		case !slices.Contains(routeWords, word):
			return r, errors.New(unknown(fmt.Sprintf("%.60q", word), word, routeWords))
		case i+1 == len(words):
			return r, fmt.Errorf("lacks a value after %q", word)
		case given[word]:
			return r, fmt.Errorf("has %q twice", word)
		}
		given[word] = true
		if err := routeWord(&r, word, words[i+1]); err != nil {
			return r, fmt.Errorf("has a wrong value after %q: it takes %w, not %.60q", word, err, words[i+1])
		}
	}
	for _, a := range []netip.Addr{r.Via, r.Source} {
		if words[0] == "default" && a.IsValid() {
			r.Destination = defaultRoute(a.Is6())
		}
	}
	return r, nil
}

var routeWords = []string{"via", "dev", "src", "table", "metric"}

// routeWord sets what one of routeWords and its value say. Its error is what the value must be.
func routeWord(r *vrrp.Route, word, value string) error {
	const address = "the address of a host"
	var err error
	switch word {
	case "via":
		if r.Via, err = parseAddr(value); err != nil {
			return errors.New(address)
		}
	case "src":
		if r.Source, err = parseAddr(value); err != nil {
			return errors.New(address)
		}
	case "dev":
		if r.Device, err = parseInterface(value); err != nil {
			return errors.New("an interface name of 1 to 15 characters")
		}
	case "table":
		n, err := strconv.ParseUint(value, 10, 31)
		if value == "main" || n == mainTable {
			n, err = 0, nil
		} else if n == 0 {
			err = strconv.ErrRange
		}
		if r.Table = int(n); err != nil {
			return errors.New(`"main" or a number from 1 to 2147483647`)
		}
	case "metric":
		n, err := strconv.ParseUint(value, 10, 31)
		if r.Metric = int(n); err != nil {
			return errors.New("a number from 0 to 2147483647")
		}
	}
	return nil
}

// parseDestination accepts "default", which is the zero value, a network, or a host.
func parseDestination(s string) (netip.Prefix, error) {
	var none netip.Prefix
	if s == "default" {
		return none, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), checkHost(a)
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() || p.Addr().IsMulticast() {
		return none, fmt.Errorf(`takes a network such as "192.0.2.0/24", a host or "default" first, not %.60q`, s)
	}
	if p != p.Masked() {
		return none, fmt.Errorf("takes the address of the network itself: write %q", p.Masked())
	}
	return p, nil
}
