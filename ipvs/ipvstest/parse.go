// SPDX-License-Identifier: Apache-2.0

package ipvstest

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

var (
	protocols = map[string]ipvs.Protocol{"-t": ipvs.TCP, "-u": ipvs.UDP, "--sctp-service": ipvs.SCTP}
	methods   = map[string]ipvs.Forward{"-m": ipvs.NAT, "-g": ipvs.DR, "-i": ipvs.Tunnel}
	tunnels   = map[string]ipvs.TunnelType{"ipip": ipvs.IPIP, "gue": ipvs.GUE, "gre": ipvs.GRE}
	flags     = map[string]ipvs.Flags{
		"sh-fallback": ipvs.SchedFallback, "mh-fallback": ipvs.SchedFallback, "flag-1": ipvs.SchedFallback,
		"sh-port": ipvs.SchedPort, "mh-port": ipvs.SchedPort, "flag-2": ipvs.SchedPort, "flag-3": 0x20,
	}
)

// Parse reads a table as ipvsadm -Sn prints it, with thresholds beside, one service or destination a line; a destination
// belongs to the service above it. It panics on what it does not understand: the text is part of a test.
func Parse(text string) []ipvs.Service {
	var table []ipvs.Service
	for line := range strings.Lines(text) {
		w := &words{line: line, rest: strings.Fields(line)}
		if len(w.rest) == 0 {
			continue
		}
		kind := w.next()
		if kind == "-A" {
			table = append(table, ipvs.Service{})
		}
		if len(table) == 0 || kind != "-A" && kind != "-a" {
			w.fail()
		}
		s := &table[len(table)-1]
		if kind == "-a" {
			s.Destinations = append(s.Destinations, w.destination())
		} else {
			s.Key = w.key()
			s.Settings = w.settings(s.Address.Is6())
		}
	}
	return table
}

// words are what is left of a line.
type words struct {
	line string
	rest []string
}

func (w *words) fail() { panic("not understood: " + w.line) }

func (w *words) next() string {
	if len(w.rest) == 0 {
		w.fail()
	}
	word := w.rest[0]
	w.rest = w.rest[1:]
	return word
}

// skip drops the next word if it is the given one.
func (w *words) skip(word string) bool {
	if len(w.rest) == 0 || w.rest[0] != word {
		return false
	}
	w.rest = w.rest[1:]
	return true
}

func (w *words) number(size int) uint64 {
	n, err := strconv.ParseUint(w.next(), 10, size)
	if err != nil {
		panic(fmt.Sprintf("%v in %s", err, w.line))
	}
	return n
}

func (w *words) key() ipvs.Key {
	option := w.next()
	if option == "-f" {
		mark := uint32(w.number(32))
		return ipvs.MarkKey(mark, w.skip("-6"))
	}
	at := netip.MustParseAddrPort(w.next())
	return ipvs.Key{Address: at.Addr(), Port: at.Port(), Protocol: protocols[option]}
}

func (w *words) settings(v6 bool) ipvs.Settings {
	var s ipvs.Settings
	for len(w.rest) > 0 {
		switch w.next() {
		case "-s":
			s.Scheduler = w.next()
		case "-p":
			s.Persistence.Timeout = time.Duration(w.number(32)) * time.Second
			if s.Persistence.Netmask = 32; v6 {
				s.Persistence.Netmask = 128
			}
		case "-M":
			s.Persistence.Netmask = w.netmask(v6)
		case "--pe":
			s.Persistence.Engine = w.next()
		case "-o":
			s.Flags |= ipvs.OnePacket
		case "-b":
			for name := range strings.SplitSeq(w.next(), ",") {
				s.Flags |= flags[name]
			}
		default:
			w.fail()
		}
	}
	return s
}

func (w *words) netmask(v6 bool) uint8 {
	if v6 {
		return uint8(w.number(8))
	}
	n := 0
	for _, b := range netip.MustParseAddr(w.next()).As4() {
		n += bits.OnesCount8(b)
	}
	return uint8(n)
}

func (w *words) destination() ipvs.Destination {
	var d ipvs.Destination
	for _, before := range w.rest {
		if before == "-r" {
			break
		}
		w.next() // the service, which is the one above
	}
	w.next()
	d.Address = netip.MustParseAddrPort(w.next())
	if d.Forward = methods[w.next()]; d.Forward == ipvs.Tunnel {
		d.Encapsulation.Type = ipvs.IPIP
	}
	for len(w.rest) > 0 {
		switch w.next() {
		case "-w":
			d.Weight = uint32(w.number(32))
		case "-x":
			d.Upper = uint32(w.number(32))
		case "-y":
			d.Lower = uint32(w.number(32))
		case "--tun-type":
			d.Encapsulation.Type = tunnels[w.next()]
		case "--tun-port":
			d.Encapsulation.Port = uint16(w.number(16))
		case "--tun-csum":
			d.Encapsulation.Checksum = ipvs.FullChecksum
		case "--tun-remcsum":
			d.Encapsulation.Checksum = ipvs.RemoteChecksum
		case "--tun-nocsum":
		default:
			w.fail()
		}
	}
	return d
}
