// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
	"github.com/zclconf/go-cty/cty"
)

func TestExamples(t *testing.T) {
	files, _ := filepath.Glob("examples/*.hcl")
	if len(files) == 0 {
		t.Fatal("no examples")
	}
	for _, f := range files {
		t.Run(f, func(t *testing.T) {
			if cfg, diags := Load(f); cfg == nil || len(diags) > 0 {
				t.Errorf("got %v, want neither an error nor a warning", diags)
			}
		})
	}
}

// TestExamplesPair: the second director of a set-up has another name and a lower priority, and nothing speaks against both.
func TestExamplesPair(t *testing.T) {
	files, _ := filepath.Glob("examples/lvs-*.hcl")
	if len(files) < 6 {
		t.Fatalf("examples of the set-ups: %v", files)
	}
	for _, f := range files {
		t.Run(f, func(t *testing.T) {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			second := strings.NewReplacer(`"lb1"`, `"lb2"`, "priority  = 100", "priority  = 90").Replace(string(src))
			here, there := newLoader(f), newLoader("second.hcl")
			here.parse(f, src)
			there.parse("second.hcl", []byte(second))
			if cfg, diags := here.beside(there); cfg == nil || len(diags) > 0 {
				t.Errorf("got %v, want neither an error nor a warning", diags)
			}
		})
	}
}

