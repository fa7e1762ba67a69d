// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// daemonConfig is the environment variable that makes the test binary a daemon of one router: a process of its own, in
// the namespace of a host, that can be stopped and killed.
const daemonConfig = "VRRP_TEST_DAEMON"

func TestMain(m *testing.M) {
	if config := os.Getenv(daemonConfig); config != "" {
		if err := daemon(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// daemon runs an Instance until SIGTERM. It prints each transition, the status whenever there is something to read, and
// the last status.
func daemon(config string) error {
	var c Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	n, err := OpenNetwork(log)
	if err != nil {
		return err
	}
	defer n.Close()
	var mu sync.Mutex
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(os.Stdout).Encode(l)
	}
	i := NewInstance(Input{Config: c}, Options{
		Host: n, Dial: n.Dial, Log: log, OnTransition: func(t Transition) { say(line{Transition: &t}) },
	})
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			s := i.Status()
			say(line{Status: &s})
		}
	}()
	var wg sync.WaitGroup
	following, unfollow := context.WithCancel(context.Background())
	wg.Go(func() { _ = n.Run(following) })
	err = i.Run(ctx)
	unfollow()
	wg.Wait()
	s := i.Status()
	say(line{Status: &s})
	return err
}

// line is what a daemon prints.
type line struct {
	Transition *Transition
	Status     *Status
}

// process is a daemon that runs.
type process struct {
	t      *testing.T
	cmd    *netlab.Cmd
	stdin  io.Writer
	lines  chan line
	stderr bytes.Buffer
	ended  sync.Once
}

func startRouter(t *testing.T, h *netlab.Host, c Config) *process {
	t.Helper()
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: h.Command(t.Context(), os.Args[0]), lines: make(chan line, 1000)}
	p.cmd.Env = append(os.Environ(), daemonConfig+"="+string(config))
	p.cmd.Stderr = &p.stderr
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for d := json.NewDecoder(stdout); ; {
			var l line
			if d.Decode(&l) != nil {
				return
			}
			p.lines <- l
		}
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("%s: %s", h.Name, p.stderr.String())
		}
	})
	return p
}

// becomes waits, 5 s at most, until the router says that it is in a state, and returns since when.
func (p *process) becomes(s State) time.Time {
	p.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("ended before it was %v", s)
			}
			if l.Transition != nil && l.Transition.To == s {
				return l.Transition.At
			}
		case <-deadline:
			p.t.Fatalf("did not become %v", s)
		}
	}
}

