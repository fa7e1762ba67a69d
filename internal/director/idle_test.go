// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// Whatever the kernel still has of a server counts; what is not in the table has nothing, and an error tells nothing.
func TestWhoHasConnections(t *testing.T) {
	key := ipvs.Key{Address: netip.MustParseAddr("10.0.0.100"), Port: 80, Protocol: ipvs.TCP}
	id := func(last byte) serverID {
		return serverID{key, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 80)}
	}
	stats := []ipvs.ServiceStats{{Key: key, Destinations: []ipvs.DestinationStats{
		{Address: id(1).address, Active: 1}, {Address: id(2).address, Inactive: 1}, {Address: id(3).address, Persistent: 1}, {Address: id(4).address},
	}}}
	ask := []serverID{id(1), id(2), id(3), id(4), id(5)}
	for _, tt := range []struct {
		err  error
		want []serverID
	}{{nil, ask[3:]}, {errors.New("no"), nil}} {
		ctx, stop := context.WithCancel(t.Context())
		asks, answers := make(chan []serverID, 1), make(chan any)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			watchDrains(ctx, asks, func(context.Context) ([]ipvs.ServiceStats, error) { return stats, tt.err }, func(m any) { answers <- m })
		}()
		asks <- ask
		if got := (<-answers).(counted).idle; !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.err, got, tt.want)
		}
		stop()
		<-ended
	}
}

// A count is of use only when the weight of 0 was in the table before it, and the statistics that it reads are as new.
func TestCountsComeAfterTheWeightWasTaken(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	d := drains{asks: make(chan []serverID, 1)}
	one := drainRun{id: serverID{address: netip.MustParseAddrPort("10.0.0.1:80")}}
	d.follow([]drainRun{one}, 7, time.Time{})
	d.reported(now, 6)
	if deadline := d.ask(at(time.Hour)); !deadline.IsZero() || d.asked {
		t.Error("asked before the table has it")
	}
	d.reported(now, 7)
	if deadline := d.ask(at(settle - 1)); deadline != at(settle) || d.asked {
		t.Errorf("asked too soon, or again at %v", deadline)
	}
	if d.ask(at(settle)); !d.asked {
		t.Fatal("not asked")
	}
	if d.ask(at(time.Minute)); len(d.asks) != 1 {
		t.Error("asked twice")
	}
	<-d.asks
	if d.answered(at(settle), counted{took: time.Second}) {
		t.Error("nothing is news")
	}
	if deadline := d.ask(at(settle + 1)); deadline != at(settle+countShare*time.Second) {
		t.Errorf("next at %v, want after 20 times what it took", deadline)
	}
	if !d.answered(at(time.Minute), counted{idle: []serverID{one.id, {}}}) || !d.idle[one.id] || len(d.idle) != 1 {
		t.Errorf("idle: %v", d.idle)
	}
	if d.follow(nil, 8, now); len(d.idle)+len(d.began) > 0 {
		t.Errorf("remembers %v, %v", d.idle, d.began)
	}
}