// TestLoad holds one file with a value other than the default wherever there is a choice against all that it means.
func TestLoad(t *testing.T) {
	got, diags := Load("testdata/full.hcl")
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	var ok checker.StatusSet
	ok.Add(200, 204)
	ok.Add(301, 301)
	addr, key := netip.MustParseAddr, checker.Key{Service: "web", Server: "web1", Check: "app"}
	announcements := vrrp.Announcements{
		Burst: 5, Repeat: 5, Delay: 5 * time.Second, Refresh: time.Minute, Format: vrrp.ARPRequest,
	}
	want := &Config{
		Path:     "testdata/full.hcl",
		Hash:     got.Hash,
		Director: Director{Name: "lb9", ControlSocket: "/tmp/control.sock", StateDir: "/tmp/state", ManageSysctls: true, OnExit: Withdraw},
		Log:      Log{Level: slog.LevelDebug, Format: "json"},
		VirtualRouters: []vrrp.Config{{
			Name: "web", Interface: "eth0", ID: 51, Version: 3, Priority: 200, Interval: 500 * time.Millisecond,
			StartupDelay: 5 * time.Second, Lease: 30 * time.Second,
			Addresses: []vrrp.Address{
				{Prefix: netip.MustParsePrefix("10.0.0.100/32"), Device: "eth2"},
				{Prefix: netip.MustParsePrefix("10.1.0.1/24"), Device: "eth1"},
			},
			Unicast: vrrp.Unicast{Source: addr("10.0.0.2"), Peers: []netip.Addr{addr("10.0.0.3")}, TTL: 64, MinTTL: 63},
			Announcements: vrrp.Announcements{
				Burst: 3, Repeat: 2, Delay: time.Second, Interval: 10 * time.Millisecond, Format: vrrp.ARPBoth,
			},
		}, {
			Name: "other", Interface: "eth1", ID: 51, Version: 3, Priority: 100, Interval: 10 * time.Second, Preempt: true, Handover: true,
			Source: addr("10.1.0.2"), Lease: 41 * time.Second,
			Addresses:     []vrrp.Address{{Prefix: netip.MustParsePrefix("10.1.0.100/24"), Device: "eth1"}},
			Announcements: announcements,
		}, {
			Name: "unleased", Interface: "eth1", ID: 52, Version: 3, Priority: 100, Interval: time.Second, Preempt: true, Handover: true,
			Addresses:     []vrrp.Address{{Prefix: netip.MustParsePrefix("10.1.0.101/24"), Device: "eth1"}},
			Announcements: announcements,
		}},
		VirtualServers: []VirtualServer{{
			Name: "web", Key: ipvs.Key{Address: addr("10.0.0.100"), Port: 80, Protocol: ipvs.TCP},
			Settings: ipvs.Settings{Scheduler: "mh", Flags: ipvs.SchedPort | ipvs.SchedFallback}, Forward: ipvs.NAT, StartUp: true, Inhibit: true,
			VirtualRouter: "web", Quorum: Quorum{Weight: 1}, DrainTimeout: time.Minute,
			RealServers: []RealServer{{
				Name: "web1", Address: netip.MustParseAddrPort("10.0.0.21:8080"), Weight: 10, Forward: ipvs.NAT,
				Checks: []checker.Check{checker.NewCheck(key, checker.Config{
					Kind: checker.HTTP, Target: netip.MustParseAddrPort("10.0.0.21:9000"),
					Interval: 5 * time.Second, Timeout: 3 * time.Second, Retry: 4 * time.Second, Rise: 4, Fall: 5,
					HTTP:   checker.HTTPConfig{Method: "GET", Path: "/health?full=1", Host: "www.example.com", Status: ok, MaxBody: 1 << 20},
					Expect: "^ok$",
				})},
			}, {
				Name: "web2", Address: netip.MustParseAddrPort("10.0.0.22:80"), Weight: 0, Forward: ipvs.NAT,
				Checks: []checker.Check{checker.NewCheck(checker.Key{Service: "web", Server: "web2", Check: "tcp"}, checker.Config{
					Kind: checker.TCP, Target: netip.MustParseAddrPort("10.0.0.22:80"),
					Interval: 2 * time.Second, Timeout: time.Second, Retry: 2 * time.Second, Rise: 2, Fall: 3,
				})},
			}},
		}, {
			Name: "dns6", Key: ipvs.Key{Address: addr("2001:db8::100"), Port: 53, Protocol: ipvs.UDP},
			Settings: ipvs.Settings{Scheduler: "wlc"}, Forward: ipvs.DR, Quorum: Quorum{Weight: 1}, DrainTimeout: time.Minute,
			RealServers: []RealServer{{Name: "ns1", Address: netip.MustParseAddrPort("[2001:db8::21]:53"), Weight: 1, Forward: ipvs.DR}},
		}},
	}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// TestLoadFolder: the files of a folder are one configuration, in the order of their names.
func TestLoadFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, src string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("b.hcl", "virtual_server \"second\" {\n  address = \"10.0.0.1:81\"\n}\n")
	write("a.hcl", "virtual_server \"first\" {\n  address = \"10.0.0.1:80\"\n}\n")
	write("notes.txt", "not a configuration")
	cfg, diags := Load(dir)
	if cfg == nil || len(cfg.VirtualServers) != 2 || cfg.VirtualServers[0].Name != "first" {
		t.Fatalf("got %+v, %v; want first and second", cfg, diags)
	}
	// As sha256sum says of a.hcl followed by b.hcl.
	const want = "sha256:3352cb5d28e98c2fb4042cf2c2a28a8af894c329e8ee25eeccfdb3a8f1f97b91"
	if cfg.Hash != want {
		t.Errorf("hash is %s, want %s", cfg.Hash, want)
	}
}

