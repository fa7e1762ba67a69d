// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/director"
)

func newExplainServerCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "server SERVICE/SERVER",
		Short: "Show why a real server is in its state",
		Long: "Show why a real server is in its state: what its weight is made of, whether it is in the IPVS table, each of its\n" +
			"checks with the last result, what would change its verdict, and when it runs next.",
		Example: "  holdfast explain server web/web1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printExplanation(cmd.Context(), g, args[0], []string{"real_server"}, cmd.OutOrStdout(),
				func(s director.Status, name string, events []director.Recorded) (serverExplanation, error) {
					e, err := newServerExplanation(s, name)
					e.Events = events
					return e, err
				})
		},
	}
}

// serverExplanation is all that is known of a real server, and of its service without the other ones.
type serverExplanation struct {
	director.RealServerStatus
	Why     string                       `json:"why"` // it is in the table, or not, with this weight
	Service director.VirtualServerStatus `json:"virtual_server"`
	Events  []director.Recorded          `json:"events,omitempty"` // the last ones
}

func newServerExplanation(s director.Status, name string) (serverExplanation, error) {
	service, server, ok := strings.Cut(name, "/")
	if !ok || service == "" || server == "" {
		return serverExplanation{}, fmt.Errorf("%q names no real server: write SERVICE/SERVER, as `holdfast status` has them", name)
	}
	var services, servers []string
	found := false
	for _, vs := range s.VirtualServers {
		services = append(services, vs.Name)
		if vs.Name != service {
			continue
		}
		found = true
		for _, rs := range vs.RealServers {
			if rs.Name == server {
				vs.RealServers = []director.RealServerStatus{}
				return serverExplanation{RealServerStatus: rs, Why: whyWeight(vs, rs), Service: vs}, nil
			}
			servers = append(servers, rs.Name)
		}
	}
	if !found {
		return serverExplanation{}, director.NoService(service, services)
	}
	return serverExplanation{}, director.NoServer(service, server, servers)
}

// whyWeight says why a server is in the table or not, with the weight that it has there.
func whyWeight(vs director.VirtualServerStatus, rs director.RealServerStatus) string {
	switch {
	case !vs.InTable:
		return fmt.Sprintf("not in the table: the virtual server is in it only while virtual_router %s serves its addresses", vs.Active)
	case rs.State == "draining":
		return "in the table for the connections it has: it is taken out"
	case rs.State == "maintenance":
		return "not in the table: it is taken out"
	case vs.Panic && rs.State == "down":
		return "in the table although it is not up: too few are, which is more likely a fault of the checks (panic_threshold)"
	case rs.InTable && rs.EffectiveWeight > 0:
		return "in the table"
	case rs.State == "up" && vs.Sorry && rs.InTable:
		return "in the table for the connections it has: the sorry server gets the new ones"
	case rs.State == "up" && vs.Sorry:
		return "not in the table: the sorry server gets the traffic until the quorum is there"
	case rs.State == "up":
		return "in the table for the connections it has: with weight 0 it gets no new ones"
	case rs.InTable:
		return "in the table for the connections it has: it is not up, and on_failure is inhibit"
	case rs.State == "down":
		return "not in the table, because it is down"
	}
	return "not in the table before each of its checks has passed"
}

// text is the explanation for a person.
func (e serverExplanation) text(now time.Time, p palette) string {
	var b strings.Builder
	fmt.Fprintf(&b, "real_server %s/%s at %s: %s for %s\n", e.Service.Name, e.Name, e.Address, p.state(e.State), age(now, e.Since))
	if e.Reason != "" {
		fmt.Fprintf(&b, "  %s\n", printable(e.Reason))
	}
	fmt.Fprintf(&b, "  %s\n", e.Why)
	fmt.Fprintf(&b, "  %d active and %d inactive connections%s\n", e.ActiveConnections, e.InactiveConnections, held(e.Persistent))
	e.writeDrain(&b, now, p)
	e.writeWeight(&b, now)
	fmt.Fprint(&b, "\nchecks\n")
	if len(e.Checks) == 0 {
		fmt.Fprint(&b, "  none: it is always up\n")
	}
	for _, c := range e.Checks {
		writeCheck(&b, c, now, p)
	}
	vs := e.Service
	fmt.Fprintf(&b, "\nvirtual_server %s: %s for %s\n  %s\n", vs.Name, p.state(vs.State), age(now, vs.Since), vs.Reason)
	fmt.Fprintf(&b, "  quorum: weight %d up, %d needed\n", vs.Quorum.Up, vs.Quorum.Needed)
	if vs.SorryServer != "" {
		fmt.Fprintf(&b, "  sorry server %s: %s\n", vs.SorryServer, map[bool]string{true: "gets the traffic", false: "not in use"}[vs.Sorry])
	}
	if vs.PanicThreshold > 0 {
		fmt.Fprintf(&b, "  panic below %d %% of the servers: %s\n", vs.PanicThreshold, map[bool]string{true: "now", false: "not now"}[vs.Panic])
	}
	return b.String()
}

