// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/doctor"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/realserver"
)

// TestCustomerSetupsAreHealthy has nobody load the set-ups while the doctor's tools take the processor.
func TestCustomerSetupsAreHealthy(t *testing.T) {
	netlab.RequireIPVS(t)
	t.Setenv(asHoldfast, "1")
	for _, c := range customerSetups {
		t.Run(strings.TrimSuffix(c.example, ".hcl"), func(t *testing.T) {
			t.Parallel()
			l := newCustomerLab(t, c)
			must(t, l.await(t.Context(), settleWithin, l.master(0), l.serverState(0, "", "up"), l.serverState(1, "", "up")))
			l.healthy(t)
		})
	}
}

// healthy lets the doctor look at both directors and all real servers: it finds out all and finds nothing. It looks again
// where the machine was too busy for that.
func (l *customerLab) healthy(t *testing.T) {
	t.Helper()
	look := func(h *netlab.Host, o doctor.Options) {
		t.Helper()
		if err := poll(t.Context(), settleWithin, func() error {
			var facts doctor.Facts
			err := h.Do(func() (err error) {
				facts, err = doctor.Gather(t.Context(), o)
				return err
			})
			found := doctor.Diagnose(facts)
			if err == nil && len(found)+len(facts.Unknown) > 0 {
				err = fmt.Errorf("it finds %+v and cannot find out %q", found, facts.Unknown)
			}
			return err
		}); err != nil {
			t.Errorf("doctor on %s: %v", h.Name, err)
		}
	}
	for i, d := range l.directors {
		cfg, diags := configs.Load(d.config())
		must(t, diags.Err())
		o := doctor.Options{Config: cfg, Running: true, Socket: d.api().Socket}
		if i == 0 {
			o.Masters = []string{cfg.VirtualRouters[0].Name}
		}
		look(d.host, o)
	}
	for i, h := range l.webHosts {
		look(h, doctor.Options{Uses: []realserver.Use{l.uses[i]}})
	}
}
