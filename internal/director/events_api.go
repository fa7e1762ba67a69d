// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/internal/notify"
)

// followerPatience is how long a follower may leave what is written to it unread before it is dropped.
var followerPatience = 10 * time.Second

// runHeader says which run of the director the numbers of a stream are of.
const runHeader = "Holdfast-Run"

// EventQuery says which events are wanted.
type EventQuery struct {
	Kinds []string  // empty: all
	Name  string    // of the object, or of the service that it belongs to; empty: any
	Since time.Time // zero: all that are kept
	Last  int       // at most so many of those that there are; negative: all
	// Run and After are what a follower has seen: it continues there. FollowEvents moves them on.
	Run   string
	After uint64
}

// Events are those that are kept.
type Events struct {
	Run       string     `json:"run"`       // of the director
	Forgotten uint64     `json:"forgotten"` // events of this run that are not kept any more
	Events    []Recorded `json:"events"`    // the oldest first
}

func (q EventQuery) values() url.Values {
	v := url.Values{"last": {strconv.Itoa(q.Last)}, "kind": q.Kinds}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	if q.Name != "" {
		v.Set("name", q.Name)
	}
	if q.Run != "" {
		v.Set("run", q.Run)
		v.Set("after", strconv.FormatUint(q.After, 10))
	}
	return v
}

func parseEventQuery(v url.Values) (q EventQuery, err error) {
	q = EventQuery{Kinds: v["kind"], Name: v.Get("name"), Last: -1, Run: v.Get("run")}
	for _, k := range q.Kinds {
		if !slices.Contains(configs.EventKinds, k) {
			return q, fmt.Errorf("no event is of kind %q: there are %s", k, strings.Join(configs.EventKinds, ", "))
		}
	}
	var errs [3]error
	if s := v.Get("last"); s != "" {
		q.Last, errs[0] = strconv.Atoi(s)
	}
	if s := v.Get("since"); s != "" {
		q.Since, errs[1] = time.Parse(time.RFC3339Nano, s)
	}
	if s := v.Get("after"); s != "" {
		q.After, errs[2] = strconv.ParseUint(s, 10, 64)
	}
	return q, errors.Join(errs[:]...)
}

// of returns what of a list is wanted.
func (q EventQuery) of(list []Recorded) []Recorded {
	wanted := []Recorded{}
	for _, e := range list {
		if (len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) && !e.Time.Before(q.Since) &&
			(q.Name == "" || e.Name == q.Name || strings.HasPrefix(e.Name, q.Name+"/")) {
			wanted = append(wanted, e)
		}
	}
	if q.Last >= 0 {
		wanted = wanted[max(0, len(wanted)-q.Last):]
	}
	return wanted
}

// run names this run of the director.
func (d *Director) run() string { return d.started.UTC().Format(time.RFC3339Nano) }

// serveEvents answers with the last events, or with a stream of them that begins with these, one a line.
func (d *Director) serveEvents(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r.URL.Query())
	if err != nil {
		answer(w, nil, fmt.Errorf("events: %w", err))
		return
	}
	if follow, _ := strconv.ParseBool(r.FormValue("follow")); !follow {
		list, lost, _, _ := d.history.after(0)
		answer(w, Events{Run: d.run(), Forgotten: lost, Events: q.of(list)}, nil)
		return
	}
	if err := d.history.join(); err != nil {
		answerStatus(w, http.StatusServiceUnavailable, failure{"events: " + err.Error()})
		return
	}
	defer d.history.leave()
	if err := d.follow(r.Context(), w, q); errors.Is(err, os.ErrDeadlineExceeded) {
		d.metrics.followersDropped.Inc()
		d.log.Warn("follower of events dropped: it does not read")
	}
}

// follow writes events until one of both sides ends. It waits for the client only, never for the loop, and the loop never
// for it.
func (d *Director) follow(ctx context.Context, w http.ResponseWriter, q EventQuery) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set(runHeader, d.run())
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil { // that of the request is over
		return err
	}
	out := json.NewEncoder(w)
	write := func(e Recorded) error {
		return errors.Join(control.SetWriteDeadline(time.Now().Add(followerPatience)), out.Encode(e))
	}
	tell := func(to string, count uint64, reason string) error {
		return write(Recorded{Event: notify.Event{
			Kind: kindStream, To: to, Reason: reason, Time: time.Now(), Director: d.view.Load().config.Director.Name, Count: int(count),
		}})
	}
	began := q.Run == ""
	if q.Run != d.run() {
		q.After = 0
	}
	for first := true; ; first = false {
		list, lost, changed, ended := d.history.after(q.After)
		if n := len(list); n > 0 {
			q.After = list[n-1].Sequence
		}
		list = q.of(list)
		q.Last = -1
		var err error
		if first && !began && q.Run != d.run() {
			err = tell(streamRestarted, 0, "these are the events of another run: what the last one told at its end may be in its log only")
		}
		if lost > 0 && !(first && began) {
			err = errors.Join(err, tell(streamLost, lost, fmt.Sprintf("%d events were forgotten before they could be told here: the log has them", lost)))
		}
		for i := 0; i < len(list) && err == nil; i++ {
			err = write(list[i])
		}
		if ended && err == nil {
			err = tell(streamEnded, 0, "the director has stopped")
		}
		if err = errors.Join(err, control.Flush()); err != nil || ended {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Events returns the last events.
func (c Client) Events(ctx context.Context, q EventQuery) (Events, error) {
	var list Events
	return list, c.do(ctx, http.MethodGet, "/v1/events?"+q.values().Encode(), nil, &list)
}

// ErrStreamEnded is how a stream of events ends that was well: its director stopped.
var ErrStreamEnded = errors.New("the director has stopped")

// FollowEvents calls each for the last events and then for each new one, until ctx or the stream ends, or each fails. q is
// moved on, so that another call continues, also after the director was started again.
func (c Client) FollowEvents(ctx context.Context, q *EventQuery, each func(Recorded) error) error {
	v := q.values()
	v.Set("follow", "true")
	resp, end, err := c.send(ctx, http.MethodGet, "/v1/events?"+v.Encode(), nil, 0)
	if err != nil {
		return err
	}
	defer end()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	if run := resp.Header.Get(runHeader); run != q.Run {
		q.Run, q.After = run, 0
	}
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // an end is told
			}
			return fmt.Errorf("the stream of events from %s broke off: %w", c.Socket, err)
		}
		var e Recorded
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("answer from %s: %w", c.Socket, err)
		}
		q.After, q.Last = max(q.After, e.Sequence), -1
		if e.Kind == kindStream && e.To == streamEnded {
			return ErrStreamEnded
		}
		if err := each(e); err != nil {
			return err
		}
	}
}
