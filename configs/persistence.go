// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/zclconf/go-cty/cty"
)

// maxPersistence is what ipvsadm takes, too. The kernel counts in jiffies of 32 bits.
const maxPersistence = 31 * 24 * time.Hour

// persistence reads how clients are kept at their servers, without which a service cannot take every port
// (ip_vs_service_find finds one of port 0 only if it is persistent).
func (b *builder) persistence(service *rawVirtualServer, k ipvs.Key) ipvs.Persistence {
	raw := service.Persistence
	if raw == nil {
		if k.Address.IsValid() && k.Mark == 0 && k.Port == 0 {
			b.invalid("address", service.Address.Expr.Range(), errors.New(
				"takes port 0, which stands for every port, only with a persistence block: a client's connections belong together then"))
		}
		return ipvs.Persistence{}
	}
	p := ipvs.Persistence{
		Timeout: read(b, raw.Timeout, 5*time.Minute, duration(time.Second, maxPersistence, time.Second)),
		Engine:  read(b, raw.Engine, "", orEmpty(oneOf(words("sip")))),
	}
	if k.Address.IsValid() {
		p.Netmask = read(b, raw.Netmask, uint8(k.Address.BitLen()), netmask(k.Address.Is6()))
	}
	if p.Engine != "" && k.Mark == 0 && k.Protocol != ipvs.UDP && k.Protocol != 0 {
		// ip_vs_sip_fill_param
		b.invalid("engine", raw.Engine.Expr.Range(), errors.New(`takes "sip" only with protocol = "udp": the kernel finds no Call-ID in others`))
	}
	return p
}

// netmask accepts how much of a client's address counts: IPv4 a mask or the number of its bits, IPv6 a number.
func netmask(v6 bool) parser[uint8] {
	return func(v cty.Value) (uint8, error) {
		first, last := 0, 32
		if v6 {
			first, last = 1, 128
		}
		if isNumber(v) || v6 {
			n, err := whole(first, last)(v)
			return uint8(n), err
		}
		s, err := text(v)
		if err != nil {
			return 0, err
		}
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is4() {
			return 0, fmt.Errorf(`takes a mask such as "255.255.255.0", or the number of its bits such as 24, not %s`, show(v))
		}
		mask := a.As4()
		n := binary.BigEndian.Uint32(mask[:])
		ones := bits.LeadingZeros32(^n)
		if n<<ones != 0 {
			return 0, fmt.Errorf("takes a mask whose bits are set from the left, not %s", show(v))
		}
		return uint8(ones), nil
	}
}
