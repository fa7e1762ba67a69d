// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/systemd"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
	"github.com/holdfast-lb/holdfast/vrrp"
)

func TestMain(m *testing.M) {
	namespaceLock = fmt.Sprintf("@holdfast-test-%d", os.Getpid())
	os.Exit(m.Run())
}

// host is a network in memory that remembers what was done to its addresses.
type host struct {
	mu   sync.Mutex
	held map[vrrp.Address]bool
	did  []string
}

func (h *host) Link(string) (int, error)                    { return 1, nil }
func (h *host) Owns(string, netip.Addr) bool                { return true }
func (h *host) Watch(func()) (stop func())                  { return func() {} }
func (h *host) Announce(vrrp.Address, vrrp.ARPFormat) error { return nil }

func (h *host) Missing(addresses []vrrp.Address) []vrrp.Address {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(addresses), func(a vrrp.Address) bool { return h.held[a] })
}

func (h *host) Lease(addresses []vrrp.Address) time.Duration {
	if len(h.Missing(addresses)) > 0 {
		return 0
	}
	return time.Minute
}

func (h *host) Hold(addresses []vrrp.Address, _ time.Duration) error {
	return h.set(addresses, true, "hold")
}

func (h *host) Release(addresses []vrrp.Address) error { return h.set(addresses, false, "release") }

func (h *host) ReleaseRoutes(routes []vrrp.Route) error {
	for _, r := range routes {
		h.note("release route " + r.Destination.String())
	}
	return nil
}

func (h *host) Discard(c vrrp.Config) error {
	h.note("discard " + vrrp.VMACDevice(c.Interface, c.ID, c.Family6()))
	return nil
}

func (h *host) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.did = append(h.did, what)
}

func (h *host) set(addresses []vrrp.Address, there bool, what string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range addresses {
		if h.held[a] != there {
			h.held[a] = there
			h.did = append(h.did, what+" "+a.String())
		}
	}
	return nil
}

// silence is a connection on which nobody else is.
type silence struct{}

func dialSilence(vrrp.Config) (vrrp.Conn, error) { return silence{}, nil }

func (silence) Ready() <-chan struct{}                { return nil }
func (silence) Read([]byte) (int, vrrp.Header, error) { return 0, vrrp.Header{}, vrrp.ErrNothing }
func (silence) Write([]byte, netip.Addr) error        { return nil }
func (silence) Source() netip.Addr                    { return netip.MustParseAddr("10.0.0.2") }
func (silence) Close() error                          { return nil }

// site is a director with everything that it works on.
type site struct {
	t       *testing.T
	path    string
	table   *ipvstest.Fake
	open    func(context.Context) (ipvs.Table, error)
	whoHas  func(context.Context, string, []netip.Addr) ([]vrrp.Answer, error) // nil: nobody is asked
	dial    func(vrrp.Config) (vrrp.Conn, error)
	host    *host
	servers [2]*backend
	client  Client
	web     string
	manager *systemd.Manager // nil: none
	sysctls string           // root
	adverts string           // interval
	vars    []configs.Variable
	log     lockedBuffer
}

// backend is a real server whose health can be taken away.
type backend struct {
	*httptest.Server
	sick atomic.Bool
}

