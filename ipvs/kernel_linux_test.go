// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
	"golang.org/x/sync/errgroup"
)

func openKernel(t testing.TB, h *netlab.Host) *ipvs.Kernel {
	t.Helper()
	k, err := ipvs.OpenKernel(t.Context(), h.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestKernel(t *testing.T) {
	netlab.RequireIPVS(t)
	ipvstest.TestTable(t, func(t *testing.T) ipvs.Table { return openKernel(t, netlab.Test(t).Host("director")) })
}

// TestOpenKernel holds on every kernel: where there is no IPVS the error says so.
func TestOpenKernel(t *testing.T) {
	k, err := ipvs.OpenKernel(t.Context(), "")
	switch {
	case errors.Is(err, os.ErrPermission):
		if !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("got %q, want it to name the capability", err)
		}
	case errors.Is(err, ipvs.ErrNoIPVS):
		if !errors.Is(err, syscall.ENOENT) {
			t.Errorf("got %q, want it to wrap ENOENT", err)
		}
	case err != nil:
		t.Error(err)
	default:
		defer k.Close()
		info, err := k.Info(t.Context())
		if err != nil || info.Version != "1.2.1" || info.ConnectionTableSize == 0 {
			t.Errorf("got %+v, %v, want version 1.2.1 and a size", info, err)
		}
	}
}

func TestKernelExplainsMissingScheduler(t *testing.T) {
	netlab.RequireIPVS(t)
	k := openKernel(t, netlab.Test(t).Host("director"))
	key := ipvs.Key{Address: netip.MustParseAddr("10.9.0.1"), Port: 80, Protocol: ipvs.TCP}
	err := k.Apply(t.Context(), ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: "best"}})
	if want := "the kernel has no scheduler best: modprobe ip_vs_best: exit status 1: "; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
}

