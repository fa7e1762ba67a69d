// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-lb/holdfast/checker"
	"github.com/holdfast-lb/holdfast/ipvs"
)

// statusOf is the set of the codes from first to last.
func statusOf(first, last int) (set checker.StatusSet) {
	set.Add(first, last)
	return set
}

// TestLoadChecks holds one file with every argument of every kind of check, and with the defaults of each, against what it
// means.
func TestLoadChecks(t *testing.T) {
	got, diags := Load("testdata/checks.hcl")
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	verified := checker.TLS{On: true, MinVersion: tls.VersionTLS12}
	target := netip.MustParseAddrPort
	check := func(server, name, at string, c checker.Config) checker.Check {
		c.Interval, c.Timeout, c.Retry, c.Rise, c.Fall = 2*time.Second, time.Second, 2*time.Second, 2, 3
		c.Target = target(at)
		return checker.NewCheck(checker.Key{Service: "all", Server: server, Check: name}, c)
	}
	ofAll := [][]checker.Check{{
		check("a", "line", "10.1.0.21:81", checker.Config{
			Kind: checker.TCP, Source: netip.MustParseAddr("10.1.0.2"), Send: "PING\r\n\t\x00", Expect: "PONG",
			TLS: checker.TLS{On: true, SkipVerify: true, ServerName: "10.0.0.21", MinVersion: tls.VersionTLS10},
		}),
		check("a", "bytes", "10.0.0.21:80", checker.Config{
			Kind: checker.TCP, Send: "\x00\xff\r\n", TLS: checker.TLS{On: true, MinVersion: tls.VersionTLS13},
		}),
		check("a", "url", "10.0.0.21:8443", checker.Config{
			Kind: checker.HTTP,
			TLS: checker.TLS{
				On: true, CA: "/nonexistent/ca.pem", Certificate: "/nonexistent/tls.crt", Key: "/nonexistent/tls.key",
				MinVersion: tls.VersionTLS12,
			},
			HTTP: checker.HTTPConfig{
				Method: "POST", Path: "/health%20check?full=1", Host: "www.example.com:8443",
				Headers: "Accept: text/plain\r\nX-Token: a: b\r\nx-empty: \r\n", Body: "{\"a\": 1}\n", HTTP2: true,
				Status: statusOf(418, 418), MaxBody: 1000, Redirects: true,
				Digest: "sha256:2689367b205c16ce32ed4200942b8b8b1e262dfc70d9bc9fbc77c49699a4f1df",
			},
		}),
		check("a", "url-port", "10.0.0.21:82", checker.Config{
			Kind: checker.HTTP,
			HTTP: checker.HTTPConfig{
				Method: "GET", Path: "/", Host: "www.example.com:8443", Status: statusOf(200, 299), MaxBody: 1 << 20,
				Digest: "md5:d41d8cd98f00b204e9800998ecf8427e",
			},
		}),
		check("a", "https", "10.0.0.21:80", checker.Config{
			Kind: checker.HTTP, TLS: verified,
			HTTP: checker.HTTPConfig{
				Method: "HEAD", Path: "/", Host: "[2001:db8::1]:443", Status: statusOf(200, 299), MaxBody: 1 << 20,
			},
		}),
	}, {
		check("b", "dns-tcp-AAAA-www.Example.com.", "10.0.0.22:853", checker.Config{
			Kind: checker.DNS, DNS: checker.DNSConfig{Name: "www.Example.com.", Type: 28, TCP: true}, Expect: "2001:db8::1", TLS: verified,
		}),
		check("b", "dns-udp-HTTPS-.", "10.0.0.22:80", checker.Config{Kind: checker.DNS, DNS: checker.DNSConfig{Name: ".", Type: 65}}),
		check("b", "grpc", "10.0.0.22:80", checker.Config{Kind: checker.GRPC, GRPCService: "example.v1.Orders", TLS: verified}),
		check("b", "starttls", "10.0.0.22:80", checker.Config{Kind: checker.SMTP, HELO: "[10.0.0.2]", StartTLS: true, TLS: verified}),
		check("b", "smtps", "10.0.0.22:80", checker.Config{Kind: checker.SMTP, HELO: "localhost", TLS: verified}),
		check("b", "udp", "10.0.0.22:80", checker.Config{Kind: checker.UDP, Send: "hello", Expect: "."}),
		check("b", "empty", "10.0.0.22:80", checker.Config{Kind: checker.UDP}),
		check("b", "icmp", "10.0.0.22:0", checker.Config{Kind: checker.ICMP, Source: netip.MustParseAddr("10.0.0.2")}),
		check("b", "exec", "10.0.0.22:80", checker.Config{
			Kind: checker.Exec, Command: "/usr/lib/holdfast/check-db\x00a b\x00", DynamicWeight: true, User: "postgres",
		}),
	}}
	all := got.VirtualServers[0]
	for i, r := range all.RealServers {
		if diff := cmp.Diff(ofAll[i], r.Checks, byValue); diff != "" {
			t.Errorf("checks of %s (-want +got):\n%s", r.Name, diff)
		}
	}
	all.RealServers = nil
	want := VirtualServer{
		Name: "all", Key: all.Key, Settings: ipvs.Settings{Scheduler: "wlc"}, Forward: ipvs.DR, PanicThreshold: 40, SlowStart: 90 * time.Second,
		DrainTimeout: time.Minute, Quorum: Quorum{Weight: 5, Hysteresis: 4}, Sorry: SorryServer{Address: target("10.0.0.30:8080"), Forward: ipvs.NAT},
	}
	if diff := cmp.Diff(want, all, byValue); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}

	def := got.VirtualServers[1]
	if sorry := (SorryServer{Address: target("[2001:db8::30]:53"), Forward: ipvs.DR}); def.Sorry != sorry {
		t.Errorf("sorry server %+v, want %+v: the port and the method of the service", def.Sorry, sorry)
	}
	if q := (Quorum{Weight: 1}); def.Quorum != q {
		t.Errorf("quorum %+v, want %+v", def.Quorum, q)
	}
	const six = "[2001:db8::21]:53"
	defaults := []checker.Check{
		check("a", "tcp", six, checker.Config{Kind: checker.TCP}),
		check("a", "http", six, checker.Config{
			Kind: checker.HTTP,
			HTTP: checker.HTTPConfig{Method: "GET", Path: "/", Status: statusOf(200, 299), MaxBody: 1 << 20},
		}),
		check("a", "dns", six, checker.Config{Kind: checker.DNS, DNS: checker.DNSConfig{Name: ".", Type: 6}}),
		check("a", "grpc", six, checker.Config{Kind: checker.GRPC}),
		check("a", "smtp", six, checker.Config{Kind: checker.SMTP, HELO: "localhost"}),
		check("a", "udp", six, checker.Config{Kind: checker.UDP, Send: "\x00"}),
		check("a", "icmp", "[2001:db8::21]:0", checker.Config{Kind: checker.ICMP}),
		check("a", "exec", six, checker.Config{Kind: checker.Exec, Command: "/bin/true", User: "nobody"}),
	}
	for i := range defaults {
		defaults[i].Key.Service = "defaults"
	}
	if diff := cmp.Diff(defaults, def.RealServers[0].Checks, byValue); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