func TestDurations(t *testing.T) {
	parse := duration(10*time.Millisecond, time.Hour, 10*time.Millisecond)
	tests := []struct {
		in   cty.Value
		want time.Duration
		err  string
	}{
		{in: cty.StringVal("10ms"), want: 10 * time.Millisecond},
		{in: cty.StringVal("300ms"), want: 300 * time.Millisecond},
		{in: cty.StringVal("1m30s"), want: 90 * time.Second},
		{in: cty.StringVal("0.5s"), want: 500 * time.Millisecond},
		{in: cty.StringVal("1h"), want: time.Hour},
		{in: cty.StringVal("5"), err: `takes a text with a unit: write "5s"`},
		{in: cty.StringVal("0"), err: `takes a text with a unit: write "0s"`},
		{in: cty.NumberIntVal(5), err: `takes a text with a unit: write "5s"`},
		{in: cty.NumberIntVal(-5), err: `takes a text with a unit: write "-5s"`},
		{in: cty.NumberFloatVal(0.5), err: `takes a text with a unit, such as "500ms"`},
		{in: cty.MustParseNumberVal("1e400"), err: `takes a text with a unit, such as "500ms"`},
		{in: cty.StringVal(""), err: `takes a duration such as "500ms", "2s" or "1m30s", not ""`},
		{in: cty.StringVal("1d"), err: `takes a duration such as "500ms", "2s" or "1m30s", not "1d"`},
		{in: cty.StringVal("5 s"), err: `takes a duration such as "500ms", "2s" or "1m30s", not "5 s"`},
		{in: cty.StringVal("9999999h"), err: `takes a duration such as "500ms", "2s" or "1m30s", not "9999999h"`},
		{in: cty.StringVal("0s"), err: `takes 10ms to 1h in steps of 10ms, not "0s"`},
		{in: cty.StringVal("-1s"), err: `takes 10ms to 1h in steps of 10ms, not "-1s"`},
		{in: cty.StringVal("15ms"), err: `takes 10ms to 1h in steps of 10ms, not "15ms"`},
		{in: cty.StringVal("1h1s"), err: `takes 10ms to 1h in steps of 10ms, not "1h1s"`},
		{in: cty.True, err: "takes a text in quotes, not true"},
		{in: cty.NullVal(cty.String), err: "takes a text in quotes, not null"},
	}
	for _, tt := range tests {
		got, err := parse(tt.in)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tt.want || text != tt.err {
			t.Errorf("%#v: got %v, %q; want %v, %q", tt.in, got, text, tt.want, tt.err)
		}
	}
}

func TestLeaseAuto(t *testing.T) {
	tests := []struct{ interval, want time.Duration }{
		{10 * time.Millisecond, 3 * time.Second},
		{500 * time.Millisecond, 3 * time.Second},
		{510 * time.Millisecond, 4 * time.Second},
		{time.Second, 5 * time.Second},
		{maxAdvertise, 165 * time.Second},
	}
	for _, tt := range tests {
		if got := newBuilder().lease(&rawVirtualRouter{}, vrrp.Config{Interval: tt.interval}); got != tt.want {
			t.Errorf("interval %v: got %v, want %v", tt.interval, got, tt.want)
		}
	}
}

// everywhere returns the body of a block in which every attribute has the same value, and so on in every block in it.
func everywhere(block reflect.Type, value string) string {
	var out strings.Builder
	for field := range block.Fields() {
		name, sort, _ := strings.Cut(field.Tag.Get("hcl"), ",")
		switch inner := field.Type; {
		case inner == reflect.TypeFor[*hcl.Attribute]():
			fmt.Fprintf(&out, "%s = %s\n", name, value)
		case sort == "block":
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			labels := []string{""}
			if first := inner.Elem().Field(0); strings.HasSuffix(first.Tag.Get("hcl"), ",label") {
				labels = []string{` "tcp"`, ` "http"`}
			}
			if inner == reflect.TypeFor[*rawAuth]() {
				labels = []string{` "pass"`}
			}
			if inner == reflect.TypeFor[*rawCheck]() {
				labels = nil
				for _, k := range checkKinds {
					labels = append(labels, fmt.Sprintf(" %q", k.word))
				}
			}
			for _, label := range labels {
				fmt.Fprintf(&out, "%s%s {\n%s}\n", name, label, everywhere(inner.Elem(), value))
			}
		}
	}
	return out.String()
}

// fuzzJSON does with JSON what FuzzLoad does.
func fuzzJSON(t *testing.T, src []byte) {
	cfg, diags := LoadBytes("fuzz.json", src)
	if (cfg == nil) != (diags.Errors() > 0) {
		t.Fatalf("config %v with %d errors", cfg, diags.Errors())
	}
	for _, d := range diags {
		if d.Line < 1 || d.Column < 1 || d.Summary == "" || d.Detail == "" {
			t.Errorf("%+v of JSON", d)
		}
	}
}

