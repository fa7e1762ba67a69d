// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/director"
)

func newFailoverCommand(g *globals) *cobra.Command {
	var back, wait bool
	var after time.Duration
	c := &cobra.Command{
		Use:   "failover [ROUTER…] [--wait] [--return-after TIME | --return]",
		Short: "Hand the role over to another director, as planned",
		Long: "Hand over the role of virtual routers, of all without a name: this director sends priority 0, serves on until another\n" +
			"one is master, and from then on does not preempt; it still takes over when no master is heard. A sync group goes as\n" +
			"one. If nobody takes over within a master-down interval, it goes on as before, nothing is lost, and the exit code is 1.\n" +
			"\n" +
			"It lasts over reloads and restarts, until --return or for the time of --return-after. Then the role is taken back at the\n" +
			"end of the master-down timer, without preempt_delay, if the priority and preempt allow it; with preempt = false this\n" +
			"director stays backup until the other one hands over.\n" +
			"\n" +
			"The command returns when the outcome is known. With --wait it returns when the new master has been heard for an\n" +
			"interval, or with --return-after or --return when the role is back; to interrupt it then (^C) returns the role at once.",
		Example: "  holdfast failover\n  holdfast failover web --return-after 10m --wait\n  holdfast failover --return",
	}
	flags := c.Flags()
	flags.BoolVar(&wait, "wait", false, "return when the new master has settled, or when the role is back")
	flags.BoolVar(&back, "return", false, "end what a failover has begun; all that are stepped down without a name")
	flags.DurationVar(&after, "return-after", 0, "return by itself after this `time`, also over a restart")
	c.Args = func(*cobra.Command, []string) error {
		switch timed := flags.Changed("return-after"); {
		case timed && back:
			return errors.New("--return is now, and --return-after later: take one of them")
		case timed && after <= 0:
			return fmt.Errorf("--return-after takes a time above 0s, not %s", after)
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := g.client()
		if err != nil {
			return err
		}
		f := failover{client: client, names: args, now: time.Now}
		if !g.json {
			f.out = cmd.OutOrStdout()
		}
		ctx := cmd.Context()
		if wait {
			var stop context.CancelFunc
			ctx, stop = signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
		}
		err = f.run(ctx, back, wait, after)
		if g.json && f.Routers != nil {
			return errors.Join(printJSON(cmd.OutOrStdout(), f), err)
		}
		return err
	}
	return c
}

// failover is one order and what became of it. Its JSON is that of the command.
type failover struct {
	director.Failover
	Waited []waited `json:"waited,omitempty"` // of --wait

	client director.Client
	names  []string
	out    io.Writer // nil: JSON is printed at the end
	now    func() time.Time
}

// waited is how a virtual router was when the wait was over.
type waited struct {
	Router  string  `json:"virtual_router"`
	State   string  `json:"state"`
	Reason  string  `json:"reason"`
	Seconds float64 `json:"seconds"` // since the order
}

func (f *failover) run(ctx context.Context, back, wait bool, after time.Duration) error {
	began := f.now()
	order := func() (director.Failover, error) { return f.client.Failover(ctx, f.names, after) }
	if back {
		order = func() (director.Failover, error) { return f.client.Return(ctx, f.names) }
	}
	var err error
	if f.Failover, err = order(); err != nil {
		switch {
		case ctx.Err() == nil:
			return err
		case after > 0:
			return f.interrupted()
		}
		return waitInterrupted(back)
	}
	f.print(failoverText(f.Failover, f.now()))
	if wait {
		err = f.wait(ctx, began, back || after > 0)
	}
	switch {
	case err != nil && ctx.Err() != nil && after > 0:
		return f.interrupted()
	case err != nil && ctx.Err() != nil:
		return waitInterrupted(back)
	case err != nil:
		return err
	}
	return failed(f.Failover)
}

func (f *failover) print(text string) {
	if f.out != nil {
		_, _ = io.WriteString(f.out, text)
	}
}

// interrupted returns the role at once.
func (f *failover) interrupted() error {
	returned, err := f.client.Return(context.Background(), f.names)
	if err != nil {
		return fmt.Errorf("failover: interrupted, and not returned: %w; give the command `holdfast failover --return`", err)
	}
	f.Failover = returned
	f.print(failoverText(returned, f.now()))
	return errors.New("failover: interrupted: the role is returned")
}

// waitInterrupted is the error of a wait that was interrupted, where that ends nothing else.
func waitInterrupted(back bool) error {
	if back {
		return errors.New("failover: interrupted: the return goes on, `holdfast status` shows it")
	}
	return errors.New("failover: interrupted: the order goes on, `holdfast failover --return` ends it")
}

// failed is the error of those that did not hand over.
func failed(f director.Failover) error {
	causes := make(map[string][]string)
	var order []string
	for _, r := range f.Routers {
		if r.Failed() {
			if causes[r.Error] == nil {
				order = append(order, r.Error)
			}
			causes[r.Error] = append(causes[r.Error], r.Router)
		}
	}
	var list []string
	for _, cause := range order {
		list = append(list, strings.Join(causes[cause], ", ")+": "+cause)
	}
	if len(list) == 0 {
		return nil
	}
	text := "failover: " + strings.Join(list, "; ")
	if slices.ContainsFunc(f.Routers, func(r director.RouterFailover) bool { return r.Result == "not_taken" }) {
		text += "; is another director well (`holdfast status` there), and does it hear this one?"
	}
	return errors.New(text)
}

// wait returns when those that did what they were told have come to their end: with home the role is back, else their new
// master was heard for an interval.
func (f *failover) wait(ctx context.Context, began time.Time, home bool) error {
	tick := time.NewTicker(waitEvery / 5)
	defer tick.Stop()
	waits := slices.DeleteFunc(slices.Clone(f.Routers), func(r director.RouterFailover) bool {
		return r.Failed() || r.Result == "took_no_part" || r.Result == "not_stepped_down" || !home && r.Result != "handed_over"
	})
	for len(waits) > 0 {
		s, err := f.client.Status(ctx)
		if err != nil {
			return err
		}
		for _, vr := range s.VirtualRouters {
			at := slices.IndexFunc(waits, func(r director.RouterFailover) bool { return r.Router == vr.Name })
			if at < 0 {
				continue
			}
			over := settled
			if home {
				over = returned
			}
			if done, err := over(vr, waits[at]); err != nil {
				return err
			} else if done {
				waits = slices.Delete(waits, at, at+1)
				took := f.now().Sub(began)
				f.Waited = append(f.Waited, waited{vr.Name, vr.State, vr.Reason, took.Seconds()})
				f.print(fmt.Sprintf("%s: %s after %s: %s\n", vr.Name, vr.State, took.Round(10*time.Millisecond), vr.Reason))
			}
		}
		if len(waits) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// settled reports whether the new master has been heard for an interval.
func settled(vr director.VirtualRouterStatus, _ director.RouterFailover) (bool, error) {
	if vr.State != "backup" {
		return false, fmt.Errorf("failover: %s is %s again: %s", vr.Name, vr.State, vr.Reason)
	}
	at := slices.IndexFunc(vr.Peers, func(p director.PeerStatus) bool { return p.Address.String() == vr.Master })
	return at >= 0 && vr.Peers[at].LastSeen.Sub(vr.Since).Seconds() >= vr.Peers[at].IntervalSeconds/2, nil
}

// returned reports whether a virtual router is stepped down no more, and has the role back if it can have it: much may have
// changed since the order.
func returned(vr director.VirtualRouterStatus, r director.RouterFailover) (bool, error) {
	switch {
	case vr.SteppedDown != nil:
		return false, nil
	case vr.State == "fault":
		return false, fmt.Errorf("failover: %s is returned, but in fault: %s", vr.Name, vr.Reason)
	}
	outranked := vr.State == "backup" && slices.ContainsFunc(vr.Peers, func(p director.PeerStatus) bool {
		return p.Address.String() == vr.Master && p.Priority >= vr.EffectivePriority
	})
	return vr.State == "master" || !r.Returns || outranked, nil
}

// failoverText says what became of an order.
func failoverText(f director.Failover, now time.Time) string {
	if len(f.Routers) == 0 {
		return "nothing is stepped down\n"
	}
	var b strings.Builder
	for _, r := range f.Routers {
		fmt.Fprintf(&b, "%s: %s%s", r.Router, strings.ReplaceAll(r.Result, "_", " "), routerText(r))
		if r.SyncGroup != "" {
			fmt.Fprintf(&b, " (as all of sync group %s)", r.SyncGroup)
		}
		fmt.Fprintln(&b)
		if later := laterText(r, now); later != "" {
			fmt.Fprintf(&b, "  %s\n", later)
		}
	}
	return b.String()
}

// routerText is how the order ended at one virtual router.
func routerText(r director.RouterFailover) string {
	took := time.Duration(r.Seconds * float64(time.Second)).Round(time.Millisecond)
	master := cmp.Or(r.Master, "nobody that is known")
	switch r.Result {
	case "handed_over":
		return fmt.Sprintf(" to %s in %s", master, took)
	case "not_taken":
		return fmt.Sprintf(": %s within %s; it goes on as master, nothing was lost", r.Error, took)
	case "was_backup":
		return fmt.Sprintf(": %s is master", master)
	case "returned":
		return "; " + r.Outlook
	case "interrupted":
		return ": " + r.Error
	}
	return ""
}

// laterText says until when a virtual router is stepped down, and what comes then.
func laterText(r director.RouterFailover, now time.Time) string {
	if r.Result == "handed_over" && r.Failed() {
		return r.Error + "; " + r.Outlook
	}
	if !r.SteppedDown {
		return ""
	}
	until := "until `holdfast failover --return`"
	if !r.Until.IsZero() {
		until = "for " + max(0, r.Until.Sub(now)).Round(time.Second).String()
	}
	return fmt.Sprintf("does not preempt %s; then it %s", until, cmp.Or(r.Outlook, "takes part as before"))
}

// steppedDownText says since when a virtual router is stepped down, and until when; empty: it is not.
func steppedDownText(s *director.SteppedDownStatus, now time.Time) string {
	if s == nil {
		return ""
	}
	text := "stepped down by an operator " + age(now, s.Since) + " ago, "
	if s.Until.IsZero() {
		return text + "until `holdfast failover --return`"
	}
	return text + "returns in " + age(s.Until, now)
}