// TestChecksRun: what a configuration may say of a check, the checker can run. Nobody answers here.
func TestChecksRun(t *testing.T) {
	var list []checker.Check
	for _, file := range []string{"testdata/checks.hcl", "examples/checks.hcl"} {
		cfg, diags := Load(file)
		if diags.Errors() > 0 {
			t.Fatal(diags)
		}
		for _, s := range cfg.VirtualServers {
			for _, r := range s.RealServers {
				for _, c := range r.Checks {
					c.Key.Service = file + ":" + c.Key.Service
					config := c.Config.Value()
					config.Target = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 1)
					config.Source, config.Interval, config.Timeout = netip.Addr{}, time.Hour, 10*time.Second
					config.TLS.CA, config.TLS.Certificate, config.TLS.Key = "", "", "" // absent
					list = append(list, checker.NewCheck(c.Key, config))
				}
			}
		}
	}
	set := checker.NewSet(checker.Options{OnResult: func(s checker.Status, r checker.Result) {
		if r.Reason == "invalid check" {
			t.Errorf("%v: %v", s.Key, r.Err)
		}
	}})
	set.Apply(list)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	select {
	case <-set.FirstRound():
	case <-time.After(30 * time.Second):
		t.Error("some checks have not run")
	}
	cancel()
	<-ended
}

