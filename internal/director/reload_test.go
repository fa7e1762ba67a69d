// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/vrrp"
)

const tcpToo = "check \"tcp\" {\n interval = \"50ms\"\n timeout = \"50ms\"\n }\n check \"http\" {"

func TestServerWithTwoChecksRecoversAfterARestart(t *testing.T) {
	s := newSite(t)
	s.edit(`check "http" {`, tcpToo)
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.ready()
	s.servers[0].sick.Store(true)
	s.tableHas("web2=1")
	s.servers[0].sick.Store(false)
	s.tableHas("web1=1 web2=1")
}

func TestServerThatGetsAnotherCheckStaysUpAndRecovers(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	s.table.Applied()
	s.edit(`check "http" {`, tcpToo)
	s.reload()
	s.servers[0].sick.Store(true)
	s.tableHas("web2=1")
	if ops := s.table.Applied(); len(ops) != 1 {
		t.Errorf("operations %v, want one deletion", ops)
	}
	s.servers[0].sick.Store(false)
	s.tableHas("web1=1 web2=1")
}

func TestServerWithAnotherAddressIsAnotherServer(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	s.table.Applied()
	const nobody = "127.0.0.77:81"
	s.edit(s.servers[0].addr(), nobody)
	s.reload()
	s.tableHas("web2=1")
	s.eventually(func() error {
		if rs := s.status().VirtualServers[0].RealServers[0]; rs.State != "down" {
			return fmt.Errorf("the new address is %s", rs.State)
		}
		return nil
	})
	for _, op := range s.table.Applied() {
		if strings.Contains(op, nobody) {
			t.Errorf("%s: before a passed check", op)
		}
	}
	s.edit(nobody, s.servers[0].addr())
	s.reload()
	s.tableHas("web1=1 web2=1")
}

func TestServerOfWeightZeroIsLeftAloneByARestart(t *testing.T) {
	s := newSite(t)
	s.write(0)
	_, stop := s.run()
	s.tableHas("web1=0 web2=1")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.table.Applied()
	s.run()
	s.ready()
	s.tableHas("web1=0 web2=1")
	if ops := s.table.Applied(); len(ops) > 0 {
		t.Errorf("operations after a restart: %v", ops)
	}
}

func TestReloadMovesAnAddressToAnotherRouter(t *testing.T) {
	const two = `["127.0.0.100/32", "127.0.0.101/32"]`
	s := newSite(t)
	s.edit(`["127.0.0.100/32"]`, two)
	s.run()
	s.routerIs("web", "master")
	s.edit(two, `["127.0.0.100/32"]`)
	s.edit(`virtual_router "web" {`, `virtual_router "new" {
  interface          = "eth0"
  id                 = 52
  advertise_interval = "20ms"
  addresses          = ["127.0.0.101/32"]
}
virtual_router "web" {`)
	s.reload()
	s.routerIs("web", "master")
	s.routerIs("new", "master")
	s.eventually(func() error {
		if missing := s.host.Missing(addresses("127.0.0.100/32", "127.0.0.101/32")); len(missing) > 0 {
			return fmt.Errorf("missing %v", missing)
		}
		return nil
	})
}

func TestReloadRenamesARouter(t *testing.T) {
	s := newSite(t)
	s.run()
	s.routerIs("web", "master")
	s.edit(`virtual_router "web"`, `virtual_router "renamed"`)
	s.reload()
	s.routerIs("renamed", "master")
	s.eventually(func() error {
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		// A stall of this process may have taken the role for a moment before.
		const hold, release = "hold 127.0.0.100/32 dev eth0", "release 127.0.0.100/32 dev eth0"
		if n := len(s.host.did); n < 3 || !slices.Equal(s.host.did[n-2:], []string{release, hold}) {
			return fmt.Errorf("addresses: %v, want %s and then %s at the end", s.host.did, release, hold)
		}
		return nil
	})
}

// A router comes back while it still hands over: it must wait for itself.
func TestReloadTakesBackARemoval(t *testing.T) {
	s := newSite(t)
	s.adverts = "100ms"
	s.write(1)
	s.run()
	s.routerIs("web", "master")
	b, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	without := text[:strings.Index(text, "virtual_router")] + text[strings.Index(text, "virtual_server"):]
	s.edit(text, without)
	s.reload()
	s.edit(without, text)
	s.reload()
	s.routerIs("web", "master")
	s.eventually(func() error {
		if missing := s.host.Missing(addresses("127.0.0.100/32")); len(missing) > 0 {
			return fmt.Errorf("missing %v", missing)
		}
		return nil
	})
}

