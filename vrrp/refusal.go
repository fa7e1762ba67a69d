// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"time"
)

// Refusal is the reason why a packet was refused. It is an error, and the value of the metric label "reason". The empty
// one means that nothing speaks against the packet.
type Refusal string

// The reasons. A refused packet has no effect but a counter, and a line in the log now and then.
const (
	RefusedDestination Refusal = "destination" // multicast to a unicast router, or the reverse
	RefusedTTL         Refusal = "ttl"         // came from further away than allowed
	RefusedOwn         Refusal = "own"         // sender's address is our own: a loop, or a duplicate address
	RefusedPeer        Refusal = "peer"        // sender is not one of the unicast peers
	RefusedLength      Refusal = "length"
	RefusedVersion     Refusal = "version"
	RefusedType        Refusal = "type"
	RefusedCount       Refusal = "count"
	RefusedHMAC        Refusal = "hmac"     // signed as by keepalived's auth_hmac, which is not verified yet
	RefusedInterval    Refusal = "interval" // version 3: zero; version 2: not ours
	RefusedChecksum    Refusal = "checksum"
	RefusedID          Refusal = "id"
	RefusedAuth        Refusal = "auth" // version 2: another type, or another password
)

// Refusals lists every reason, so that a counter of each exists from the start.
var Refusals = []Refusal{
	RefusedDestination, RefusedTTL, RefusedOwn, RefusedPeer, RefusedLength, RefusedVersion, RefusedType, RefusedCount,
	RefusedHMAC, RefusedInterval, RefusedChecksum, RefusedID, RefusedAuth,
}

func (r Refusal) Error() string { return "advert refused: " + string(r) }

// hint says what was found in a packet that a router of configuration c refused, and what to do about it. It never
// contains a password. A packet that is refused for what is in its first 8 bytes has them.
func (r Refusal) hint(c *Config, b []byte, h Header) string {
	switch r {
	case RefusedDestination:
		if c.Unicast.Enabled() {
			return fmt.Sprintf("it was sent to %v, this router takes unicast adverts: give both a unicast block, or none", h.Dst)
		}
		return fmt.Sprintf("it was sent to %v, this router takes multicast adverts: give both a unicast block, or none", h.Dst)
	case RefusedTTL:
		if c.Unicast.Enabled() {
			return fmt.Sprintf("its TTL is %d, at least %d is asked for: lower min_ttl if that is what the peer sends", h.TTL, c.leastTTL())
		}
		return fmt.Sprintf("its TTL is %d, at least %d is asked for: it has crossed a router, or was forged", h.TTL, c.leastTTL())
	case RefusedOwn:
		return "it has the address of this router: the network loops, or the address is in use twice"
	case RefusedPeer:
		return "the sender is not among the unicast peers"
	case RefusedLength:
		return fmt.Sprintf("its %d bytes are too few or too many for what it says is in it", len(b))
	case RefusedVersion:
		return fmt.Sprintf("this router speaks version %d, the sender %d: set the same version on both", c.Version, b[0]>>4)
	case RefusedType:
		return fmt.Sprintf("its type is %d, that of an advert is %d", b[0]&0xf, typeAdvert)
	case RefusedCount:
		return "it carries no address: give the sender's virtual router one"
	case RefusedHMAC:
		return "it is signed by keepalived's auth_hmac, which holdfast does not verify yet: turn that off on the sender"
	case RefusedInterval:
		if c.Version == 2 {
			return fmt.Sprintf("its interval is %v, ours %v: version 2 asks for the same on every router",
				time.Duration(b[5])*time.Second, c.Interval)
		}
		return "its interval is 0"
	case RefusedChecksum:
		return "no way to compute the checksum gives its own: it was damaged on the way"
	case RefusedID:
		return fmt.Sprintf("its id is %d, ours %d", b[1], c.ID)
	case RefusedAuth:
		if ours := Password(c.Password); b[4] != ours.Type {
			return fmt.Sprintf("this router uses %v, the sender %v: set the same on both", ours, Auth{Type: b[4]})
		}
		return "the password is another one"
	}
	return ""
}
