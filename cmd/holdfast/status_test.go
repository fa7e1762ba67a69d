// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/director"
)

// escape is a code that colours what follows.
var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestWrap(t *testing.T) {
	long := strings.Repeat("x", 100)
	for name, tt := range map[string]struct{ head, text, want string }{
		"short":         {"! ", "all is well", "! all is well\n"},
		"nothing":       {"! ", "", "! \n"},
		"just":          {"", strings.Repeat("x", 39) + " " + strings.Repeat("y", 40), strings.Repeat("x", 39) + " " + strings.Repeat("y", 40) + "\n"},
		"between words": {"", strings.Repeat("x", 40) + " " + strings.Repeat("y", 40), strings.Repeat("x", 40) + "\n  " + strings.Repeat("y", 40) + "\n"},
		"in a word":     {"! ", long + " y", "!\n  " + long[:78] + "\n  " + long[78:] + " y\n"},
		"wide":          {"", strings.Repeat("名", 41), strings.Repeat("名", 40) + "\n  名\n"},
		"coloured":      {"", "\x1b[31m" + strings.Repeat("x", 80) + "\x1b[0m", "\x1b[31m" + strings.Repeat("x", 80) + "\x1b[0m\n"},
	} {
		var b strings.Builder
		wrap(&b, tt.head, tt.text, "  ")
		if b.String() != tt.want {
			t.Errorf("%s: got %q, want %q", name, b.String(), tt.want)
		}
	}
}

// anyStatus is a director whose names, addresses, counts and reasons are of any length.
func anyStatus(r *rand.Rand) director.Status {
	word := func() string {
		n := 1 + r.IntN(63)
		switch r.IntN(4) {
		case 0:
			n = 1 + n%8
		case 1:
			return strings.Repeat("名", 1+n/3)
		}
		return fmt.Sprintf("%.*s", n, strings.Repeat(fmt.Sprintf("n%d-", r.IntN(100)), 63))
	}
	text := func() string {
		var words []string
		for range r.IntN(40) {
			words = append(words, word())
		}
		return strings.Join(words, " ")
	}
	count := func() uint32 { return uint32(math.MaxUint32 >> r.IntN(32)) }
	address := func() netip.AddrPort {
		var b [16]byte
		for i := range b {
			b[i] = byte(128 + r.IntN(128))
		}
		if r.IntN(2) == 0 {
			return netip.AddrPortFrom(netip.AddrFrom16(b), uint16(count()))
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), uint16(count()))
	}
	when := func() time.Time {
		return ago(time.Duration(count()) * time.Millisecond * time.Duration(1+r.IntN(1000)))
	}
	some := func(f func()) {
		for range r.IntN(4) {
			f()
		}
	}
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	s := director.Status{Name: word(), Version: word(), Started: when(), Ready: r.IntN(2) == 0, Config: director.ConfigStatus{Loaded: when(), Error: text()},
		IPVS: director.IPVSStatus{Error: text(), DriftLeft: text()}}
	if r.IntN(2) == 0 {
		s.ConnectionSync = &director.ConnectionSyncStatus{Interface: word(), ID: uint8(count()), VirtualRouter: word(), Running: []string{"master", "backup"}, Error: text()}
	}
	some(func() {
		vr := director.VirtualRouterStatus{
			Name: word(), State: one("init", "backup", "master", "fault"), Since: when(), Reason: text(), ID: uint8(count()), Interface: word(),
			Priority: uint8(count()), EffectivePriority: uint8(count()), SyncGroup: one("", word()), Error: text(),
		}
		for range r.IntN(256) {
			vr.Addresses = append(vr.Addresses, netip.PrefixFrom(address().Addr(), 24).String())
		}
		some(func() {
			vr.Peers = append(vr.Peers, director.PeerStatus{Address: address().Addr(), Priority: uint8(count()), LastSeen: when()})
		})
		some(func() {
			vr.Contested = append(vr.Contested, director.ContestedStatus{Address: address().Addr(), Since: when(), By: []director.AnswerStatus{{MAC: "02:68:66:00:01:03"}}})
		})
		s.VirtualRouters = append(s.VirtualRouters, vr)
	})
	some(func() {
		vs := director.VirtualServerStatus{
			Name: word(), Address: address(), Protocol: "sctp", Fwmark: count() * uint32(r.IntN(2)), Scheduler: word(), Forward: "tunnel", State: one("up", "down"),
			Since: when(), Reason: text(), Sorry: r.IntN(3) == 0, Panic: r.IntN(3) == 0, Active: word(), InTable: r.IntN(2) == 0,
		}
		some(func() {
			weight := count() % 65536
			rs := director.RealServerStatus{
				Name: word(), Address: address(), State: one("up", "down", "draining", "maintenance", "unknown"), Since: when(), Reason: text(),
				Weight: count() % 65536, OverrideWeight: &weight, EffectiveWeight: weight, ActiveConnections: count(), InactiveConnections: count(),
			}
			some(func() {
				rs.Checks = append(rs.Checks, director.CheckStatus{Name: word(), Last: when(), DurationSeconds: float64(count()) / 1000, Error: text()})
			})
			vs.RealServers = append(vs.RealServers, rs)
		})
		s.VirtualServers = append(s.VirtualServers, vs)
	})
	some(func() {
		s.Leaving = append(s.Leaving, director.LeavingStatus{Service: word(), Server: word(), VirtualAddress: address().String(), Address: address(), Persistent: count(),
			ActiveConnections: count(), InactiveConnections: count(), EffectiveWeight: count() % 65536, Drain: &director.DrainStatus{Until: ago(-time.Hour)}})
	})
	return s
}

