// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/drill"
)

// drillFlags are what the command line says of a drill.
type drillFlags struct {
	drill.Options
	target, host, peer, junit string
	rate, hold                int
	timeout                   time.Duration
	loadOnly                  bool
}

const (
	// drillLeadIn is how long the load runs before anything is done.
	drillLeadIn = 2 * time.Second
	// heldLeadIn is how long connections have to be open: the kernel gathers for up to 2 s what it tells the other director.
	heldLeadIn   = 5 * time.Second
	drillLeadOut = 2 * time.Second
	reachTimeout = 10 * time.Second // longer than a stale neighbour is believed in
)

func newDrillCommand(g *globals) *cobra.Command {
	f := &drillFlags{}
	cmd := &cobra.Command{
		Use:   "drill [ROUTER…]",
		Short: "Rehearse a failover of the running pair",
		Long: "Rehearse a failover of the running pair, on the director that is master: look whether anything speaks against it, hand\n" +
			"the virtual routers over (all that it is master of, or those that are named, with their sync groups), take them back\n" +
			"after --for, and tell what clients saw. A hand-over that nobody takes is undone by the director.\n" +
			"The role comes back also after ^C, when something fails, and a minute later by itself if the drill is killed. A second\n" +
			"^C gives up waiting for that and says what is left to do.\n" +
			"The load needs a host that is no director: run the drill there with the director's control socket forwarded by ssh,\n" +
			"or there --load-only beside the drill on the director. docs/drills.md says when to take which.\n" +
			"Exit code 0: passed; 1: a pre-check or a bound failed, nobody took over, or it was interrupted.",
		Example: "  holdfast drill --check\n" +
			"  holdfast drill --for 1m --junit drill.xml\n" +
			"  holdfast drill --socket lb1.sock --target http://10.0.0.100/ --hold 10\n" +
			"  holdfast drill --load-only --target 10.0.0.100:80 --for 3m",
		Args: f.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Routers = args
			return g.drill(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.Try, "check", false, "make the pre-checks and no more")
	flags.DurationVar(&f.For, "for", 30*time.Second, "the `time` that the other director serves; with --load-only, that the load lasts")
	flags.BoolVar(&f.Stay, "stay", false, "do not take the role back")
	flags.DurationVar(&f.ReturnWithin, "return-within", 2*time.Minute, "the `time` that it may take to be master again")
	flags.StringVar(&f.target, "target", "", "load `ADDRESS:PORT` with connections, or http://ADDRESS/PATH with requests (default: the first TCP service on the addresses)")
	flags.StringVar(&f.host, "host", "", "`name` that the requests are for (default: the target's address)")
	flags.BoolVar(&f.NoLoad, "no-load", false, "no load from this host")
	flags.BoolVar(&f.loadOnly, "load-only", false, "load the target, and leave the directors alone")
	flags.IntVar(&f.rate, "rate", 50, "the `number` of new connections a second, 1 to 1000")
	flags.IntVar(&f.hold, "hold", 0, "hold this `number` of connections, with a request each second; the target has to be http and to keep connections open")
	flags.DurationVar(&f.timeout, "timeout", time.Second, "a request that takes longer than this `time` is lost")
	flags.IntVar(&f.Bounds.Lost, "max-lost", 2, "fail if more than this `number` of requests are lost")
	flags.DurationVar(&f.Bounds.Gap, "max-gap", time.Second, "fail if nothing is answered for longer than this `time`")
	flags.IntVar(&f.Bounds.Broken, "max-broken", -1, "fail if more than this `number` of the held connections break; -1: tell only")
	flags.StringVar(&f.peer, "peer", "", "pre-check: the `URL` of the other director's http listener, whose /readyz has to say that it is ready")
	flags.StringVar(&f.junit, "junit", "", "write the result as JUnit XML into this `file`, too")
	return cmd
}

// args tells what cannot be meant.
func (f *drillFlags) args(cmd *cobra.Command, args []string) error {
	if f.target != "" {
		t, err := drill.ParseTarget(f.target)
		if err != nil {
			return err
		}
		if f.host != "" {
			t.Host = f.host
		}
		f.Target = t
	}
	for _, wrong := range []struct {
		is  bool
		say string
	}{
		{f.loadOnly && f.target == "", "--load-only needs a --target"},
		{f.loadOnly && (f.NoLoad || f.Try || f.Stay || f.peer != "" || len(args) > 0), "--load-only is for the load alone: no routers, --no-load, --check, --stay or --peer"},
		{f.NoLoad && f.target != "", "--no-load and --target contradict each other"},
		{f.hold != 0 && !f.Target.HTTP, "--hold needs a --target that is http://…"},
		{f.host != "" && !f.Target.HTTP, "--host needs a --target that is http://…"},
		{f.hold < 0 || f.hold > 1000, "--hold is from 0 to 1000"},
		{f.rate < 1 || f.rate > 1000, "--rate is from 1 to 1000 a second"},
		{f.For <= 0 || f.For > 24*time.Hour, "--for is longer than 0s and at most 24h"},
		{f.timeout <= 0 || f.Bounds.Gap <= 0 || f.ReturnWithin <= 0, "--timeout, --max-gap and --return-within are longer than 0s"},
		{f.Bounds.Lost < 0, "--max-lost is a number of requests"},
	} {
		if wrong.is {
			return errors.New(wrong.say)
		}
	}
	if f.peer != "" {
		if u, err := url.Parse(f.peer); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("--peer %q: want a URL like http://10.0.0.3:9652", f.peer)
		}
	}
	return nil
}

