// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-lb/holdfast/internal/notify"
)

func TestHistoryKeepsTheLast(t *testing.T) {
	h := newHistory()
	numbers := func(after uint64) string {
		list, lost, _, _ := h.after(after)
		if len(list) == 0 {
			return fmt.Sprintf("none, lost %d", lost)
		}
		for i, e := range list {
			if e.Sequence != list[0].Sequence+uint64(i) || e.Count != int(e.Sequence) {
				t.Fatalf("%d: %+v", i, e)
			}
		}
		return fmt.Sprintf("%d-%d, lost %d", list[0].Sequence, list[len(list)-1].Sequence, lost)
	}
	for n := 1; n <= 2500; n++ {
		h.put(notify.Event{Count: n})
		switch {
		case n == 3 && numbers(0) != "1-3, lost 0", n == 1000 && numbers(0) != "1-1000, lost 0":
			t.Errorf("after %d: %s", n, numbers(0))
		}
	}
	for after, want := range map[uint64]string{
		0: "1501-2500, lost 1500", 1500: "1501-2500, lost 0", 1499: "1501-2500, lost 1", 2499: "2500-2500, lost 0", 2500: "none, lost 0", 9999: "none, lost 0",
	} {
		if got := numbers(after); got != want {
			t.Errorf("after %d: %s, want %s", after, got, want)
		}
	}
}

func TestFollowersAreBounded(t *testing.T) {
	h := newHistory()
	for range followersMost {
		if err := h.join(); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.join(); err == nil {
		t.Error("one more is admitted")
	}
	h.leave()
	if err := h.join(); err != nil {
		t.Error(err)
	}
	go func() {
		for range followersMost {
			h.leave()
		}
	}()
	h.end(time.Hour)
	if err := h.join(); err == nil {
		t.Error("one is admitted after the end")
	}
}

// brief is an event in a line.
func brief(e Recorded) string { return e.Kind + " " + e.Name + " " + e.From + ">" + e.To }

func TestEventsAreListed(t *testing.T) {
	s := newSite(t)
	s.run()
	s.tableHas("web1=1 web2=1")
	s.servers[0].sick.Store(true)
	s.tableHas("web2=1")
	list := func(q EventQuery) (lines []string) {
		t.Helper()
		all, err := s.client.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all.Events {
			lines = append(lines, brief(e))
		}
		return lines
	}
	const down = "real_server web/web1 up>down"
	s.eventually(func() error {
		if all := list(EventQuery{Last: -1}); !slices.Contains(all, down) || !slices.Contains(all, "virtual_server web unknown>up") {
			return fmt.Errorf("%q", all)
		}
		return nil
	})
	if got := list(EventQuery{Last: -1, Kinds: []string{"virtual_server"}}); slices.ContainsFunc(got, func(l string) bool { return !strings.HasPrefix(l, "virtual_server ") }) || len(got) == 0 {
		t.Errorf("of a kind: %q", got)
	}
	if got := list(EventQuery{Last: -1, Name: "web/web1"}); len(got) != 2 || got[1] != down {
		t.Errorf("of a name: %q", got)
	}
	if got := list(EventQuery{Last: 1, Name: "web/web1"}); len(got) != 1 || got[0] != down {
		t.Errorf("the last: %q", got)
	}
	if got := list(EventQuery{Last: -1, Since: time.Now().Add(time.Hour)}); len(got) != 0 {
		t.Errorf("since the future: %q", got)
	}
	_, err := s.client.Events(t.Context(), EventQuery{Kinds: []string{"weather"}})
	if err == nil || !strings.Contains(err.Error(), `no event is of kind "weather": there are virtual_router`) {
		t.Errorf("error %v", err)
	}
}

// TestFollowerOutlivesADirector follows over a restart: each event comes once, the end is told, and so is the new run.
func TestFollowerOutlivesADirector(t *testing.T) {
	s := newSite(t)
	_, stop := s.run()
	s.tableHas("web1=1 web2=1")
	q := EventQuery{}
	got := make(chan Recorded, 10000)
	follow := func() chan error {
		ended := make(chan error, 1)
		go func() {
			ended <- s.client.FollowEvents(t.Context(), &q, func(e Recorded) error { got <- e; return nil })
		}()
		return ended
	}
	next := func(want string) {
		t.Helper()
		for end := time.After(20 * time.Second); ; {
			select {
			case e := <-got:
				if brief(e) == want {
					return
				}
			case <-end:
				t.Fatalf("no %q", want)
			}
		}
	}
	ended := follow()
	for range 100 { // it may not follow yet
		s.reload()
	}
	next("reload " + s.path + " loading>applied")
	s.servers[0].sick.Store(true)
	next("real_server web/web1 up>down")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrStreamEnded) {
		t.Fatalf("ended with %v", err)
	}
	if _, err := s.client.Status(t.Context()); err == nil {
		t.Fatal("it still answers")
	}
	seen := q.After
	s.run()
	ended = follow()
	next("stream  >restarted")
	s.servers[0].sick.Store(false)
	next("real_server web/web1 down>up")
	if q.Run == "" || seen == 0 {
		t.Errorf("run %q, %d events before", q.Run, seen)
	}
	select {
	case err := <-ended:
		t.Errorf("ended with %v", err)
	default:
	}
}

func TestFollowerThatDoesNotReadIsDropped(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	defer func(d time.Duration) { followerPatience = d }(followerPatience)
	followerPatience = 3 * time.Second
	s := newSite(t)
	d, stop := s.run()
	defer func() { _ = stop() }()
	c, err := net.Dial("unix", s.client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET /v1/events?follow=1 HTTP/1.1\r\nHost: holdfast\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	reader := EventQuery{}
	var newest atomic.Uint64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = s.client.FollowEvents(ctx, &reader, func(e Recorded) error { newest.Store(e.Sequence); return nil })
	}()
	for range 100 { // more than the kernel keeps for who does not read
		d.history.put(notify.Event{Kind: "reload", Reason: strings.Repeat("x", 10000)})
	}
	s.eventually(func() error {
		if n := testutil.ToFloat64(d.metrics.followersDropped); n != 1 {
			return fmt.Errorf("%v followers dropped", n)
		}
		return nil
	})
	s.logged("follower of events dropped")
	s.reload() // the loop is alive
	list, _, _, _ := d.history.after(0)
	last := list[len(list)-1].Sequence
	s.eventually(func() error { // the other one is told on
		if n := newest.Load(); n < last {
			return fmt.Errorf("%d of %d", n, last)
		}
		return nil
	})
	// Who comes back is told what it has missed when it comes back.
	q := EventQuery{Run: d.run(), After: 1}
	for range historyMost {
		d.history.put(notify.Event{Kind: "reload"})
	}
	told := errors.New("told")
	err = s.client.FollowEvents(t.Context(), &q, func(e Recorded) error {
		if e.Kind != "stream" || e.To != "lost" || e.Count == 0 {
			t.Errorf("first %+v", e)
		}
		return told
	})
	if !errors.Is(err, told) {
		t.Error(err)
	}
}

// TestUnreachable: a client says why nobody answers, and what to do.
func TestUnreachable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	client := Client{path}
	wrong := func(want string) {
		t.Helper()
		if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	wrong("no control socket " + path)
	wrong("start the director (`systemctl start holdfast`, or `holdfast run`), or name its socket with --socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	wrong("connection refused: it has ended: start it")
	if got := client.unreachable(syscall.EACCES).Error(); !strings.Contains(got, "be root, or a member of the group that the socket belongs to") {
		t.Error(got)
	}
}
