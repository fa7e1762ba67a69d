// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"log/slog"
	"slices"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/sysctl"
)

// sysctls keeps the kernel's parameters as the configuration needs them, in a goroutine of its own: to write one may wait
// for the kernel's lock on links.
type sysctls struct {
	wanted chan []sysctl.Setting // mailbox of 1, empty: all is put back; closed at the end; nil: nothing is set
	done   chan struct{}
}

// sysctlLoans are what is changed now.
type sysctlLoans sysctl.Loans

// beginSysctls sets what is needed before anything is balanced. The last run's changes become ours.
func (d *Director) beginSysctls() {
	d.loans = d.last.Sysctls
	if d.o.Sysctls == "" {
		return
	}
	keeper := sysctl.NewKeeper(d.log, d.o.Sysctls, d.loans)
	apply := func(wanted []sysctl.Setting) {
		if len(wanted) == 0 {
			keeper.Restore()
			return
		}
		keeper.Apply(wanted)
	}
	apply(neededSysctls(d.cfg))
	d.reportSysctls()
	d.loans = keeper.Loans()
	d.sysctls = sysctls{make(chan []sysctl.Setting, 1), make(chan struct{})}
	told := d.loans
	go func() {
		defer close(d.sysctls.done)
		for wanted := range d.sysctls.wanted {
			apply(wanted)
			if now := keeper.Loans(); !sameLoans(now, told) {
				told = now
				d.inbox.put(sysctlLoans(now))
			}
		}
	}()
}

// neededSysctls are the parameters to set; none: it is for others to set them.
func neededSysctls(cfg *configs.Config) []sysctl.Setting {
	if !cfg.Director.ManageSysctls {
		return nil
	}
	return sysctl.Needed(cfg)
}

// reportSysctls says what the kernel has otherwise than the configuration needs, where it is not for us to set.
func (d *Director) reportSysctls() {
	if d.o.Sysctls == "" || d.cfg.Director.ManageSysctls || !d.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	for _, s := range sysctl.Missing(d.o.Sysctls, sysctl.Needed(d.cfg)) {
		d.log.Debug("sysctl is not as needed", "sysctl", s.Name(), "value", s.Value, "reason", s.Reason)
	}
}

// applySysctls has everything set that is needed and missing: a module or a link may have come since the last time.
func (d *Director) applySysctls() {
	wanted := neededSysctls(d.cfg)
	if d.sysctls.wanted == nil || d.stopping || len(wanted) == 0 && len(d.loans.List) == 0 {
		return
	}
	select {
	case <-d.sysctls.wanted:
	default:
	}
	d.sysctls.wanted <- wanted
}

// endSysctls puts back what was changed, when nothing passes this host any more; on_exit = "keep" leaves it to the next run.
func (d *Director) endSysctls() {
	if d.sysctls.wanted == nil {
		return
	}
	close(d.sysctls.wanted)
	<-d.sysctls.done
	d.takeAll() // what it has done last
	keeper := sysctl.NewKeeper(d.log, d.o.Sysctls, d.loans)
	if !d.keeps {
		keeper.Restore()
	}
	d.loans = keeper.Loans()
}

func sameLoans(a, b sysctl.Loans) bool { return a.Boot == b.Boot && slices.Equal(a.List, b.List) }