// held says how many clients come back to a server whatever its weight is.
func held(persistent uint32) string {
	if persistent == 0 {
		return ""
	}
	return fmt.Sprintf(", and persistence holds %d", persistent)
}

// writeDrain writes what ends a drain, and what would follow.
func (e serverExplanation) writeDrain(w io.Writer, now time.Time, p palette) {
	d := e.Drain
	if d == nil {
		return
	}
	if d.Ended.IsZero() {
		fmt.Fprintf(w, "  leaves the table when it has no connection, in %s at the latest\n", max(0, d.Until.Sub(now)).Round(time.Second))
	}
	fmt.Fprintf(w, "  by its checks it is %s\n", p.state(e.Verdict))
	switch d.Cause {
	case "command":
		fmt.Fprintf(w, "  comes back by `holdfast undrain %s/%s`\n", e.Service.Name, e.Name)
	case "maintenance":
		fmt.Fprintf(w, "  comes back with maintenance = false and a reload\n")
	}
}

// writeWeight writes what the weight is made of.
func (e serverExplanation) writeWeight(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "\nweight\n  %5d  configured\n", e.Weight)
	if e.OverrideWeight != nil {
		fmt.Fprintf(w, "  %5d  as `holdfast weight` has set it\n", *e.OverrideWeight)
	}
	if e.DynamicWeight != nil {
		note := ""
		if e.OverrideWeight != nil {
			note = ", which does not count beside that"
		} else if e.Weight == 0 {
			note = ", but configured as 0 it stays so"
		}
		fmt.Fprintf(w, "  %5d  as its checks ask for%s\n", *e.DynamicWeight, note)
	}
	if !e.SlowStartSince.IsZero() {
		left := e.SlowStartSince.Add(time.Duration(e.SlowStartSeconds * float64(time.Second))).Sub(now)
		fmt.Fprintf(w, "         raised over %s, slow_start: %s left\n", seconds(e.SlowStartSeconds), max(0, left).Round(time.Second))
	}
	fmt.Fprintf(w, "  %5d  in the table\n", e.EffectiveWeight)
}

// writeCheck writes what is known of one check.
func writeCheck(w io.Writer, c director.CheckStatus, now time.Time, p palette) {
	name := c.Kind
	if c.Name != c.Kind {
		name += " " + c.Name
	}
	fmt.Fprintf(w, "  %s of %s: %s", name, c.Target, p.state(c.State))
	if c.Since.IsZero() {
		fmt.Fprintln(w)
	} else {
		fmt.Fprintf(w, " for %s\n", age(now, c.Since))
	}
	if c.Last.IsZero() {
		fmt.Fprint(w, "    has not run yet\n")
	} else {
		result := "passed"
		if c.Error != "" {
			result = printable(c.Error)
			if !strings.Contains(result, c.Reason) {
				result = c.Reason + ": " + result
			}
		}
		fmt.Fprintf(w, "    last %s ago, took %s: %s\n", fineAge(now, c.Last), seconds(c.DurationSeconds), result)
	}
	fmt.Fprintf(w, "    %s\n", progress(c))
	next := "now"
	if d := c.Next.Sub(now); !c.Next.IsZero() && d > 0 {
		next = "in " + d.Round(time.Millisecond).String()
	}
	fmt.Fprintf(w, "    next %s, every %s, at most %s each\n", next, seconds(c.IntervalSeconds), seconds(c.TimeoutSeconds))
	if c.DampedSeconds > 0 {
		fmt.Fprintf(w, "    flaps: it has to pass for %s more to come back\n", seconds(c.DampedSeconds))
	}
	if c.Weight != nil {
		fmt.Fprintf(w, "    asks for weight %d\n", *c.Weight)
	}
	fmt.Fprintf(w, "    %d passed, %d failed, %d could not run here\n", c.Passed, c.Failed, c.Local)
}

// progress says how far the results are from another verdict. Results that could not be had here do not count.
func progress(c director.CheckStatus) string {
	run := func(n int, what string) string {
		if n != 1 {
			what += map[string]string{"pass": "es", "failure": "s"}[what]
		}
		return fmt.Sprintf("%d %s in a row", n, what)
	}
	switch {
	case c.Run == 0 && c.State == "up":
		return fmt.Sprintf("no result yet: down after %s", run(c.Fall, "failure"))
	case c.Run == 0 && c.State == "down":
		return fmt.Sprintf("no result yet: up after %s", run(c.Need, "pass"))
	case c.Run == 0:
		return "no result yet: the first one decides"
	case c.State == "up" && c.Passing:
		return fmt.Sprintf("%s, down after %s", run(c.Run, "pass"), run(c.Fall, "failure"))
	case c.State == "up":
		return fmt.Sprintf("%s of the %d that take it down", run(c.Run, "failure"), c.Fall)
	case c.Passing:
		return fmt.Sprintf("%s of the %d that bring it up", run(c.Run, "pass"), c.Need)
	}
	return fmt.Sprintf("%s, up after %s", run(c.Run, "failure"), run(c.Need, "pass"))
}