func TestKernelGoesOnAfterCancelledCall(t *testing.T) {
	netlab.RequireIPVS(t)
	k := openKernel(t, netlab.Test(t).Host("director"))
	key := ipvs.Key{Address: netip.MustParseAddr("10.9.0.1"), Port: 80, Protocol: ipvs.TCP}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if err := k.Apply(cancelled, ipvs.Op{Kind: ipvs.DeleteService, Service: key}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want %v", err, context.Canceled)
		}
		if _, err := k.List(cancelled); !errors.Is(err, context.Canceled) {
			t.Fatalf("list: got %v, want %v", err, context.Canceled)
		}
		add := ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: "rr"}}
		if err := k.Apply(t.Context(), add); err != nil {
			t.Fatal(err)
		}
		if err := k.Apply(t.Context(), ipvs.Op{Kind: ipvs.DeleteService, Service: key}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKernelClosed(t *testing.T) {
	netlab.RequireIPVS(t)
	k := openKernel(t, netlab.Test(t).Host("director"))
	for range 2 {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
	key := ipvstest.Parse("-A -t 10.9.0.1:80 -s rr")[0].Key
	if err := k.Apply(t.Context(), ipvs.Op{Kind: ipvs.DeleteService, Service: key}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want %v", err, os.ErrClosed)
	}
}

func TestKernelCountersOutliveUpdates(t *testing.T) {
	netlab.RequireIPVS(t)
	lab := netlab.Test(t)
	host := lab.Host("director")
	host.Address("lo", netip.MustParsePrefix("10.9.0.1/32"))
	host.Address("lo", netip.MustParsePrefix("10.9.1.1/32"))
	listener, err := host.Listen("tcp", "10.9.1.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	k := openKernel(t, host)
	// The server is on the director: the method must read back as it was asked for, or every reading would find drift.
	for _, state := range []string{
		"-A -t 10.9.0.1:80 -s rr\n-a -t 10.9.0.1:80 -r 10.9.1.1:8080 -m -w 1",
		"-A -t 10.9.0.1:80 -s sh -b sh-port\n-a -t 10.9.0.1:80 -r 10.9.1.1:8080 -g -w 2",
	} {
		want := ipvstest.Parse(state)
		if _, err := ipvs.Reconcile(t.Context(), k, ipvs.Goal{Services: want}); err != nil {
			t.Fatal(err)
		}
		have, err := k.List(t.Context())
		if err != nil || len(have) != 1 || !have[0].Equal(want[0]) {
			t.Fatalf("got %v, %v, want %v", have, err, want)
		}
		if want[0].Scheduler == "rr" {
			exchange(t, host, listener)
		}
	}
	// The kernel adds up what its processors counted every 2 s.
	stats := make([]ipvs.ServiceStats, 1)
	for begin := time.Now(); stats[0].Counters.Connections == 0 && time.Since(begin) < 20*time.Second; {
		if stats, err = k.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []ipvs.Counters{stats[0].Counters, stats[0].Destinations[0].Counters} {
		if c.Connections != 1 || c.InPackets < 3 || c.InBytes < 120 {
			t.Errorf("got %+v, want one connection and its packets", c)
		}
	}
	var list []ipvs.Connection
	err = host.Do(func() error {
		_, err := ipvs.Connections(t.Context(), ipvs.ConnectionFilter{Service: stats[0].Key}, func(c ipvs.Connection) bool {
			list = append(list, c)
			return true
		})
		return err
	})
	if err != nil || len(list) != 1 || list[0].Destination != stats[0].Destinations[0].Address || list[0].State == "" || list[0].Expires == 0 {
		t.Errorf("got connections %+v, %v, want the one", list, err)
	}
	if d := stats[0].Destinations[0]; d.Active+d.Inactive != 1 {
		t.Errorf("got %+v, want one connection", d)
	}
}

// exchange makes one connection to the service and sends a byte back over it.
func exchange(t *testing.T, host *netlab.Host, listener net.Listener) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err := host.Dial(ctx, "tcp", "10.9.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := server.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestKernelSharedByGoroutines would hang for ever if moby/ipvs were called by two of them at once.
func TestKernelSharedByGoroutines(t *testing.T) {
	netlab.RequireIPVS(t)
	k := openKernel(t, netlab.Test(t).Host("director"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group errgroup.Group
	for i := range 8 {
		group.Go(func() error {
			key := ipvs.Key{Address: netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}), Port: 80, Protocol: ipvs.TCP}
			for range 50 {
				add := k.Apply(ctx, ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: "rr"}})
				_, read := k.Stats(ctx)
				remove := k.Apply(ctx, ipvs.Op{Kind: ipvs.DeleteService, Service: key})
				if err := errors.Join(add, read, remove); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestKernelExplains meets the errors whose cause is the machine.
func TestKernelExplains(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	d := syncDaemon(ipvs.SyncMaster, 1)
	d.Interface = ipvstest.AbsentInterface
	err := k.Apply(t.Context(), ipvs.Op{Kind: ipvs.StartSync, Sync: d})
	if !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), "no interface "+d.Interface) {
		t.Errorf("got %v, want it to name the interface", err)
	}
	key := ipvstest.Parse("-A -u 10.9.0.1:5060 -s rr")[0].Key
	settings := ipvs.Settings{Scheduler: "rr", Persistence: ipvs.Persistence{Timeout: time.Minute, Netmask: 32, Engine: "psychic"}}
	err = k.Apply(t.Context(), ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: settings})
	if err == nil || !strings.Contains(err.Error(), "the kernel has no persistence engine psychic: modprobe ip_vs_pe_psychic: exit status 1: ") {
		t.Errorf("got %v, want it to name the module", err)
	}
}

// TestKernelZero counts a connection and forgets it.
func TestKernelZero(t *testing.T) {
	netlab.RequireIPVS(t)
	k := openKernel(t, netlab.Test(t).Host("director"))
	key := ipvstest.Parse("-A -t 10.9.0.1:80 -s rr")[0].Key
	if err := k.Zero(t.Context(), key); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("got %v, want %v", err, syscall.ESRCH)
	}
	if err := k.Apply(t.Context(), ipvs.Op{Kind: ipvs.AddService, Service: key, Settings: ipvs.Settings{Scheduler: "rr"}}); err != nil {
		t.Fatal(err)
	}
	for _, k2 := range []ipvs.Key{key, {}} {
		if err := k.Zero(t.Context(), k2); err != nil {
			t.Errorf("zero %v: %v", k2, err)
		}
	}
}

// TestKernelReloaded unloads ip_vs under our hands, which gives it another number that moby/ipvs does not learn.
func TestKernelReloaded(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	old := openKernel(t, host)
	reload(t)
	if _, err := old.List(t.Context()); !errors.Is(err, ipvs.ErrReloaded) {
		t.Errorf("got %v, want %v", err, ipvs.ErrReloaded)
	}
	op := ipvs.Op{Kind: ipvs.AddService, Service: ipvstest.Parse("-A -t 10.9.0.1:80 -s rr")[0].Key, Settings: ipvs.Settings{Scheduler: "rr"}}
	if err := old.Apply(t.Context(), op); !errors.Is(err, ipvs.ErrReloaded) {
		t.Errorf("apply: got %v, want %v", err, ipvs.ErrReloaded)
	}
	ipvstest.TestTable(t, func(t *testing.T) ipvs.Table { return openKernel(t, netlab.Test(t).Host("director")) })
}

// reload unloads and loads ip_vs. Namespaces that tests left behind go a little later and hold it that long.
func reload(t *testing.T) {
	t.Helper()
	var out []byte
	for begin := time.Now(); time.Since(begin) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		modules, err := os.ReadFile("/proc/modules")
		if err != nil {
			t.Fatal(err)
		}
		remove := []string{"-r"}
		for line := range strings.Lines(string(modules)) {
			if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "ip_vs_") {
				remove = append(remove, name)
			}
		}
		if out, err = exec.Command("modprobe", append(remove, "ip_vs")...).CombinedOutput(); err != nil {
			continue
		}
		if out, err = exec.Command("modprobe", "ip_vs").CombinedOutput(); err != nil {
			t.Fatalf("load ip_vs: %v: %s", err, out)
		}
		return
	}
	t.Skipf("ip_vs is in use or built in: %s", out)
}

// TestKernelForeign has ipvsadm make services that are not ours.
func TestKernelForeign(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	ipvsadm(t, host, "-A -f 7 -s rr")
	ipvsadm(t, host, "-a -f 7 -r 10.9.1.1:0 -g -w 1")
	ipvsadm(t, host, "-A -t 10.9.0.9:80 -s rr -p 300")
	want := ipvstest.Parse("-A -t 10.9.0.1:80 -s rr\n-a -t 10.9.0.1:80 -r 10.9.1.1:80 -m -w 1")
	for _, goal := range [][]ipvs.Service{want, nil} {
		report, err := ipvs.Reconcile(t.Context(), k, ipvs.Goal{Services: goal, Owned: []ipvs.Key{want[0].Key}})
		if err != nil || report.Foreign != 2 {
			t.Errorf("got %+v, want 2 foreign services", report)
		}
	}
	if list, err := k.List(t.Context()); err != nil || len(list) != 2 || list[0].Key != ipvs.MarkKey(7, false) || len(list[0].Destinations) != 1 {
		t.Errorf("got %v, %v, want the two foreign services, the one by mark first", list, err)
	}
	if stats, err := k.Stats(t.Context()); err != nil || len(stats) != 2 {
		t.Errorf("got %v, %v, want statistics of both", stats, err)
	}
}

// TestKernelDrift has ipvsadm edit a service of ours under a running reconciler, which makes it as it was.
func TestKernelDrift(t *testing.T) {
	netlab.RequireIPVS(t)
	host := netlab.Test(t).Host("director")
	k := openKernel(t, host)
	want := ipvstest.Parse("-A -t 10.9.0.1:80 -s wlc\n-a -t 10.9.0.1:80 -r 10.9.1.1:80 -m -w 1")
	reports := make(chan ipvs.Report, 1)
	r := ipvs.NewReconciler(slog.New(slog.DiscardHandler),
		func(context.Context) (ipvs.Table, error) { return openTable(host) },
		func(r ipvs.Report) { reports <- r })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.Set(ipvs.Goal{Services: want})
	if report := <-reports; report.Err != nil || report.Done.Total() != 2 {
		t.Errorf("got %+v, want two operations", report)
	}
	ipvsadm(t, host, "-E -t 10.9.0.1:80 -s wlc -p 60")
	ipvsadm(t, host, "-e -t 10.9.0.1:80 -r 10.9.1.1:80 -m -w 5")
	ipvsadm(t, host, "-a -t 10.9.0.1:80 -r 10.9.1.2:80 -m -w 5")
	report := <-reports
	drift := ipvs.Counts{ipvs.UpdateService: 1, ipvs.UpdateDestination: 1, ipvs.DeleteDestination: 1}
	if report.Err != nil || report.Drift != drift || report.Done != drift {
		t.Errorf("got %+v, want %s", report, drift)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if have, err := k.List(t.Context()); err != nil || len(have) != 1 || !have[0].Equal(want[0]) {
		t.Errorf("got %v, %v, want %v", have, err, want)
	}
}

func openTable(host *netlab.Host) (ipvs.Table, error) {
	return ipvs.OpenKernel(context.Background(), host.Path())
}
