// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// builder makes the typed configuration out of the raw one and collects what is wrong on the way.
type builder struct {
	raw     rawConfig
	eval    *evaluator
	cfg     *Config
	diags   hcl.Diagnostics
	first   map[use]hcl.Range     // where what must be unique was given first
	carried map[netip.Addr]string // virtual address -> its virtual router
	member  map[string]string     // virtual router -> its sync group
	weights map[string][]weight   // virtual router -> what changes its priority
	paired  bool                  // it is compared with another director's, which tells more of the weights
	synced  hcl.Range             // of the connection_sync block; zero: there is none

	asRoot   []hcl.Range      // where programs are said to run as root
	programs map[string]error // of these, what is wrong with whom they belong to
}

// use is a use of a value that must be unique within a scope.
type use struct{ what, scope, value string }

func newBuilder() *builder {
	return &builder{
		eval: newEvaluator(), cfg: &Config{}, first: map[use]hcl.Range{}, carried: map[netip.Addr]string{}, member: map[string]string{},
		weights: map[string][]weight{}, programs: map[string]error{},
	}
}

func (b *builder) report(severity hcl.DiagnosticSeverity, at hcl.Range, summary, detail string) {
	b.diags = append(b.diags, &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &at})
}

func (b *builder) fail(at hcl.Range, summary, detail string) {
	b.report(hcl.DiagError, at, summary, detail)
}

func (b *builder) warn(at hcl.Range, summary, detail string) {
	b.report(hcl.DiagWarning, at, summary, detail)
}

// refuse reports what the language knows but this version does not serve.
func (b *builder) refuse(at hcl.Range, detail string) { b.fail(at, "Not supported yet", detail) }

// invalid reports a value that the named attribute does not take.
func (b *builder) invalid(name string, at hcl.Range, err error) {
	detail := name + " " + err.Error()
	if !strings.HasSuffix(detail, "?") {
		detail += "."
	}
	b.fail(at, "Invalid "+name, detail)
}

// require reports an attribute that a block cannot do without.
func (b *builder) require(block hcl.Range, name string, a *hcl.Attribute) {
	if a == nil {
		b.fail(block, "Missing "+name, fmt.Sprintf("%s is required in this block.", name))
	}
}

// unique reports the second use of a value within a scope, and where the first one is.
func (b *builder) unique(what, scope, value string, at hcl.Range) {
	key := use{what, scope, value}
	first, used := b.first[key]
	if !used {
		b.first[key] = at
		return
	}
	b.fail(at, "Duplicate "+what, fmt.Sprintf("%s is already used at %s:%d.", value, first.Filename, first.Start.Line))
}

// identity tells one block from all others: those that a dynamic block makes have one place.
func identity[T any](raw *T) string { return fmt.Sprintf("%p", raw) }

// name reports a label that could not be used in a command, a metric or a path, and one that was used before.
func (b *builder) name(what, scope, name string, at hcl.Range) {
	if _, err := parseName(name); err != nil {
		b.invalid("name", at, err)
		return
	}
	b.unique(what+" name", scope, strconv.Quote(name), at)
}

var levels = []choice[slog.Level]{
	{word: "debug", value: slog.LevelDebug}, {word: "info", value: slog.LevelInfo},
	{word: "warn", value: slog.LevelWarn}, {word: "error", value: slog.LevelError},
}

var (
	exits  = []choice[OnExit]{{word: "withdraw", value: Withdraw}, {word: "clear", value: Clear}, {word: "keep", value: Keep}}
	drifts = []choice[bool]{{word: "repair", value: false}, {word: "report", value: true}}
)

// words makes an enumeration of texts that stand for themselves.
func words(list ...string) []choice[string] {
	var out []choice[string]
	for _, w := range list {
		out = append(out, choice[string]{word: w, value: w})
	}
	return out
}

// config builds everything. A block that is absent has the defaults of an empty one.
func (b *builder) config(raw *rawConfig) {
	b.director(orNew(raw.Director))
	log := orNew(raw.Log)
	b.cfg.Log.Level = read(b, log.Level, slog.LevelInfo, oneOf(levels))
	b.cfg.Log.Format = read(b, log.Format, "auto", oneOf(words("auto", "text", "json")))
	b.http(orNew(raw.HTTP))
	for _, r := range raw.VirtualRouters {
		b.cfg.VirtualRouters = append(b.cfg.VirtualRouters, b.virtualRouter(r))
		b.trackers(r, raw.VirtualServers)
	}
	if raw.ConnectionSync != nil {
		b.connectionSync(raw.ConnectionSync)
	}
	if raw.Timeouts != nil {
		b.timeouts(raw.Timeouts)
	}
	for _, g := range raw.SyncGroups {
		b.cfg.SyncGroups = append(b.cfg.SyncGroups, b.syncGroup(g, raw.VirtualRouters))
	}
	for _, n := range raw.Notify {
		b.cfg.Notify = append(b.cfg.Notify, b.notify(n))
	}
	for _, s := range raw.VirtualServers {
		b.cfg.VirtualServers = append(b.cfg.VirtualServers, b.virtualServer(s))
	}
	// Which address is carried where is known only when all routers are right.
	if !b.diags.HasErrors() {
		for i, s := range raw.VirtualServers {
			b.carrier(s, &b.cfg.VirtualServers[i])
		}
		b.lintSysctls(orNew(raw.Director))
		b.lint(raw)
	}
}

func orNew[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

func (b *builder) director(raw *rawDirector) {
	d := &b.cfg.Director
	d.Name = read(b, raw.Name, "", matching(parseName))
	d.ControlSocket = read(b, raw.ControlSocket, DefaultControlSocket, matching(parseSocket))
	d.StateDir = read(b, raw.StateDir, DefaultStateDir, matching(parsePath))
	d.Realtime = read(b, raw.Realtime, false, boolean)
	d.ManageSysctls = read(b, raw.ManageSysctls, true, boolean)
	d.OnExit = read(b, raw.OnExit, Withdraw, oneOf(exits))
	d.ControlGroup = read(b, raw.ControlGroup, "", orEmpty(matching(parseGroup)))
	d.ReportDrift = read(b, raw.Drift, false, oneOf(drifts))
	if raw.Name == nil {
		// A host without a name is no reason to refuse a configuration.
		if host, err := os.Hostname(); err == nil {
			d.Name = host
		}
	}
}
