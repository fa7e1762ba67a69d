// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"bytes"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unique"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/holdfast-lb/holdfast/checker"
)

// byValue compares what go-cmp would look into, or could not.
var byValue = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
	cmp.Transformer("Value", unique.Handle[checker.Config].Value),
}

// minimal has what reference.hcl gives as required or as an example, and no more: all else must be the default.
const minimal = `
director {
  name = "lb1"
}
http {
  tls {
    certificate = "/etc/holdfast/tls.crt"
    key         = "/etc/holdfast/tls.key"
  }
}
connection_sync {
  interface = "eth0"
}
timeouts {}
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  unicast {
    source = "10.0.0.2"
    peers  = ["10.0.0.3"]
  }
  track_interface "eth1" {}
  track_script "upstream" {
    command = ["/usr/lib/holdfast/check-upstream"]
  }
  track_process "haproxy" {}
  track_file "maintenance" {
    path = "/etc/holdfast/maintenance"
  }
  track_service "web" {}
}
notify {
  command = ["/usr/lib/holdfast/notify"]
}
virtual_server "web" {
  address = "10.0.0.100:80"
  persistence {}
  sorry_server {
    address = "10.0.0.30:80"
  }
  check "tcp" {}
  check "http" {
    tls {}
  }
  check "dns" {}
  check "grpc" {}
  check "smtp" {}
  check "udp" {}
  check "icmp" {}
  check "exec" {
    command = ["/usr/lib/holdfast/check-db"]
  }
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}
`

// readReference decodes reference.hcl into the raw layer.
func readReference(t *testing.T) (src []byte, raw *rawConfig) {
	src, err := os.ReadFile("reference.hcl")
	if err != nil {
		t.Fatal(err)
	}
	file, diags := hclparse.NewParser().ParseHCL(src, "reference.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	raw = &rawConfig{}
	if diags := decodeConfig(newEvaluator(), file.Body, raw); diags.HasErrors() {
		t.Fatalf("the schema lacks what the reference has: %v", diags)
	}
	return src, raw
}

func TestReferenceHasTheDefaults(t *testing.T) {
	_, raw := readReference(t)
	for _, c := range raw.VirtualServers[0].Checks {
		c.URL = nil // an example, in the place of path and host
	}
	b := newBuilder()
	b.config(raw)
	want, diags := LoadBytes("minimal.hcl", []byte(minimal))
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	got := *b.cfg
	got.Path, got.Hash = want.Path, want.Hash
	got.VirtualServers[0].VirtualRouter = "web" // not resolved after an error, and the reference has some by design
	got.VirtualRouters[0].Password = ""         // required in its block, which contradicts version = 3
	got.SyncGroups = nil                        // an example
	if diff := cmp.Diff(*want, got, byValue); diff != "" {
		t.Errorf("the code's defaults and those of reference.hcl (-code +reference):\n%s", diff)
	}
}

// contradictions are the errors that reference.hcl has because it shows everything at once.
var contradictions = []string{"VRRPv3 has no authentication", "Duplicate auth block", "Invalid members", "Said twice", "Contradictory tls", "Contradictory tunnel"}

// TestReferenceMarks holds the lines marked "(not supported yet)" against those that are refused.
func TestReferenceMarks(t *testing.T) {
	src, raw := readReference(t)
	b := newBuilder()
	b.refuseLater(raw)
	b.config(raw)
	refused := map[int]bool{}
	for _, d := range b.diags {
		if d.Severity != hcl.DiagError || slices.Contains(contradictions, d.Summary) {
			continue
		}
		if d.Summary != "Not supported yet" {
			t.Errorf("unexpected: %v", d)
		}
		refused[d.Subject.Start.Line] = true
	}
	marked := map[int]bool{}
	for i, line := range strings.Split(string(src), "\n") {
		if strings.HasSuffix(line, "(not supported yet)") {
			marked[i+1] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(refused)), slices.Sorted(maps.Keys(marked))); diff != "" {
		t.Errorf("lines of reference.hcl (-refused +marked):\n%s", diff)
	}
}

// onlyInComments are the names that reference.hcl can only talk about: they would contradict the rest.
var onlyInComments = []string{"include", "variable", "default", "dynamic", "family", "scheme"}

func TestReferenceIsComplete(t *testing.T) {
	src, raw := readReference(t)
	seen := map[reflect.Type]map[string]bool{}
	visit(reflect.ValueOf(raw).Elem(), seen)
	for typ, fields := range seen {
		for name, given := range fields {
			if !given && !slices.Contains(onlyInComments, name) {
				t.Errorf("reference.hcl lacks %s of %s", name, typ.Name())
			}
		}
	}
	for _, name := range onlyInComments {
		if !bytes.Contains(src, []byte(name)) {
			t.Errorf("reference.hcl does not mention %s", name)
		}
	}
}

// visit notes for each type of block which arguments and blocks are given in at least one block of that type.
func visit(v reflect.Value, seen map[reflect.Type]map[string]bool) {
	if seen[v.Type()] == nil {
		seen[v.Type()] = map[string]bool{}
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("hcl"), ",")
		field := v.Field(i)
		if _, ok := field.Interface().([]*rawCheck); ok && v.Type() == reflect.TypeFor[rawRealServer]() {
			continue // a real server's checks are those of its service, where the reference shows them
		}
		switch field.Kind() {
		case reflect.Pointer:
			seen[v.Type()][name] = seen[v.Type()][name] || !field.IsNil()
			if _, leaf := field.Interface().(*hcl.Attribute); !leaf && !field.IsNil() {
				visit(field.Elem(), seen)
			}
		case reflect.Slice:
			seen[v.Type()][name] = seen[v.Type()][name] || field.Len() > 0
			for j := range field.Len() {
				visit(field.Index(j).Elem(), seen)
			}
		}
	}
}