func addresses(list ...string) []vrrp.Address {
	var all []vrrp.Address
	for _, a := range list {
		all = append(all, vrrp.Address{Prefix: netip.MustParsePrefix(a), Device: "eth0"})
	}
	return all
}

func TestTheNewestFileIsInForce(t *testing.T) {
	s := newSite(t)
	d, _ := s.run()
	var long strings.Builder
	for i := range 300 {
		fmt.Fprintf(&long, "virtual_server \"v%d\" {\n  address = \"127.0.0.100:%d\"\n}\n", i, 1000+i)
	}
	for i := range 20 {
		var wg sync.WaitGroup
		s.write(10+2*i, long.String())
		wg.Go(func() { _, _ = d.Reload(t.Context()) })
		s.write(11 + 2*i) // shorter, so quicker to load
		wg.Go(func() { _, _ = d.Reload(t.Context()) })
		wg.Wait()
		if got := d.view.Load().config.VirtualServers[0].RealServers[0].Weight; got != uint32(11+2*i) {
			t.Fatalf("weight %d in force, %d in the file", got, 11+2*i)
		}
	}
}

func TestListenerMovesToAnotherAddressOfItsPort(t *testing.T) {
	s := newSite(t)
	s.run()
	_, port, _ := strings.Cut(s.web, ":")
	s.edit(`"`+s.web+`"`, `":`+port+`"`)
	s.reload()
	s.eventually(func() error {
		if code, body := s.get("/healthz"); code != 200 {
			return fmt.Errorf("healthz: %d %s", code, body)
		}
		return nil
	})
}

// stubborn is a table that can be held up in List, and refuse to delete services.
type stubborn struct {
	ipvs.Table
	hold, refuse atomic.Bool
	held, gate   chan struct{}
}

func (t *stubborn) List(ctx context.Context) ([]ipvs.Service, error) {
	list, err := t.Table.List(ctx)
	if t.hold.Load() {
		t.held <- struct{}{}
		<-t.gate
	}
	return list, err
}

func (t *stubborn) Apply(ctx context.Context, op ipvs.Op) error {
	if t.refuse.Load() && op.Kind == ipvs.DeleteService {
		return syscall.ENOMEM
	}
	return t.Table.Apply(ctx, op)
}

// A report about what was wanted before a reload must not make us forget what the reload wants deleted.
func TestServiceIsOursUntilItIsDeleted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	table := &stubborn{Table: s.table, held: make(chan struct{}), gate: make(chan struct{})}
	s.open = func(context.Context) (ipvs.Table, error) { return table, nil }
	s.write(1, `virtual_server "two" { address = "127.0.0.100:81" }`)
	s.run()
	s.tableHas("web1=1 web2=1")
	table.hold.Store(true)
	<-table.held // a periodic reading
	table.refuse.Store(true)
	s.write(1)
	s.reload()
	table.hold.Store(false)
	table.gate <- struct{}{} // its report says that all is well
	s.eventually(func() error {
		if s.status().IPVS.Error == "" {
			return errors.New("the deletion has not been refused yet")
		}
		return nil
	})
	s.servers[0].sick.Store(true) // another goal
	s.tableHas("web2=1")
	table.refuse.Store(false)
	s.eventually(func() error {
		if strings.Contains(s.table.String(), ":81") {
			return fmt.Errorf("still there:\n%s", s.table)
		}
		return nil
	})
}

// A table that cannot be written is a fault, and what says nothing about IPVS as a whole does not end it.
func TestFaultLastsUntilTheTableIsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	var opened atomic.Int32
	s.open = func(context.Context) (ipvs.Table, error) {
		switch n := opened.Add(1); {
		case n < 4:
			return nil, fmt.Errorf("open: %w", ipvs.ErrReloaded)
		case n < 8:
			return nil, errors.New("no answer")
		}
		return s.table, nil
	}
	s.run()
	s.eventually(func() error {
		vr := s.status().VirtualRouters[0]
		if n := opened.Load(); n >= 4 && n < 8 && vr.State != "fault" && vr.State != "init" {
			t.Fatalf("%s after %d attempts", vr.State, n)
		}
		if vr.State != "master" {
			return fmt.Errorf("%s: %s", vr.State, vr.Reason)
		}
		return nil
	})
}