// status asks for the status. Transitions that were not waited for are dropped.
func (p *process) status() Status {
	p.t.Helper()
	fmt.Fprintln(p.stdin)
	for l := range p.lines {
		if l.Status != nil {
			return *l.Status
		}
	}
	p.t.Fatal("ended before it told its status")
	return Status{}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// kill is a crash.
func (p *process) kill() {
	p.ended.Do(func() {
		_ = p.cmd.Process.Kill()
		for range p.lines {
		}
		_ = p.cmd.Wait()
	})
}

// stop is a planned stop; it returns the last status.
func (p *process) stop() (last Status) {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.ended.Do(func() {
		for l := range p.lines {
			if l.Status != nil {
				last = *l.Status
			}
		}
		if err := p.cmd.Wait(); err != nil {
			p.t.Errorf("stopped: %v", err)
		}
	})
	return last
}

// quick is a configuration of 100 ms and a lease.
func quick(priority uint8) Config {
	c := config()
	c.Priority, c.Interval, c.Lease = priority, 100*ms, 2*time.Second
	return c
}

// quickPair is two routers of 200 and 150, of which the first has become master.
func quickPair(t *testing.T) (a, b *process, pa, pb *netlab.Port, wire *capture) {
	t.Helper()
	lan, pa, pb := twoHosts(t)
	wire = watch(t, lan.Host, "br0")
	a = startRouter(t, pa.Host, quick(200))
	a.becomes(Master)
	b = startRouter(t, pb.Host, quick(150))
	b.becomes(Backup)
	wire.next("announcement", isARP)
	return a, b, pa, pb, wire
}

func isAnnouncement(b []byte) bool { return isARP(b) && looks(b[28:32], "c0000264") }

func TestDeletedAddressIsBack(t *testing.T) {
	a, _, pa, _, wire := quickPair(t)
	var took []time.Duration
	for range 11 {
		poll(t, 10*time.Second, "the address is there", func() bool { return holds(t, pa.Host, vip(100).Prefix.Addr()) })
		wire.drop()
		deleted := time.Now()
		if out, err := pa.Host.Command(t.Context(), "ip", "addr", "del", "192.0.2.100/24", "dev", "eth0").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		took = append(took, wire.next("announcement", isAnnouncement).at.Sub(deleted))
	}
	slices.Sort(took)
	t.Logf("announced again %v after ip addr del began, at most %v", took[5].Round(time.Microsecond), took[10].Round(time.Microsecond))
	if took[5] > 100*ms || took[10] > time.Second { // one may wait for a processor
		t.Error("too late")
	}
	if s := a.status(); s.Restored != 11 || s.State != Master {
		t.Errorf("got %+v", s)
	}
}

func TestKilledMaster(t *testing.T) {
	a, b, pa, pb, wire := quickPair(t)
	a.kill()
	killed := time.Now()
	last := killed // of its adverts
	first := wire.next("advert of the backup", func(frame []byte) bool { return isAdvert(addr("192.0.2.11"), 150)(frame) })
	took := first.at.Sub(last)
	t.Logf("first advert of the backup %v after the kill", took.Round(time.Microsecond))
	if took < 200*ms || took > 2*time.Second { // 341.4 ms after the last advert
		t.Error("not within the master-down interval")
	}
	b.becomes(Master)
	poll(t, 10*time.Second, "the backup has the address", func() bool { return holds(t, pb.Host, vip(100).Prefix.Addr()) })
	poll(t, 4*time.Second, "the lease of the dead ends", func() bool { return !holds(t, pa.Host, vip(100).Prefix.Addr()) })
	gone := time.Since(killed)
	t.Logf("the dead master's address is gone %v after the kill, with a lease of 2 s", gone.Round(time.Millisecond))
	if gone > 3500*ms {
		t.Error("too late")
	}
}

func TestStoppedMasterGoesOnAsBackup(t *testing.T) {
	a, b, pa, pb, wire := quickPair(t)
	a.signal(syscall.SIGSTOP)
	b.becomes(Master)
	poll(t, 10*time.Second, "the backup has the address", func() bool { return holds(t, pb.Host, vip(100).Prefix.Addr()) })
	wire.drop()
	woken := time.Now()
	a.signal(syscall.SIGCONT)
	a.becomes(Backup)
	poll(t, 10*time.Second, "the address goes", func() bool { return !holds(t, pa.Host, vip(100).Prefix.Addr()) })
	t.Logf("one holder %v after SIGCONT", time.Since(woken).Round(time.Microsecond))
	// It takes over again as any higher router, not before a master-down interval has passed.
	f := wire.next("advert of the first", isAdvert(own, 200))
	if took := f.at.Sub(woken); took < 300*ms {
		t.Errorf("advertises %v after it was woken", took)
	}
}

func TestStopHandsOver(t *testing.T) {
	a, b, pa, pb, wire := quickPair(t)
	wire.drop()
	stopped := time.Now()
	s := a.stop()
	left := s.Since.Sub(stopped)
	resigned := wire.next("resignation", isAdvert(own, 0))
	first := wire.next("advert of the backup", isAdvert(addr("192.0.2.11"), 150))
	announced := wire.next("announcement", isAnnouncement)
	t.Logf("resigned after %v, taken over %v later, announced %v after that; left after %v", resigned.at.Sub(stopped),
		first.at.Sub(resigned.at), announced.at.Sub(first.at), left)
	if took := first.at.Sub(resigned.at); took < 40*ms || took > 300*ms { // a skew of 41.4 ms; 341.4 ms would be without a resignation
		t.Errorf("taken over after %v", took)
	}
	if s.State != Init || left > 2*time.Second || holds(t, pa.Host, vip(100).Prefix.Addr()) || !holds(t, pb.Host, vip(100).Prefix.Addr()) {
		t.Errorf("left after %v as %v", left, s.State)
	}
	if b.becomes(Master); len(s.Refused) != len(Refusals) || sum(s.Refused) != 0 {
		t.Errorf("refused %v", s.Refused)
	}
}

// A master whose own address goes cannot advertise with it: it goes on with another one, and without any it is in fault.
func TestSourceAddressGoes(t *testing.T) {
	a, b, pa, _, wire := quickPair(t)
	ip := func(args ...string) {
		t.Helper()
		if out, err := pa.Host.Command(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ip("addr", "add", "198.51.100.10/24", "dev", "eth0")
	ip("addr", "del", "192.0.2.10/24", "dev", "eth0")
	wire.next("advert from the other address", isAdvert(addr("198.51.100.10"), 200))
	ip("addr", "del", "198.51.100.10/24", "dev", "eth0")
	a.becomes(Fault)
	poll(t, 10*time.Second, "the address goes", func() bool { return !holds(t, pa.Host, vip(100).Prefix.Addr()) })
	b.becomes(Master)
	ip("addr", "add", "192.0.2.10/24", "dev", "eth0")
	a.becomes(Master)
}

func TestLinkOfTheMasterFails(t *testing.T) {
	a, b, pa, _, _ := quickPair(t)
	down := time.Now()
	if err := pa.Unplug(); err != nil {
		t.Fatal(err)
	}
	t.Logf("in fault %v after the link went down", a.becomes(Fault).Sub(down).Round(time.Microsecond))
	b.becomes(Master)
	poll(t, 10*time.Second, "the address goes", func() bool { return !holds(t, pa.Host, vip(100).Prefix.Addr()) })
	if err := pa.Plug(); err != nil {
		t.Fatal(err)
	}
	a.becomes(Backup)
	a.becomes(Master)
	b.becomes(Backup)
	if s := b.status(); sum(s.Refused) != 0 || s.Master() != own {
		t.Errorf("got %+v", s)
	}
}

func TestInterfaceMadeAnew(t *testing.T) {
	a, _, pa, _, wire := quickPair(t)
	nl := pa.Host.Netlink()
	link, err := nl.LinkByName("eth0")
	if err == nil {
		err = nl.LinkDel(link)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.becomes(Fault)
	pa.Host.Join(pa.LAN, "eth0", prefix("192.0.2.10/24"))
	wire.drop()
	a.becomes(Master)
	wire.next("advert", isAdvert(own, 200))
	wire.next("announcement", isAnnouncement)
}
