// SPDX-License-Identifier: Apache-2.0

package vrrpsim

import (
	"testing"
	"time"
)

// TestStepDown: the role moves and stays there over a crash, until the return; what nobody takes is undone.
func TestStepDown(t *testing.T) {
	n, a, b := pair(1, time.Second)
	boot(n)
	after := func(d time.Duration) { n.Run(n.Now().Add(d)) }
	is := func(what string, master *Router, steppedDown bool) {
		t.Helper()
		if n.masters() != 1 || !master.isMaster() || a.director.SteppedDown() != steppedDown {
			t.Errorf("%s: lb1 %v, lb2 %v, stepped down %v", what, a.State(), b.State(), a.director.SteppedDown())
		}
	}
	after(10 * time.Second)
	is("start", a, false)
	a.director.StepDown()
	after(5 * time.Second)
	is("failover", b, true)
	a.director.Crash()
	a.director.Boot()
	after(10 * time.Second)
	is("restart", b, true)
	b.director.Crash()
	after(5 * time.Second)
	is("the other one is gone", a, true)
	b.director.Boot()
	a.director.StepDown()
	after(10 * time.Second)
	is("failover again", b, true)
	a.director.Return()
	after(10 * time.Second)
	is("return", a, false)
	b.director.Crash()
	a.director.StepDown()
	after(5 * time.Second)
	is("nobody takes over", a, false)
}