func (b *backend) addr() string { return b.Listener.Addr().String() }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSite(t *testing.T) *site {
	dir := t.TempDir()
	s := &site{t: t, path: filepath.Join(dir, "holdfast.hcl"), table: &ipvstest.Fake{}, host: &host{held: make(map[vrrp.Address]bool)}, adverts: "20ms", dial: dialSilence}
	s.open = func(context.Context) (ipvs.Table, error) { return s.table, nil }
	for i := range s.servers {
		b := &backend{}
		b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if b.sick.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(b.Close)
		s.servers[i] = b
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.web = l.Addr().String()
	_ = l.Close()
	s.client = Client{filepath.Join(dir, "run", "control.sock")}
	s.write(1)
	return s
}

// write writes the configuration; weight is that of the first server.
func (s *site) write(weight int, more ...string) {
	s.t.Helper()
	text := fmt.Sprintf(`
director {
  name           = "lb1"
  control_socket = %q
  state_dir      = %q
}
http { listen = %q }
virtual_router "web" {
  interface          = "eth0"
  id                 = 51
  advertise_interval = %q
  addresses          = ["127.0.0.100/32"]
}
virtual_server "web" {
  address = "127.0.0.100:80"
  check "http" {
    interval = "50ms"
    timeout  = "50ms"
    path     = "/"
  }
  real_server "web1" {
    address = %q
    weight  = %d
  }
  real_server "web2" { address = %q }
}
%s`, s.client.Socket, filepath.Join(filepath.Dir(s.path), "state"), s.web, s.adverts,
		s.servers[0].addr(), weight, s.servers[1].addr(), strings.Join(more, "\n"))
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// edit replaces text in the configuration.
func (s *site) edit(old, with string) {
	s.t.Helper()
	b, err := os.ReadFile(s.path)
	if err != nil || !strings.Contains(string(b), old) {
		s.t.Fatalf("%q is not in the configuration, %v", old, err)
	}
	if err := os.WriteFile(s.path, []byte(strings.ReplaceAll(string(b), old, with)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// reload reads the configuration again.
func (s *site) reload() {
	s.t.Helper()
	if _, err := s.client.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// add adds blocks to the configuration.
func (s *site) add(blocks string) {
	s.t.Helper()
	s.edit("http {", blocks+"\nhttp {")
}

// track adds blocks to the virtual router "web".
func (s *site) track(blocks string) {
	s.t.Helper()
	s.edit(`id                 = 51`, "id = 51\n"+blocks)
}

// routerBecomes waits until f has nothing to say against a virtual router.
func (s *site) routerBecomes(name string, f func(VirtualRouterStatus) bool) {
	s.t.Helper()
	s.eventually(func() error {
		for _, vr := range s.status().VirtualRouters {
			if vr.Name == name && f(vr) {
				return nil
			}
		}
		return fmt.Errorf("not what it is to be: %+v", s.status().VirtualRouters)
	})
}

// logged waits for a text in the log.
func (s *site) logged(text string) {
	s.t.Helper()
	s.eventually(func() error {
		if !strings.Contains(s.log.String(), text) {
			return fmt.Errorf("the log lacks %q", text)
		}
		return nil
	})
}

// routerIs waits for the state of a virtual router.
func (s *site) routerIs(name, state string) {
	s.t.Helper()
	s.routerBecomes(name, func(vr VirtualRouterStatus) bool { return vr.State == state })
}

// ready waits for the first round of checks.
func (s *site) ready() {
	s.t.Helper()
	s.eventually(func() error {
		if !s.status().Ready {
			return errors.New("not ready")
		}
		return nil
	})
}

// run starts a director and returns how to stop it and wait for its end.
func (s *site) run() (d *Director, stop func() error) {
	s.t.Helper()
	cfg, diags := configs.Load(s.path, s.vars...)
	if diags.Errors() > 0 {
		s.t.Fatal(diags.Err())
	}
	log := NewLog(&s.log, "text", false)
	d = New(Options{
		Config: cfg, Log: log.Logger, Level: log.Level, Host: s.host, Dial: s.dial, OpenTable: s.open, WhoHas: s.whoHas, Sysctls: s.sysctls,
		Manager: s.manager,
		Version: Version{Version: "v0.0.0", Go: "go"},
	})
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		log.Close()
		return err
	})
	s.t.Cleanup(func() {
		if err := stop(); err != nil {
			s.t.Errorf("run: %v", err)
		}
		if s.t.Failed() {
			s.t.Log(s.log.String())
		}
	})
	s.eventually(func() error { _, err := s.client.Status(s.t.Context()); return err })
	return d, stop
}

// eventually waits until f says that all is well.
func (s *site) eventually(f func() error) {
	s.t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	s.t.Fatal(err)
}

func (s *site) status() Status {
	st, err := s.client.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// tableHas waits for the destinations "web1=1 web2=1" in the table.
func (s *site) tableHas(want string) {
	s.t.Helper()
	s.eventually(func() error {
		list, _ := s.table.List(s.t.Context())
		var got []string
		for i, b := range s.servers {
			for _, svc := range list {
				for _, d := range svc.Destinations {
					if d.Address.String() == b.addr() {
						got = append(got, fmt.Sprintf("web%d=%d", i+1, d.Weight))
					}
				}
			}
		}
		if text := strings.Join(got, " "); text != want {
			return fmt.Errorf("table has %q, want %q", text, want)
		}
		return nil
	})
}

func (s *site) get(path string) (int, string) {
	resp, err := http.Get("http://" + s.web + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func (*host) Changes(string) uint64 { return 0 }

func (*host) Turn(_ string, _ time.Duration, now time.Time) time.Time { return now }

func (*host) HoldRoutes([]vrrp.Route) error { return nil }
func (*host) Prepare(vrrp.Config) error     { return nil }
func (*host) Suspended() time.Duration      { return 0 }
