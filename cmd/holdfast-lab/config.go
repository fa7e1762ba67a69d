// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// serviceOptions is what scenarios change about the virtual server.
type serviceOptions struct {
	scheduler string
	flags     []string
	weights   [3]int
}

var defaultOptions = serviceOptions{scheduler: "rr", weights: [3]int{1, 1, 1}}

func (o serviceOptions) equal(other serviceOptions) bool {
	return o.scheduler == other.scheduler && slices.Equal(o.flags, other.flags) && o.weights == other.weights
}

// configText is a director's configuration.
func configText(s *setup, d *directorHost, priority int, o serviceOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, `director {
  name           = %q
  control_socket = %q
  state_dir      = %q
}

http {
  listen = %q
}

virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = %d
  advertise_interval = %q
  addresses          = %s
}

%svirtual_server "web" {
  address         = "%s:80"
  scheduler       = %q
  scheduler_flags = %s
  forward         = %q

  check "http" {
    path     = "/health"
    interval = %q
    timeout  = %q
    rise     = %d
    fall     = %d
  }
`, d.name, d.api().Socket, d.dir, metricsAddress, priority, s.interval, list(s.addresses),
		syncText(s), s.vip, o.scheduler, list(o.flags), s.forward, checkInterval, checkTimeout, checkRise, checkFall)
	for i, a := range s.servers {
		fmt.Fprintf(&b, `
  real_server "web%d" {
    address = %q
    weight  = %d
  }
`, i+1, a, o.weights[i])
	}
	b.WriteString("}\n")
	return b.String()
}

// syncText is the block of connection sync, if there is to be one.
func syncText(s *setup) string {
	if !s.sync {
		return ""
	}
	return "connection_sync {\n  interface = \"eth0\"\n  id        = 51\n}\n\n"
}

func list(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
