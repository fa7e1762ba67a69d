// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
)

const site = `
virtual_router "edge" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32", "10.0.0.101/32", "10.10.1.1/24 dev eth1"]
}
virtual_router "other" {
  interface = "eth0"
  id        = 52
  addresses = ["10.0.0.110/32", "10.10.1.2/24 dev eth1", "10.20.1.1/24 dev eth2", "10.20.1.2/24 dev eth2"]
}
virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "dr"
  real_server "web1" { address = "10.0.0.21" }
  real_server "web2" { address = "10.0.0.22" }
}
virtual_server "web-tls" {
  address = "10.0.0.100:443"
  forward = "dr"
  real_server "web1" { address = "10.0.0.21" }
}
virtual_server "far" {
  address = "10.0.0.101:80"
  forward = "tunnel"
  real_server "web1" {
    address = "10.0.0.21"
    tunnel {
      type = "gue"
      port = 5555
    }
  }
  sorry_server {
    address = "10.0.0.30:80"
    forward = "tunnel"
  }
}
virtual_server "app" {
  address = "10.0.0.100:8080"
  forward = "nat"
  real_server "app1" { address = "10.10.1.11:8080" }
  real_server "app2" { address = "10.20.1.11:8080" }
  real_server "app3" { address = "10.30.1.11:8080" }
}
virtual_server "marked" {
  fwmark  = 7
  family  = "ipv4"
  forward = "dr"
  real_server "marked1" { address = "10.0.0.40" }
}
`

func host(addresses ...string) Facts {
	have := Facts{Addresses: []Address{{"lo", netip.MustParsePrefix("127.0.0.1/8")}}}
	for _, a := range addresses {
		have.Addresses = append(have.Addresses, Address{"eth0", netip.MustParsePrefix(a)})
	}
	return have
}

func TestFromConfig(t *testing.T) {
	cfg, diags := configs.LoadBytes("site.hcl", []byte(site))
	if diags.Errors() > 0 {
		t.Fatal(diags.Err())
	}
	gue := tunnelUse(netip.MustParseAddr("10.0.0.101"), rip, ipvs.GUE, 5555, 0)
	gateway := func(a string) Use { return Use{Forward: ipvs.NAT, Gateway: netip.MustParseAddr(a)} }
	for _, tt := range []struct {
		name string
		have Facts
		sel  Selection
		want string
	}{
		{"all services of an address of this host", host("10.0.0.21/24"), Selection{}, fmt.Sprint([]Use{dr, gue})},
		{"of a name", host("192.0.2.1/24"), Selection{Server: "web1"}, fmt.Sprint([]Use{dr, gue})},
		{"of one virtual address", host("10.0.0.21/24"), Selection{Addresses: []netip.Addr{vip}}, fmt.Sprint([]Use{dr})},
		{"a sorry server", host("10.0.0.30/24"), Selection{}, "[tunnel (ipip) 10.0.0.101]"},
		{"the gateway: of the service's virtual router", host("10.10.1.11/24"), Selection{}, fmt.Sprint([]Use{gateway("10.10.1.1")})},
		{"several gateways", host("10.20.1.11/24"), Selection{}, `virtual_server "app": nat: several floating addresses can be the gateway (10.20.1.1, 10.20.1.2): name one with --gateway`},
		{"the one that is named", host("10.20.1.11/24"), Selection{Gateway: netip.MustParseAddr("10.20.1.2")}, fmt.Sprint([]Use{gateway("10.20.1.2")})},
		{"no gateway", host("10.30.1.11/24"), Selection{}, "nat: no virtual_router has an address on a network of this host"},
		{"rather not an address for clients", host("10.30.1.11/24", "10.0.0.11/24"), Selection{}, fmt.Sprint([]Use{gateway("10.0.0.110")})},
		{"by mark", host("10.0.0.40/24"), Selection{}, `virtual_server "marked": it is by firewall mark: say its addresses with --method dr --address ADDRESS`},
		{"no such host", host("10.0.0.99/24", "fe80::1/64"), Selection{}, "no real_server has an address of this host (10.0.0.99): name one with --server"},
		{"no such name", host("10.0.0.21/24"), Selection{Server: "web9"}, `no virtual_server has a real_server "web9"`},
		{"no such name there", host(), Selection{Server: "app1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.101")}}, `no virtual_server of 10.0.0.101 has a real_server "app1"`},
		{"no such address", host("10.0.0.21/24"), Selection{Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}, "no virtual_server has the address 10.0.0.9: there is 10.0.0.100, 10.0.0.101"},
	} {
		uses, err := FromConfig(cfg, tt.have, tt.sel)
		got := fmt.Sprint(uses)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if err == nil && Check(uses) != nil {
			t.Errorf("%s: %v", tt.name, Check(uses))
		}
	}
}
