// SPDX-License-Identifier: Apache-2.0

package ipvstest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/holdfast-lb/holdfast/ipvs"
)

var (
	protocols = map[string]ipvs.Protocol{"-t": ipvs.TCP, "-u": ipvs.UDP}
	methods   = map[string]ipvs.Forward{"-m": ipvs.NAT, "-g": ipvs.DR, "-i": ipvs.Tunnel}
	flags     = map[string]ipvs.Flags{
		"sh-fallback": ipvs.SchedFallback, "mh-fallback": ipvs.SchedFallback, "flag-1": ipvs.SchedFallback,
		"sh-port": ipvs.SchedPort, "mh-port": ipvs.SchedPort, "flag-2": ipvs.SchedPort, "flag-3": 0x20,
	}
)

// Parse reads a table as ipvsadm -Sn prints it, one service or destination a line; a destination belongs to the service
// above it. It panics on what it does not understand: the text is part of a test.
func Parse(text string) []ipvs.Service {
	var table []ipvs.Service
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "-A" {
			table = append(table, ipvs.Service{})
		}
		if len(table) == 0 {
			panic(fmt.Sprintf("line without a service: %s", line))
		}
		s := &table[len(table)-1]
		if words[0] == "-a" {
			s.Destinations = append(s.Destinations, parseDestination(words[3:]))
			continue
		}
		at := netip.MustParseAddrPort(words[2])
		s.Key = ipvs.Key{Address: at.Addr(), Port: at.Port(), Protocol: protocols[words[1]]}
		s.Scheduler = words[4]
		if len(words) > 5 {
			for name := range strings.SplitSeq(words[6], ",") {
				s.Flags |= flags[name]
			}
		}
	}
	return table
}

func parseDestination(words []string) ipvs.Destination {
	weight, err := strconv.ParseUint(words[4], 10, 32)
	if err != nil {
		panic(err)
	}
	return ipvs.Destination{
		Address: netip.MustParseAddrPort(words[1]),
		Forward: methods[words[2]],
		Weight:  uint32(weight),
	}
}
