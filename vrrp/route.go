// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"strconv"
	"strings"
)

// linkLocal is the prefix of the IPv6 addresses that are good for one link, RFC 4291 section 2.5.6.
var linkLocal = netip.MustParsePrefix("fe80::/64")

// String writes a route as ip route does.
func (r Route) String() string {
	words := []string{r.Destination.String()}
	add := func(keyword, value string) { words = append(words, keyword, value) }
	if r.Via.IsValid() {
		add("via", r.Via.String())
	}
	add("dev", r.Device)
	if r.Source.IsValid() {
		add("src", r.Source.String())
	}
	if r.Table != 0 {
		add("table", strconv.Itoa(r.Table))
	}
	if r.Metric != 0 {
		add("metric", strconv.Itoa(r.Metric))
	}
	return strings.Join(words, " ")
}