// TestStatusFitsAScreen: no line of any status is longer than a screen is wide, no colour changes where lines end, and
// nothing that is named is shortened.
func TestStatusFitsAScreen(t *testing.T) {
	for seed := range uint64(200) {
		s := anyStatus(rand.New(rand.NewPCG(seed, 0)))
		plain, coloured := statusScreen(s, now, false), statusScreen(s, now, true)
		for line := range strings.Lines(coloured) {
			if n := columns(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Fatalf("seed %d: %d columns: %q", seed, n, line)
			}
		}
		if strings.Contains(plain, "\x1b") || escape.ReplaceAllString(coloured, "") != plain {
			t.Fatalf("seed %d: colours change the text:\n%s\n%s", seed, plain, coloured)
		}
		whole := strings.Join(strings.Fields(plain), "")
		named := []string{s.Name}
		for _, vr := range s.VirtualRouters {
			named = append(named, vr.Name, vr.Interface, vr.SyncGroup, strings.Join(strings.Fields(vr.Reason), ""))
		}
		for _, vs := range s.VirtualServers {
			named = append(named, vs.Name, vs.Scheduler)
			for _, rs := range vs.RealServers {
				named = append(named, rs.Name, rs.Address.String(), strings.Join(strings.Fields(rs.Reason), ""))
			}
		}
		for _, n := range named {
			if !strings.Contains(whole, n) {
				t.Fatalf("seed %d: %q is not in\n%s", seed, n, plain)
			}
		}
	}
}

// largeStatus has services of 20 servers, of which one server of the first service is down.
func largeStatus(services int) director.Status {
	s := webStatus()
	all := make([]director.VirtualServerStatus, services)
	for i := range all {
		all[i] = s.VirtualServers[0]
		all[i].Name = fmt.Sprintf("web%d", i)
		all[i].RealServers = nil
		for n := range 20 {
			rs := s.VirtualServers[0].RealServers[0]
			rs.Name = fmt.Sprintf("s%d", n)
			all[i].RealServers = append(all[i].RealServers, rs)
		}
	}
	all[0].RealServers[3].State, all[0].RealServers[3].Reason = "down", "http: status: 503 (3 in a row)"
	s.VirtualServers = all
	s.VirtualRouters = pairStatus().VirtualRouters
	return s
}

