// SPDX-License-Identifier: Apache-2.0

package director

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReloadNamesWhatTheTableGets: whatever the configuration says of the table, a reload that changes it says so.
func TestReloadNamesWhatTheTableGets(t *testing.T) {
	const old = `
director {
  manage_sysctls = true
  on_exit        = "withdraw"
  control_group  = ""
  drift          = "repair"
}
timeouts {
  tcp = "15m"
}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_server "web" {
  address       = "10.0.0.100:80"
  protocol      = "udp"
  scheduler     = "wlc"
  one_packet    = false
  active        = "always"
  drain_timeout = "1m"
  persistence {
    timeout = "5m"
  }
  real_server "a" {
    address = "10.0.0.21"
    forward = "nat"
  }
  real_server "b" {
    address = "10.0.0.22"
    forward = "tunnel"
    tunnel {
      type = "ipip"
    }
    upper_threshold = 10
    maintenance     = false
  }
}
virtual_server "mark" {
  fwmark = 1
  family = "ipv4"
  real_server "a" {
    address = "10.0.0.21"
  }
}
`
	now := strings.NewReplacer(
		"manage_sysctls = true", "manage_sysctls = false",
		`"withdraw"`, `"keep"`,
		`""`, `"adm"`,
		`"repair"`, `"report"`,
		"15m", "16m",
		"one_packet    = false", "one_packet    = true",
		`"always"`, `"web"`,
		`"1m"`, `"0s"`,
		`"5m"`, `"6m"`,
		`"nat"`, `"dr"`,
		`"ipip"`, `"gre"`,
		"upper_threshold = 10", "upper_threshold = 20",
		"maintenance     = false", "maintenance     = true",
		`"ipv4"`, `"ipv6"`, "10.0.0.21\"\n  }\n}\n", "2001:db8::21\"\n  }\n}\n",
	).Replace(old)
	want := []string{
		"director manage_sysctls true -> false",
		"director on_exit withdraw -> keep",
		`director control_group "" -> "adm"`,
		"director drift repair -> report",
		"timeouts changed",
		"virtual_server mark: address fwmark 1/ipv4 -> fwmark 1/ipv6",
		"virtual_server mark: real_server a: address 10.0.0.21:0 -> [2001:db8::21]:0",
		"virtual_server web: persistence changed",
		"virtual_server web: active always -> web",
		"virtual_server web: drain_timeout 1m0s -> 0s",
		"virtual_server web: options changed",
		"virtual_server web: real_server a: forward nat -> dr",
		"virtual_server web: real_server b: tunnel changed",
		"virtual_server web: real_server b: thresholds 10, 0 -> 20, 0",
		"virtual_server web: real_server b: maintenance false -> true",
	}
	if diff := cmp.Diff(want, differences(parse(t, old), parse(t, now))); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
