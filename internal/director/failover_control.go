// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// failoverMost is longer than any hand-over takes: a master-down interval, which with VRRPv2 can be 13 minutes.
const failoverMost = 15 * time.Minute

// failoverOrder is what an operator wants of virtual routers.
type failoverOrder struct {
	Routers            []string `json:"routers"` // empty: all
	ReturnAfterSeconds float64  `json:"return_after_seconds,omitempty"`
}

func (o failoverOrder) returnAfter() time.Duration {
	// What a Duration cannot hold is too long anyway.
	return time.Duration(min(max(o.ReturnAfterSeconds, -1), 2*maxReturnAfter.Seconds()) * float64(time.Second))
}

// controlFailover are the requests about hand-overs.
func (d *Director) controlFailover(changes func(path string, change func(http.ResponseWriter, *http.Request) (any, error))) {
	ordered := func(path string, carryOut func(context.Context, failoverOrder) (Failover, error)) {
		changes(path, func(w http.ResponseWriter, r *http.Request) (any, error) {
			var o failoverOrder
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				return nil, fmt.Errorf("order: %w", err)
			}
			patient(w)
			return carryOut(r.Context(), o)
		})
	}
	ordered("/v1/failover", func(ctx context.Context, o failoverOrder) (Failover, error) {
		return d.Failover(ctx, o.Routers, o.returnAfter())
	})
	ordered("/v1/failover/return", func(ctx context.Context, o failoverOrder) (Failover, error) {
		return d.Return(ctx, o.Routers)
	})
}

// patient lets an answer take as long as a hand-over may. Without a deadline of its own the read would end the request.
func patient(w http.ResponseWriter) {
	c, end := http.NewResponseController(w), time.Now().Add(failoverMost)
	_ = c.SetReadDeadline(end)
	_ = c.SetWriteDeadline(end)
}

// Failover does what [Director.Failover] does.
func (c Client) Failover(ctx context.Context, routers []string, returnAfter time.Duration) (Failover, error) {
	return c.failover(ctx, "/v1/failover", failoverOrder{routers, returnAfter.Seconds()})
}

// Return does what [Director.Return] does.
func (c Client) Return(ctx context.Context, routers []string) (Failover, error) {
	return c.failover(ctx, "/v1/failover/return", failoverOrder{Routers: routers})
}

func (c Client) failover(ctx context.Context, path string, o failoverOrder) (Failover, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return Failover{}, err
	}
	var result Failover
	return result, c.doWithin(ctx, failoverMost, http.MethodPost, path, bytes.NewReader(body), &result)
}