func TestStatusOfMuch(t *testing.T) {
	s := largeStatus(2000)
	begin := time.Now()
	screen := statusScreen(s, now, true)
	t.Logf("2,000 services with 40,000 servers: %d bytes in %s", len(screen), time.Since(begin))
	s.VirtualServers = s.VirtualServers[:50]
	socket := serveStatus(t, s)
	for args, want := range map[string][]string{
		"status --down":         {"virtual_server web0: ", "  s3  10.0.0.21:80  weight 100  3+20 conns\n    down for "},
		"status --service web7": {"virtual_server web7: up", "  s19  "},
		"status --service web49,web2 --service web0 --down": {"virtual_server web0: up"},
		"status --service web1,nosuch":                      {`no virtual_server "nosuch" runs here: there is web0, web1, web2`},
	} {
		var out bytes.Buffer
		run(append(strings.Fields(args), "--socket", socket), &out, &out)
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %q in %.2000s", args, w, &out)
			}
		}
		if n := strings.Count(out.String(), "\n"); n > 30 {
			t.Errorf("%s: %d lines", args, n)
		}
	}
}

// TestStatusWatch watches a director that goes away and comes back, and ends by ^C.
func TestStatusWatch(t *testing.T) {
	s := webStatus()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s) })
	socket := filepath.Join(t.TempDir(), "control.sock")
	var stdout, stderr shared
	ended := make(chan int, 1)
	go func() { ended <- run([]string{"status", "--watch", "100ms", "--socket", socket}, &stdout, &stderr) }()
	stdout.has(t, "! not reachable since ")
	first := listenAgain(t, socket, handler)
	stdout.has(t, "web1  10.0.0.21:80")
	seen := len(stdout.String())
	_ = first.Close()
	stdout.from(t, seen, "! not reachable since ")
	seen = len(stdout.String())
	listenAgain(t, socket, handler)
	stdout.from(t, seen, "virtual_server web: up")
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != 0 || stderr.String() != "" || strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("exit code %d, %q, %q", code, stderr.String(), stdout.String())
	}
}

func TestStatusWatchJSON(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	asked := 0
	err := watchStatus(ctx, &globals{json: true}, func(context.Context) (director.Status, error) {
		if asked++; asked == 3 {
			cancel()
		}
		return webStatus(), nil
	}, watchLeast, &stdout)
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	var s director.Status
	if err != nil || len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &s) != nil || s.Name != "lb1" {
		t.Errorf("%v, %q", err, lines)
	}
}

func TestStatusUsage(t *testing.T) {
	for args, want := range map[string]string{
		"status 5s":           "unknown command",
		"status --watch 5":    "missing unit",
		"status --watch 1ms":  "an interval is at least 100ms",
		"status --watch 1s 2": "accepts at most 1 arg(s), received 2",
	} {
		var stdout, stderr bytes.Buffer
		if code := run(strings.Fields(args), &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: %d, %q", args, code, &stderr)
		}
	}
}

func TestFrame(t *testing.T) {
	if got := frame(strings.Repeat("line\n", 23), 0); strings.Contains(got, "more lines") {
		t.Errorf("on a terminal that does not say how high it is: %q", got)
	}
	if got, want := frame("a\nb\n", 3), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := frame("a\nb\nc\n", 3), "\x1b[Ha\x1b[K\n… 2 more lines: --down or --service NAME shows less\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// brokenPipe takes nothing.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestStatusWatchEndsWithItsReader(t *testing.T) {
	err := watchStatus(t.Context(), &globals{}, func(context.Context) (director.Status, error) { return webStatus(), nil }, watchLeast, brokenPipe{})
	if err == nil || !strings.Contains(err.Error(), "broken pipe") {
		t.Error(err)
	}
}
