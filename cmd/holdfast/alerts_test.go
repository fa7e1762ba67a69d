// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rulesFile     = "deploy/prometheus/holdfast.rules.yml"
	rulesTests    = "deploy/prometheus/holdfast.rules.test.yml"
	dashboardFile = "deploy/grafana/holdfast.json"
)

// promtool runs Prometheus' tool in a directory. Where it is not installed the test is skipped, unless REQUIRE_KERNEL is set.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("REQUIRE_KERNEL") != "" {
			t.Fatal("needs promtool, and REQUIRE_KERNEL forbids to skip")
		}
		t.Skip("needs promtool; install it with: deploy/lab/vm --prepare")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

var (
	alertName   = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	alertFires  = regexp.MustCompile(`alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels`)
	alertSilent = regexp.MustCompile(`alertname: (\w+), eval_time: \w+, exp_alerts: \[\]`)
)

// The rules do what their tests say. Each of them fires in one and is silent in another, has its annotations, and a
// section of docs/alerts.md says what to do about it.
func TestAlertRules(t *testing.T) {
	all := files(t)
	rules, tests, page := string(all[rulesFile]), string(all[rulesTests]), string(all["docs/alerts.md"])
	var names []string
	for _, m := range alertName.FindAllStringSubmatch(rules, -1) {
		names = append(names, m[1])
	}
	if len(names) < 20 {
		t.Fatalf("alerts %q", names)
	}
	for _, of := range []struct {
		what  string
		found []string
	}{
		{"a test in which it fires", firsts(alertFires, tests)},
		{"a test in which it is silent", firsts(alertSilent, tests)},
		{"a section in docs/alerts.md", firsts(regexp.MustCompile(`(?m)^## (\w+)$`), page)},
	} {
		for _, name := range names {
			if !slices.Contains(of.found, name) {
				t.Errorf("%s lacks %s", name, of.what)
			}
		}
		for _, name := range of.found {
			if !slices.Contains(names, name) {
				t.Errorf("%s has %s, but there is no such alert", name, of.what)
			}
		}
	}
	for i, rule := range strings.Split(rules, "- alert: ")[1:] {
		for _, want := range []string{
			"severity: ", "summary: ", "description: ",
			"runbook_url: https://github.com/holdfast-lb/holdfast/blob/main/docs/alerts.md#" + strings.ToLower(names[i]) + "\n",
		} {
			if strings.Count(rule, want) != 1 {
				t.Errorf("%s has not one %q", names[i], want)
			}
		}
	}
	promtool(t, filepath.Join(repository, filepath.Dir(rulesTests)), "test", "rules", filepath.Base(rulesTests))
}

func firsts(re *regexp.Regexp, text string) []string {
	found := make(map[string]bool)
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// dashboard is as much of Grafana's JSON as the test looks at.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Type    string
		Targets []struct{ Expr string }
	}
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct{ List []struct{ Query string } }
}

// expressions are all that a dashboard asks, with values for its variables.
func (d dashboard) expressions() []string {
	var list []string
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			list = append(list, q.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		list = append(list, a.Expr)
	}
	for i, e := range list {
		list[i] = strings.NewReplacer("$job", "holdfast", "$virtual_server", ".*", "$__rate_interval", "1m").Replace(e)
	}
	return list
}

var (
	metricUse = regexp.MustCompile(`\b(holdfast_\w+)(?:\{([^}]*)\})?`)
	labelUse  = regexp.MustCompile(`(\w+)\s*(?:=~|!=|!~|=)`)
	groupUse  = regexp.MustCompile(`\b(?:by|on) \(([\w, ]*)\)`)
	series    = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// wrongUse says what a query asks of our metrics that they do not have.
func wrongUse(query string, all map[string]*metric) (problems []string) {
	known := []string{"job", "instance", "le"}
	for _, use := range metricUse.FindAllStringSubmatch(query, -1) {
		m := all[use[1]]
		if base := series.ReplaceAllString(use[1], ""); m == nil && all[base] != nil && all[base].kind == "histogram" {
			m = all[base]
		}
		if m == nil {
			problems = append(problems, "no metric "+use[1])
			continue
		}
		known = append(known, m.labels...)
		for _, l := range labelUse.FindAllStringSubmatch(use[2], -1) {
			if !slices.Contains(m.labels, l[1]) && !slices.Contains([]string{"job", "instance"}, l[1]) {
				problems = append(problems, fmt.Sprintf("%s has no label %s", use[1], l[1]))
			}
		}
		if strings.HasSuffix(use[1], "_total") != (m.kind == "counter") {
			problems = append(problems, fmt.Sprintf("%s is a %s", use[1], m.kind))
		}
	}
	for _, group := range groupUse.FindAllStringSubmatch(query, -1) {
		for _, l := range strings.Split(group[1], ",") {
			if l = strings.TrimSpace(l); !slices.Contains(known, l) {
				problems = append(problems, "grouped by "+l+", which none of its metrics has")
			}
		}
	}
	return problems
}

func TestWrongUse(t *testing.T) {
	all := map[string]*metric{"holdfast_a_total": {kind: "counter", labels: []string{"x"}}, "holdfast_h": {kind: "histogram"}}
	for query, want := range map[string]int{
		`sum by (x) (rate(holdfast_a_total{x="1",job="j"}[1m]))`: 0,
		`holdfast_h_bucket`:                  0,
		`holdfast_h_total`:                   1,
		`holdfast_a`:                         1,
		`holdfast_a_total{y=~"1"}`:           1,
		`sum by (job, y) (holdfast_a_total)`: 1,
	} {
		if got := wrongUse(query, all); len(got) != want {
			t.Errorf("%s: %q, want %d", query, got, want)
		}
	}
}

// Everything that rules and dashboard ask for exists, and Prometheus reads each query.
func TestQueriesOfRulesAndDashboard(t *testing.T) {
	metrics := metricsOf(exposition(t))
	rules := string(files(t)[rulesFile])
	for _, rule := range strings.Split(rules, "- alert: ")[1:] {
		name, rest, _ := strings.Cut(rule, "\n")
		expr, _, _ := strings.Cut(rest, "labels: {")
		for _, problem := range wrongUse(expr, metrics) {
			t.Errorf("%s: %s", name, problem)
		}
	}
	var d dashboard
	if err := json.Unmarshal(files(t)[dashboardFile], &d); err != nil {
		t.Fatal(err)
	}
	recorded := "groups:\n- name: dashboard\n  rules:\n"
	for i, expr := range d.expressions() {
		if strings.Contains(expr, "$") {
			t.Errorf("%s has a variable that the test does not know", expr)
		}
		for _, problem := range wrongUse(expr, metrics) {
			t.Errorf("dashboard: %s: %s", expr, problem)
		}
		recorded += fmt.Sprintf("  - {record: \"query:%d\", expr: %q}\n", i, expr)
	}
	for _, v := range d.Templating.List { // label_values(metric, label) is Grafana's own
		for _, problem := range wrongUse(v.Query, metrics) {
			t.Errorf("dashboard: %s: %s", v.Query, problem)
		}
	}
	ids := make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q: its id is not its own, or it has no title or query", p.ID, p.Title)
		}
		ids[p.ID] = true
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(recorded), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, filepath.Dir(file), "check", "rules", file)
}
