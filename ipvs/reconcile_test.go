// SPDX-License-Identifier: Apache-2.0

package ipvs_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
)

const pair = `-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1
-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1
`

// refuse makes calls that begin so fail, the first so many times.
func refuse(prefix string, err error, times int) func(string) error {
	return func(call string) error {
		if times > 0 && strings.HasPrefix(call, prefix) {
			times--
			return err
		}
		return nil
	}
}

func TestReconcileErrors(t *testing.T) {
	const always = 1 << 30
	none := ipvs.Counts{}
	for _, tt := range []struct {
		name         string
		have, want   string
		fail         func(string) error
		done, failed ipvs.Counts
		err          string
		errno        error
		lists        int
	}{
		{
			"others go on", "", pair, refuse("-a -t 10.0.0.1:80 -r 10.0.1.1:80", syscall.EINVAL, always),
			ipvs.Counts{ipvs.AddService: 1, ipvs.AddDestination: 1}, ipvs.Counts{ipvs.AddDestination: 1},
			"add destination 10.0.1.1:80 of 10.0.0.1:80/tcp: invalid argument", syscall.EINVAL, 1,
		},
		{
			"all errors are joined", "", pair, refuse("-a", syscall.EINVAL, always),
			ipvs.Counts{ipvs.AddService: 1}, ipvs.Counts{ipvs.AddDestination: 2},
			"add destination 10.0.1.1:80 of 10.0.0.1:80/tcp: invalid argument\n" +
				"add destination 10.0.1.2:80 of 10.0.0.1:80/tcp: invalid argument", syscall.EINVAL, 1,
		},
		{
			"no destination without its service", "", pair, refuse("-A", syscall.ENOENT, always),
			none, ipvs.Counts{ipvs.AddService: 1, ipvs.AddDestination: 2},
			"add service 10.0.0.1:80/tcp: no such file or directory", syscall.ENOENT, 1,
		},
		{
			"hopeless", "", pair, refuse("-A", syscall.EPERM, always),
			none, ipvs.Counts{ipvs.AddService: 1, ipvs.AddDestination: 2},
			"add service 10.0.0.1:80/tcp: operation not permitted", syscall.EPERM, 1,
		},
		{
			"reading fails", "", pair, refuse("list", syscall.EPERM, always),
			none, none, "read table: operation not permitted", syscall.EPERM, 1,
		},
		{
			"service was added meanwhile", "", pair, refuse("-A", syscall.EEXIST, 1),
			ipvs.Counts{ipvs.AddService: 1, ipvs.AddDestination: 2}, none, "", nil, 2,
		},
		{
			"service vanished meanwhile", pair, strings.ReplaceAll(pair, "-w 1", "-w 2"), refuse("-e", syscall.ESRCH, 1),
			ipvs.Counts{ipvs.UpdateDestination: 2}, none, "", nil, 2,
		},
		{
			"it keeps changing", pair, strings.ReplaceAll(pair, "rr", "wlc"), refuse("-E", syscall.ESRCH, always),
			none, ipvs.Counts{ipvs.UpdateService: 1}, "update service 10.0.0.1:80/tcp: no such process", syscall.ESRCH, 2,
		},
		{
			"service is gone already", pair, "", refuse("-D", syscall.ESRCH, always),
			ipvs.Counts{ipvs.DeleteService: 1}, none, "", nil, 1,
		},
		{
			"destinations are gone already", pair, "-A -t 10.0.0.1:80 -s rr", refuse("-d", syscall.ENOENT, always),
			ipvs.Counts{ipvs.DeleteDestination: 2}, none, "", nil, 1,
		},
		{
			"IPVS is gone", pair, "", refuse("-D", errors.Join(ipvs.ErrNoIPVS, syscall.ENOENT), always),
			none, ipvs.Counts{ipvs.DeleteService: 1}, "the kernel has no IPVS", ipvs.ErrNoIPVS, 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := fake(t, tt.have)
			table.Fail(tt.fail)
			before := table.Lists()
			owned := []ipvs.Key{ipvstest.Parse(pair)[0].Key}
			r, err := ipvs.Reconcile(t.Context(), table, ipvs.Goal{Services: ipvstest.Parse(tt.want), Owned: owned})
			if r.Done != tt.done || r.Failed != tt.failed {
				t.Errorf("got done %s, failed %s, want %s, %s", r.Done, r.Failed, tt.done, tt.failed)
			}
			if tt.err == "" && err != nil || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
			if !errors.Is(err, tt.errno) {
				t.Errorf("got error %v, want it to wrap %v", err, tt.errno)
			}
			if got := table.Lists() - before; got != tt.lists {
				t.Errorf("got %d readings, want %d", got, tt.lists)
			}
		})
	}
}

func fake(t *testing.T, state string) *ipvstest.Fake {
	t.Helper()
	f := &ipvstest.Fake{}
	if _, err := ipvs.Reconcile(t.Context(), f, ipvs.Goal{Services: ipvstest.Parse(state)}); err != nil {
		t.Fatal(err)
	}
	f.Applied()
	return f
}

func TestReconcileEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	table := &ipvstest.Fake{}
	table.Fail(func(call string) error {
		if strings.HasPrefix(call, "-A") {
			cancel()
			return ctx.Err()
		}
		return nil
	})
	_, err := ipvs.Reconcile(ctx, table, ipvs.Goal{Services: ipvstest.Parse(pair)})
	if ops := table.Applied(); !errors.Is(err, context.Canceled) || len(ops) != 1 {
		t.Errorf("got %v after %q, want %v after one operation", err, ops, context.Canceled)
	}
}

func TestReconcileLeavesForeignServicesAlone(t *testing.T) {
	const foreign = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.1.1:80 -m -w 1\n"
	table := fake(t, pair+foreign)
	r, err := ipvs.Reconcile(t.Context(), table, ipvs.Goal{Owned: []ipvs.Key{ipvstest.Parse(pair)[0].Key}})
	if err != nil || r.Foreign != 1 || table.String() != foreign {
		t.Errorf("got %+v and\n%s\nwant\n%s", r, table, foreign)
	}
}