func TestRouterAloneLeavesTheLoopInPeace(t *testing.T) {
	s := newSite(t)
	b, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.edit(string(b)[strings.Index(string(b), "virtual_server"):], "")
	d, _ := s.run()
	s.routerIs("web", "master")
	s.eventually(func() error {
		if s.status().IPVS.LastReconcile.IsZero() {
			return errors.New("no report yet")
		}
		return nil
	})
	var goal uint64
	_ = d.call(t.Context(), func() { goal = d.goal })
	if goal != 1 {
		t.Errorf("the reconciler was given %d tables, want one", goal)
	}
}

// What was ours and is deleted may be somebody else's from then on.
func TestServiceIsNotOursOnceItIsDeleted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	s.write(1, `virtual_server "two" { address = "127.0.0.100:81" }`)
	s.run()
	s.eventually(func() error {
		if !strings.Contains(s.table.String(), ":81") {
			return errors.New("not there yet")
		}
		return nil
	})
	s.write(1)
	s.reload()
	s.eventually(func() error {
		if strings.Contains(s.table.String(), ":81") || s.status().IPVS.Error != "" {
			return errors.New("not deleted yet")
		}
		return nil
	})
	key := ipvs.Key{Address: netip.MustParseAddr("127.0.0.100"), Port: 81, Protocol: ipvs.TCP}
	if err := s.table.Apply(t.Context(), ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: "rr"}}); err != nil {
		t.Fatal(err)
	}
	s.eventually(func() error { // until a reading has found it
		if n := s.status().IPVS.Foreign; n != 1 {
			return fmt.Errorf("%d foreign services, want 1", n)
		}
		return nil
	})
	if !strings.Contains(s.table.String(), ":81") {
		t.Error("a service of somebody else was deleted")
	}
}

// A router that gets another place in the election takes no part in it before it has left the old one.
func TestReloadMovesARouter(t *testing.T) {
	s := newSite(t)
	d, _ := s.run()
	s.routerIs("web", "master")
	s.edit("= 51", "= 52")
	s.edit(`["127.0.0.100/32"]`, `["127.0.0.101/32"]`)
	s.reload()
	s.eventually(func() error {
		if missing := s.host.Missing(addresses("127.0.0.101/32")); len(missing) > 0 {
			return fmt.Errorf("missing %v", missing)
		}
		return nil
	})
	var role vrrp.State
	_ = d.call(t.Context(), func() { role = d.roles["web"] })
	if role != vrrp.Master {
		t.Errorf("the state file would say %v", role)
	}
}

func TestStartUpTakesAsManyFailuresAsEver(t *testing.T) {
	s := newSite(t)
	s.servers[0].sick.Store(true)
	s.edit(`address = "127.0.0.100:80"`, "address = \"127.0.0.100:80\"\n start = \"up\"")
	s.run()
	s.tableHas("web2=1")
	if rs := s.status().VirtualServers[0].RealServers[0]; !strings.Contains(rs.Reason, "(3 in a row)") {
		t.Errorf("down because of %q, want three failures", rs.Reason)
	}
}

// A crash during the hand-over of a router that a reload has removed must not leave its address for ever: until it is
// over, the next run is told of it.
func TestStateNamesARouterThatStillHandsOver(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newSite(t)
	s.adverts = "500ms"
	s.write(1)
	s.run()
	s.routerIs("web", "master")
	s.edit(`["127.0.0.100/32"]`, `["127.0.0.101/32"]`)
	s.edit(`interface          = "eth0"`, `interface          = "eth1"`)
	s.reload()
	state := func() State {
		state, err := ReadState(filepath.Join(filepath.Dir(s.path), "state"))
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	cfg, _ := configs.Load(s.path)
	s.eventually(func() error {
		if got := state(); got.VirtualRouters[0].Addresses[0].Device != "eth1" {
			return fmt.Errorf("not written yet: %v", got)
		}
		return nil
	})
	s.eventually(func() error {
		left := state().stale(cfg).addresses
		there := len(s.host.Missing(addresses("127.0.0.100/32"))) == 0
		if there && !slices.Equal(left, addresses("127.0.0.100/32")) {
			t.Fatalf("left over: %v", left)
		}
		if there || len(left) > 0 {
			return fmt.Errorf("there: %v, left over: %v", there, left)
		}
		return nil
	})
}