// TestCheckBounds has the arguments that are too long for a file of testdata.
func TestCheckBounds(t *testing.T) {
	label := strings.Repeat("a", 63)
	fits := strings.Join([]string{label, label, label, label[:61]}, ".")
	tests := []struct{ name, check, want string }{
		{"dns label", `"dns" { name = "` + label + `a" }`, `name takes a domain name such as`},
		{"dns name", `"dns" { name = "` + fits + `" }`, ""},
		{"dns name too long", `"dns" { name = "a` + fits + `" }`, "name takes at most 253 characters, not 254"},
		{"datagram", `"udp" { expect = "."` + "\n" + `send = "hex:` + strings.Repeat("00", 65507) + `" }`, ""},
		{"datagram too long", `"udp" { send = "` + strings.Repeat("a", 65508) + `" }`, "send takes at most 65507 bytes, not 65508"},
		{"send too long", `"tcp" { send = "` + strings.Repeat("a", 65537) + `" }`, "send takes at most 65536 bytes, not 65537"},
		{"body too long", `"http" { body = "` + strings.Repeat("a", 65537) + `" }`, "body takes at most 65536 bytes, not 65537"},
		{"headers too long", `"http" { headers = { A = "` + strings.Repeat("a", 8192) + `" } }`, "headers takes at most 8192 bytes in all, not 8197"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.NewReplacer("{ ", "{\n", " }", "\n}").Replace("check " + tt.check)
			_, diags := LoadBytes("x.hcl", []byte(
				"virtual_server \"a\" {\n address = \"10.0.0.1:80\"\n"+src+"\nreal_server \"b\" {\n address = \"10.0.0.2\"\n}\n}\n"))
			switch {
			case tt.want == "" && len(diags) > 0, tt.want != "" && len(diags) != 1:
				t.Fatalf("got %v, want %q", diags, tt.want)
			case tt.want != "" && !strings.HasPrefix(diags[0].Detail, tt.want):
				t.Errorf("got %q, want %q", diags[0].Detail, tt.want)
			}
		})
	}
}

func TestCheckVia(t *testing.T) {
	cfg, diags := LoadBytes("test.hcl", []byte(`
virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "dr"
  check "tcp" {
    via = "path"
  }
  check "http" {}
  real_server "web1" {
    address = "10.0.0.21:80"
  }
}
`))
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	checks := cfg.VirtualServers[0].RealServers[0].Checks
	if c := checks[0].Config.Value(); !c.Path || c.Service != netip.MustParseAddrPort("10.0.0.100:80") {
		t.Errorf("via path: got %v to %s", c.Path, c.Service)
	}
	if c := checks[1].Config.Value(); c.Path || c.Service.IsValid() {
		t.Errorf("direct: got %v to %s", c.Path, c.Service)
	}
}

// A check of a service goes the way of each of its servers.
func TestPathIsOfTheServer(t *testing.T) {
	cfg, diags := LoadBytes("test.hcl", []byte(`
virtual_server "web" {
  address = "10.0.0.100:80"
  forward = "tunnel"
  check "tcp" { via = "path" }
  check "http" {}
  real_server "ipip" { address = "10.0.0.21" }
  real_server "gue" {
    address = "10.0.0.22"
    tunnel {
      type     = "gue"
      port     = 6080
      checksum = "full"
    }
  }
  real_server "gre" {
    address = "10.0.0.23"
    tunnel { type = "gre" }
  }
  real_server "dr" {
    address = "10.0.0.24"
    forward = "dr"
  }
  real_server "own" {
    address = "10.0.0.25"
    forward = "dr"
    check "tcp" { via = "path" }
  }
}
`))
	if diags.Errors() > 0 {
		t.Fatal(diags)
	}
	for i, want := range []checker.Tunnel{{Kind: checker.TunnelIPIP}, {Kind: checker.TunnelGUE, Port: 6080, Checksum: true}, {Kind: checker.TunnelGRE}, {}, {}} {
		rs := cfg.VirtualServers[0].RealServers[i]
		if c := rs.Checks[0].Config.Value(); !c.Path || c.Tunnel != want {
			t.Errorf("%s: %v by %v, want %v", rs.Name, c.Path, c.Tunnel, want)
		}
		if len(rs.Checks) > 1 && (rs.Checks[1].Config.Value().Tunnel != checker.Tunnel{}) {
			t.Errorf("%s: a direct check goes by %v", rs.Name, rs.Checks[1].Config.Value().Tunnel)
		}
	}
}
