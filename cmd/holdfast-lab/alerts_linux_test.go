// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// What is a minute in the rules takes ruleMinute here, more than a failover, and nothing takes longer than ruleMost.
const (
	ruleMinute = 6 * time.Second
	ruleMost   = 20 * time.Second
)

// busyAlerts are about how busy the machine is, and a machine that runs tests may be.
var busyAlerts = []string{"HoldfastLate", "HoldfastChecksLate", "HoldfastChecksCannotRun", "HoldfastRoleFlapping"}

// prometheus is the real one. It scrapes both directors of a pair.
type prometheus struct {
	t    *testing.T
	base string
	seen map[string]bool // alerts that fired since it was emptied
}

var ruleDuration = regexp.MustCompile(`(\[|for: )(\d+)m`)

// startPrometheus runs it with our rules until the test ends.
func startPrometheus(t *testing.T, p *pair, dir string) *prometheus {
	rules, err := os.ReadFile("../../deploy/prometheus/holdfast.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	hurried := ruleDuration.ReplaceAllStringFunc(string(rules), func(s string) string {
		m := ruleDuration.FindStringSubmatch(s)
		minutes, _ := strconv.Atoi(m[2])
		return fmt.Sprintf("%s%.0fs", m[1], min(time.Duration(minutes)*ruleMinute, ruleMost).Seconds())
	})
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n" +
		"rule_files: [rules.yml]\nscrape_configs:\n- job_name: holdfast\n  static_configs:\n"
	for _, d := range p.directors {
		// A director listens within its own host.
		target := &url.URL{Scheme: "http", Host: metricsAddress}
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.Transport = &http.Transport{DialContext: d.host.Dial, DisableKeepAlives: true}
		proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
		server := httptest.NewServer(proxy)
		t.Cleanup(server.Close)
		config += fmt.Sprintf("  - {targets: [%q], labels: {instance: %s}}\n", server.Listener.Addr(), d.name)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": hurried} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address, "--log.level=warn")
	cmd.Dir = dir
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus:\n%s", log.String())
		}
	})
	return &prometheus{t: t, base: "http://" + address + "/api/v1/", seen: make(map[string]bool)}
}

// get asks the API.
func (p *prometheus) get(ctx context.Context, what string, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+what, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return nil
}

// vector is how many series a query gives.
func (p *prometheus) vector(ctx context.Context, query string) (int, error) {
	var data struct{ Result []any }
	err := p.get(ctx, "query?query="+url.QueryEscape(query), &data)
	return len(data.Result), err
}

// firing are the alerts that fire now, each with the labels that tell what it is about.
func (p *prometheus) firing(ctx context.Context) ([]string, error) {
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	if err := p.get(ctx, "alerts", &data); err != nil {
		return nil, err
	}
	var list []string
	for _, a := range data.Alerts {
		if a.State != "firing" || slices.Contains(busyAlerts, a.Labels["alertname"]) {
			continue
		}
		name := a.Labels["alertname"]
		for _, label := range []string{"instance", "real_server", "reason"} {
			if v := a.Labels[label]; v != "" {
				name += " " + v
			}
		}
		list = append(list, name)
		p.seen[name] = true
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// during breaks something, waits until each of these alerts has fired, mends it and waits until none fires. No other may
// fire meanwhile.
func (p *prometheus) during(what string, breakIt, mend func() error, want ...string) {
	p.t.Helper()
	clear(p.seen)
	start := time.Now()
	if err := breakIt(); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	slices.Sort(want)
	p.await(what, func([]string) error {
		for _, name := range want {
			if !p.seen[name] {
				return fmt.Errorf("%s does not fire", name)
			}
		}
		return nil
	})
	fired := time.Since(start)
	if err := mend(); err != nil {
		p.t.Fatalf("%s: mend it: %v", what, err)
	}
	p.await(what, func(firing []string) error {
		if len(firing) > 0 {
			return fmt.Errorf("%q still fire", firing)
		}
		return nil
	})
	p.t.Logf("%s: fired %q within %v, resolved after %v", what, want, fired.Round(time.Second), time.Since(start).Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(p.seen)) {
		if !slices.Contains(want, name) {
			p.t.Errorf("%s: %s fired, too", what, name)
		}
	}
}

// await waits until f accepts the alerts that fire.
func (p *prometheus) await(what string, f func([]string) error) {
	p.t.Helper()
	err := poll(p.t.Context(), 3*time.Minute, func() error {
		firing, err := p.firing(p.t.Context())
		if err == nil {
			err = f(firing)
		}
		return err
	})
	if err != nil {
		p.t.Errorf("%s: %v", what, err)
	}
}

// rewrite changes a director's configuration and has it loaded. The error is what the director says against it.
func (d *directorHost) rewrite(ctx context.Context, old, with string) error {
	b, err := os.ReadFile(d.config())
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), old) {
		return fmt.Errorf("%s has no %q", d.config(), old)
	}
	if err := os.WriteFile(d.config(), []byte(strings.Replace(string(b), old, with, 1)), 0o644); err != nil {
		return err
	}
	_, err = d.api().Reload(ctx)
	return err
}

