// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/doctor"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/realserver"
)

// healthy lets the doctor look at both directors and all real servers: it finds nothing.
func (l *customerLab) healthy(t *testing.T) {
	t.Helper()
	look := func(h *netlab.Host, o doctor.Options) {
		t.Helper()
		var facts doctor.Facts
		must(t, h.Do(func() (err error) {
			facts, err = doctor.Gather(t.Context(), o)
			return err
		}))
		if len(facts.Unknown) > 0 {
			t.Errorf("doctor on %s could not find out: %q", h.Name, facts.Unknown)
		}
		for _, f := range doctor.Diagnose(facts) {
			t.Errorf("doctor on %s: %s: %s: %s", h.Name, f.ID, f.Fact, f.Mend)
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