// FuzzLoad: whatever the file says, there is a configuration or an error that names a line, in the order of the file.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"examples/*.hcl", "testdata/invalid/*.hcl", "testdata/pair/*/*.hcl", "testdata/*.hcl", "reference.hcl"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	for _, value := range []string{
		`1`, `-1`, `1.5`, `1e999999999`, `true`, `-true`, `null`, `-null`, `""`, `word`, `a.b`, `f(1)`, `1 + 1`, `("${1}s")`,
		`"${1}"`, `"${1}s"`, `"a${true}"`, `"a${null}"`, `"a${"b"}"`, `"a${[]}"`, `"a${b}"`, `"%{ if true }a%{ endif }"`,
		"<<EOT\na\nEOT", "<<EOT\na${1}\nEOT", "<<-EOT\n  ${null}a\n  EOT",
		`[]`, `["a", 1, -1, true, null, word, "a${1}", "${1}", [], {}]`, `[for a in [1] : a]`, `{}`, `{ a = 1, "b" = "a${1}" }`,
	} {
		f.Add([]byte(everywhere(reflect.TypeFor[rawConfig](), value)))
	}
	for _, src := range []string{
		`{"variable": {"a": {"default": ["b"]}}, "dynamic": {"notify": {"for_each": "${var.a}", "iterator": "x", "content": {"command": ["/bin/${x.value}"]}}}}`,
		`{"virtual_server": {"a": [{"address": "10.0.0.1:80", "check": {"http": {"headers": {"a${1}": "b"}}}}]}, "log": null, "http": {"listen": "\\u0024{1}"}}`,
		pairOfDirectors, `variable "a" { default = [1, "a", {b = [true]}] }` + "\n" + `log { level = var.a[2].b[0] ? "debug" : var.a[*] }`,
		"dynamic \"virtual_server\" {\n  for_each = { a = 1, b = [2] }\n  iterator = x\n  labels = [\"${x.key}${x.value}\"]\n  content {\n" +
			"    dynamic \"check\" {\n      for_each = x.value\n      labels = [\"http\"]\n      content {\n        headers = { (x.key) = check.value }\n      }\n    }\n  }\n}\n",
		"log {\n  level = " + doubling(20) + "\n}\n", "log {\n  level = \"%{ for a in range(10) }${a}%{ endfor ~}\"\n  format = merge({a = 1}, {b = 2}...)\n}\n",
		"http {\n  basic_auth = { for n in [\"a\"] : n => \"$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\" }\n  listen = format(\"%s:%05d\", \"a\", 1)\n}\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if bytes.Contains(src, []byte(includeName)) {
			t.Skip("it would read whatever it finds")
		}
		if bytes.HasPrefix(src, []byte("{")) {
			fuzzJSON(t, src)
		}
		cfg, diags := LoadBytes("fuzz.hcl", src)
		if (cfg == nil) != (diags.Errors() > 0) {
			t.Fatalf("config %v with %d errors", cfg, diags.Errors())
		}
		last := 0
		for _, d := range diags {
			if d.Line < 1 || d.Column < 1 || d.byte < last || d.Summary == "" || d.Detail == "" {
				t.Errorf("%+v after byte %d", d, last)
			}
			last = d.byte
		}
		if err := diags.Write(io.Discard, true); err != nil {
			t.Error(err)
		}
		if cfg == nil {
			return
		}
		here, there := newLoader("fuzz.hcl"), newLoader("peer.hcl")
		here.parse("fuzz.hcl", src)
		there.parse("peer.hcl", src)
		_, diags = here.beside(there)
		for _, d := range diags {
			if d.Line < 1 || d.Summary == "" || d.Detail == "" {
				t.Errorf("%+v of the pair", d)
			}
		}
	})
}
