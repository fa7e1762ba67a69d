// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestRealWebhook: what is sent, to a server whose answer never ends, past the proxy of the environment.
func TestRealWebhook(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	got := make(chan Event, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var e Event
		if err := json.NewDecoder(req.Body).Decode(&e); err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v: %v", req.Method, req.Header, err)
		}
		got <- e
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	r := newRig(nil)
	r.client.Transport.(*http.Transport).TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	r.Apply([]Config{{Webhook: server.URL, Timeout: 30 * time.Second}})
	stop := r.start(t)
	want := Event{
		Kind: "real_server", Name: "web/web1", From: "up", To: "down", Reason: "refused", Time: time.Unix(1, 0).UTC(), Director: "lb1",
	}
	r.Put(want)
	select {
	case e := <-got:
		if e != want {
			t.Errorf("got %+v", e)
		}
	case <-time.After(30 * time.Second):
		t.Error("nothing came")
	}
	stop()
	r.want(t, 1, 0, 0)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "61": time.Minute, "-1": 0, "1.5": 0, "18446744073709551615": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"Fri, 02 Jan 2099 03:04:00 GMT": time.Minute,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestBadWebhook(t *testing.T) {
	r := newRig(nil)
	r.Apply([]Config{{Webhook: "http://a b/"}})
	stop := r.start(t)
	r.Put(event("a", 1))
	stop()
	r.want(t, 0, 1, 0)
}
