// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/director"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// examined is what doctor --json says on a host, and its exit code.
func examined(t *testing.T, n *node) (d diagnosis, found string, code int) {
	t.Helper()
	out, code := n.runs("doctor", "--json")
	var said struct {
		OK       bool
		Roles    []string
		Findings []struct{ ID, Fact, Mend string }
		Unknown  []string
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var list []string
	for _, f := range said.Findings {
		list = append(list, f.ID)
	}
	if len(list) > 0 {
		t.Log(out)
	}
	return diagnosis{OK: said.OK, Roles: said.Roles, Unknown: said.Unknown}, strings.Join(list, " "), code
}

// expect wants one finding, or none. The examination of a pair takes a while, in which a busy machine may change who is
// master: what comes of that is gone the next time.
func expect(t *testing.T, n *node, want string) {
	t.Helper()
	d, found, code := examined(t, n)
	for tries := 0; found != want && tries < 3; tries++ {
		d, found, code = examined(t, n)
	}
	if wantCode := map[bool]int{true: exitDone, false: exitFailed}[want == ""]; found != want || code != wantCode || d.OK != (want == "") {
		t.Errorf("found %q, exit code %d, ok %t, unknown %q; want %q", found, code, d.OK, d.Unknown, want)
	}
}

// TestDoctorPair: on a pair that runs, each of the two finds nothing, and then what is broken.
func TestDoctorPair(t *testing.T) {
	for name, block := range map[string]string{
		"multicast": "", "virtual MAC": "use_vmac = true", "no lease": `address_lease = "off"`,
		"unicast": "unicast {\n    source = \"10.0.0.%d\"\n    peers  = [\"10.0.0.%d\"]\n  }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab, lan, pair := startPair(t, block)
			for _, n := range pair {
				expect(t, n, "")
			}
			lab.Host("web1").Join(lan, "eth0", netip.MustParsePrefix("10.0.0.21/24"), netip.MustParsePrefix(vip+"/32"))
			for _, n := range pair {
				expect(t, n, "address-taken")
			}
		})
	}
}

// TestDoctorSplit: where one director hears nothing and both are master, each of the two tells its side of it.
func TestDoctorSplit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	netlab.RequireTool(t, "iptables")
	t.Parallel()
	_, _, pair := startPair(t, "")
	if out, err := pair[1].host.Command(t.Context(), "iptables", "-A", "INPUT", "-p", "vrrp", "-j", "DROP").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pair[1].is("master")
	expect(t, pair[0], "two-masters")
	expect(t, pair[1], "firewall-vrrp address-taken")
}

// is waits until the virtual router is in a state.
func (n *node) is(state string) {
	n.t.Helper()
	n.eventually("role", func() error {
		s, err := director.Client{Socket: n.socket}.Status(context.Background())
		if err == nil && s.VirtualRouters[0].State != state {
			err = fmt.Errorf("%s is %s, not %s", n.host.Name, s.VirtualRouters[0].State, state)
		}
		return err
	})
}

// startPair starts two directors, of which the first is master.
func startPair(t *testing.T, block string) (*netlab.Lab, *netlab.LAN, []*node) {
	t.Helper()
	lab := netlab.Test(t)
	lan := lab.LAN("lan")
	pair := make([]*node, 2)
	for i := range pair {
		dir := t.TempDir()
		n := &node{t: t, host: lab.Host(fmt.Sprintf("lb%d", i+1)), config: filepath.Join(dir, "holdfast.hcl"), socket: filepath.Join(dir, "s")}
		n.host.Join(lan, "eth0", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", 2+i)))
		block := block
		if strings.Contains(block, "%d") {
			block = fmt.Sprintf(block, 2+i, 3-i)
		}
		text := fmt.Sprintf(`
director {
  control_socket = %q
  state_dir      = %q
}
virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  priority           = %d
  advertise_interval = "100ms"
  addresses          = ["%s/32"]
  %s
}
`, n.socket, dir, 200-i*100, vip, block)
		if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n.start()
		t.Cleanup(n.kill)
		pair[i] = n
	}
	pair[0].is("master")
	pair[1].is("backup")
	return lab, lan, pair
}

// TestDoctorNode: a director that balances is healthy, until somebody changes what it has set.
func TestDoctorNode(t *testing.T) {
	netlab.RequireIPVS(t)
	n := newNode(t)
	n.start()
	n.serving()
	expect(t, n, "")
	// The director sets it again when it next reads the table, perhaps before the doctor has looked.
	n.eventually("doctor's finding", func() error {
		n.host.Sysctl("net.ipv4.ip_forward", "0")
		if _, found, code := examined(t, n); found != "sysctl" || code != exitFailed {
			return fmt.Errorf("found %q, exit code %d", found, code)
		}
		return nil
	})
}

// TestDoctorRealServer compares what a real server is told with a golden file.
func TestDoctorRealServer(t *testing.T) {
	netlab.RequireTool(t, "iptables") // else it is not found out
	h, state := newRealServer(t), filepath.Join(t.TempDir(), "state.json")
	const flags = " --method dr --address 10.0.0.100"
	var got strings.Builder
	for _, line := range []string{
		"doctor" + flags,
		"real-server setup" + flags,
		"doctor" + flags,
		"doctor --json" + flags,
		"doctor -c testdata/realserver/site.hcl --server web1",
		"doctor -c testdata/realserver/site.hcl",
		"doctor -c testdata/realserver/nosuch.hcl",
		"doctor --method dr",
	} {
		stdout, stderr, code := on(t, h, state, strings.Fields(line)...)
		fmt.Fprintf(&got, "$ holdfast %s\n%s%sexit code %d\n\n", line, stdout, stderr, code)
	}
	golden(t, "testdata/doctor/realserver.txt", got.String())
}