// drill runs a drill, or the load alone, and reports.
func (g *globals) drill(ctx context.Context, f *drillFlags, out, progress io.Writer) error {
	if f.junit != "" { // that it cannot be written is better known before
		if err := os.WriteFile(f.junit, nil, 0o644); err != nil {
			return fmt.Errorf("drill: %w", err)
		}
	}
	ctx, force, stop := interruptions(ctx, progress)
	defer stop()
	var r drill.Result
	if f.loadOnly {
		r = f.onlyLoad(ctx)
	} else {
		client, err := g.client()
		if err != nil {
			return err
		}
		local, err := localAddresses()
		if err != nil {
			return fmt.Errorf("drill: %w", err)
		}
		d := drill.Drill{
			Options: f.Options, Director: client, Local: local, Reach: reach,
			Clients: func(t drill.Target) drill.Clients { return f.trial(t) },
			Say: func(format string, args ...any) {
				fmt.Fprintf(progress, "%s %s\n", time.Now().Format(time.TimeOnly), printable(fmt.Sprintf(format, args...)))
			},
		}
		if f.peer != "" {
			d.Ready = f.peerReady
		}
		r = d.Run(ctx, force)
	}
	return g.reportDrill(f, r, out)
}

// reportDrill prints the result.
func (g *globals) reportDrill(f *drillFlags, r drill.Result, out io.Writer) error {
	var err error
	if g.json {
		err = printJSON(out, r)
	} else {
		_, err = io.WriteString(out, r.Text())
	}
	if f.junit != "" {
		var b bytes.Buffer
		err = cmp.Or(err, r.WriteJUnit(&b))
		err = errors.Join(err, os.WriteFile(f.junit, b.Bytes(), 0o644))
	}
	if err == nil && r.Verdict != drill.Passed {
		err = &exitError{code: exitFailed}
	}
	return err
}

// interruptions returns contexts that the first signal and the second one end.
func interruptions(parent context.Context, progress io.Writer) (ctx, force context.Context, stop func()) {
	force, giveUp := context.WithCancel(parent)
	ctx, interrupt := context.WithCancelCause(force)
	signal.Ignore(syscall.SIGPIPE)     // who read what is told may be gone: the role has to be taken back all the same
	signals := make(chan os.Signal, 2) // so that none is lost
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				if ctx.Err() != nil {
					giveUp()
					continue
				}
				fmt.Fprintf(progress, "%s: what was begun is undone; once more to give up on that\n", s)
				interrupt(errors.New("interrupted"))
			case <-done:
				return
			}
		}
	}()
	return ctx, force, func() {
		signal.Stop(signals)
		signal.Reset(syscall.SIGPIPE)
		close(done)
		giveUp()
	}
}

// trial is the load on a target.
func (f *drillFlags) trial(t drill.Target) drill.Trial {
	trial := drill.Trial{
		Load: drill.Load{
			Target: t.Address, Interval: time.Second / time.Duration(f.rate), Timeout: f.timeout,
			ConnectOnly: !t.HTTP, Path: t.Path, Host: t.Host,
		},
		LeadIn: drillLeadIn, LeadOut: drillLeadOut,
	}
	if f.hold > 0 {
		trial.LeadIn = heldLeadIn
		trial.Hold = drill.Hold{Target: t.Address, Count: f.hold, Interval: time.Second, Path: t.Path, Host: t.Host}
	}
	return trial
}

// onlyLoad loads the target for a time; an interruption ends it before that.
func (f *drillFlags) onlyLoad(ctx context.Context) drill.Result {
	trial := f.trial(f.Target)
	trial.LeadIn, trial.LeadOut = 0, 0
	return drill.OnlyLoad(ctx, trial, f.Target, f.For, f.Bounds)
}

// localAddresses are those of this host.
func localAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this host: %w", err)
	}
	var list []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list, nil
}

// reach finds out whether a host is there, by a connection to a port that is most likely closed: a refusal is an answer.
func reach(ctx context.Context, a netip.Addr) error {
	d := net.Dialer{Timeout: reachTimeout}
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(a, 9).String()) // discard
	if err == nil {
		_ = c.Close()
	}
	return err
}

// peerReady asks the other director.
func (f *drillFlags) peerReady(ctx context.Context) (string, error) {
	u, err := url.Parse(f.peer)
	if err != nil {
		return "", err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/readyz"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Timeout: reachTimeout}).Do(req)
	if err != nil {
		return "", fmt.Errorf("ask the other director: %w; does it run?", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", u, resp.Status, bytes.TrimSpace(text))
	}
	return u.String() + " says so", nil
}