// Faults of a pair in the lab make the right alerts fire, and no others, and mending them makes them resolve.
func TestAlerts(t *testing.T) {
	netlab.RequireIPVS(t)
	if testing.Short() {
		t.Skip("takes minutes")
	}
	if _, err := exec.LookPath("prometheus"); err != nil {
		if os.Getenv("REQUIRE_KERNEL") != "" {
			t.Fatal("needs prometheus, and REQUIRE_KERNEL forbids to skip")
		}
		t.Skip("needs prometheus; install it with: deploy/lab/vm --prepare")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asHoldfast, "1")
	ctx, dir := t.Context(), t.TempDir()
	i := slices.IndexFunc(setups, func(s *setup) bool { return s.name == "drsync" })
	p, err := newPair(ctx, setups[i], self, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range p.directors {
			if t.Failed() {
				t.Logf("%s:\n%s", d.name, d.lastLines(40))
			}
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.settle(ctx); err != nil {
		t.Fatal(err)
	}
	prom := startPrometheus(t, p, dir)
	if err := poll(ctx, time.Minute, func() error {
		n, err := prom.vector(ctx, `up == 1`)
		if err == nil && n != 2 {
			err = fmt.Errorf("%d directors are scraped", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	lb1, lb2 := p.directors[0], p.directors[1]
	sick := func(servers []*webServer, is bool) func() error {
		return func() error {
			for _, w := range servers {
				w.sick.Store(is)
			}
			return nil
		}
	}
	prom.during("nothing", func() error { return pause(ctx, 10*time.Second) }, func() error { return nil })
	prom.during("a server fails, somebody clears the table, a reload is refused", func() error {
		p.web[0].sick.Store(true)
		if out, err := lb1.host.Command(ctx, "ipvsadm", "-C").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if lb1.rewrite(ctx, "http {", "htp {") == nil {
			return errors.New("not refused")
		}
		return nil
	}, func() error {
		p.web[0].sick.Store(false)
		return lb1.rewrite(ctx, "htp {", "http {")
	}, "HoldfastRealServerDown web1", "HoldfastDrift lb1", "HoldfastReloadFailed lb1")
	prom.during("all servers fail", sick(p.web, true), sick(p.web, false), "HoldfastServiceDown",
		"HoldfastRealServerDown web1", "HoldfastRealServerDown web2", "HoldfastRealServerDown web3")
	prom.during("a server that was taken out is turned off", func() error {
		_, err1 := lb1.api().Drain(ctx, "web/web1", nil)
		_, err2 := lb2.api().Drain(ctx, "web/web1", nil)
		p.web[0].sick.Store(true)
		return errors.Join(err1, err2, pause(ctx, ruleMost+10*time.Second))
	}, func() error {
		p.web[0].sick.Store(false)
		_, err1 := lb1.api().Undrain(ctx, "web/web1")
		_, err2 := lb2.api().Undrain(ctx, "web/web1")
		return errors.Join(err1, err2)
	})
	prom.during("the master is killed", func() error { return lb1.signal(syscall.SIGKILL) }, func() error {
		if err := lb1.ended(ctx, time.Minute); err != nil {
			return err
		}
		return lb1.start(ctx, p.binary)
	}, "HoldfastDirectorDown lb1", "HoldfastNoBackup")
	prom.during("the directors speak other versions", func() error {
		return lb2.rewrite(ctx, `virtual_router "web" {`, "virtual_router \"web\" {\n  version = 2")
	}, func() error {
		return lb2.rewrite(ctx, "\n  version = 2", "")
	}, "HoldfastTwoMasters", "HoldfastAdvertsRefused lb1 version", "HoldfastAdvertsRefused lb2 version")
	prom.dashboard()
}

// dashboard asks all that the dashboard asks.
func (p *prometheus) dashboard() {
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	b, err := os.ReadFile("../../deploy/grafana/holdfast.json")
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	with := strings.NewReplacer("$job", "holdfast", "$virtual_server", ".*", "$__rate_interval", "20s")
	asked := 0
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			expr := with.Replace(q.Expr)
			n, err := p.vector(p.t.Context(), expr)
			if err != nil {
				p.t.Errorf("panel %s: %s: %v", panel.Title, expr, err)
			}
			ofFaults := strings.HasSuffix(expr, "> 0") || strings.HasSuffix(expr, "== 0)")
			if n == 0 && !ofFaults {
				p.t.Errorf("panel %s shows nothing: %s", panel.Title, expr)
			}
			asked++
		}
	}
	if asked < 30 {
		p.t.Errorf("%d queries", asked)
	}
}
