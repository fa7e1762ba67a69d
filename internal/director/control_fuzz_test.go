// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
	"github.com/holdfast-lb/holdfast/ipvs"
	"github.com/holdfast-lb/holdfast/ipvs/ipvstest"
	"github.com/holdfast-lb/holdfast/vrrp"
)

// answeredMost is how long an answer of a director with one service may be; it repeats no more of a request than this.
const answeredMost = 64 << 10

// patience is how long a client waits for an answer that has no end.
const patience = 50 * time.Millisecond

// answering returns a director that does nothing but answer.
func answering(f *testing.F) *Director {
	dir := f.TempDir()
	cfg, diags := configs.LoadBytes("holdfast.hcl", []byte(`
director { state_dir = "`+dir+`" }
virtual_server "web" {
  address = "10.0.0.100:80"
  real_server "web1" { address = "10.0.0.21:80" }
}
`))
	if diags.Errors() > 0 {
		f.Fatal(diags.Err())
	}
	cfg.Path = filepath.Join(dir, "none.hcl") // so that a reload fails
	log := NewLog(&lockedBuffer{}, "text", false)
	f.Cleanup(func() { log.Close() })
	d := New(Options{
		Config: cfg, Log: log.Logger, Level: log.Level, Host: &host{held: make(map[vrrp.Address]bool)}, Dial: dialSilence,
		OpenTable: func(context.Context) (ipvs.Table, error) { return &ipvstest.Fake{}, nil },
	})
	d.publish()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // the loop
		defer close(done)
		for {
			select {
			case call := <-d.calls:
				call()
			case <-ctx.Done():
				return
			}
		}
	}()
	f.Cleanup(func() { stop(); <-done })
	return d
}

// FuzzControl has whoever may connect to the control socket ask for whatever they like: the answer is bounded and JSON, no
// request is the director's fault, and who is neither root nor in the group changes nothing.
func FuzzControl(f *testing.F) {
	for _, body := range []string{
		`{"server":"web/web1"}`, `{"server":"web/web1","timeout_seconds":1e308}`, `{"server":"web/web1","timeout_seconds":-0.5}`,
		`{"server":"web/web1","weight":65536}`, `{"server":"web/web1","weight":7}`, `{"server":"a/b/c"}`, `{`, `null`, `{"server":"` + strings.Repeat("x", 20_000) + `"}`,
	} {
		for _, target := range []string{"/v1/drain", "/v1/undrain", "/v1/weight"} {
			f.Add("POST", target, []byte(body), uint32(0))
			f.Add("POST", target, []byte(body), uint32(1000))
		}
	}
	f.Add("GET", "/v1/status", []byte{}, uint32(1000))
	f.Add("GET", "/v1/server?name=web/web1", []byte{}, uint32(1000))
	f.Add("GET", "/v1/server?name=%ff%00&name=;", []byte{}, uint32(1000))
	f.Add("GET", "/v1/events?after=18446744073709551615&kind=%00&follow=1", []byte{}, uint32(1000))
	f.Add("POST", "/v1/failover", []byte(`{"routers":["web",""],"return_after_seconds":1e308}`), uint32(0))
	f.Add("POST", "/v1/failover/return", []byte(`{"routers":[]}`), uint32(1000))
	f.Add("POST", "/v1/reload", []byte{}, uint32(0))
	f.Add("GET", "/v1/../v1//drain", []byte{}, uint32(0))
	d := answering(f)
	h := controlHandler(d)
	f.Fuzz(func(t *testing.T, method, target string, body []byte, uid uint32) {
		if uid == uint32(os.Geteuid()) {
			uid = 0 // who may change something, too
		}
		ctx, gone := context.WithTimeout(t.Context(), patience) // who follows events goes away
		defer gone()
		req, err := http.NewRequestWithContext(context.WithValue(ctx, credentialsKey{}, credentials{uid: uid}), method, target, bytes.NewReader(body))
		if err != nil || req.URL.Host != "" {
			return
		}
		before := d.overrides
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable || w.Code < 200 || w.Body.Len() > answeredMost {
			t.Errorf("%s %q: status %d, %d bytes", method, target, w.Code, w.Body.Len())
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q: answered %q", method, target, w.Body)
		}
		after := d.overrides // no other request goes on
		if uid != 0 && !sameOverrides(before, after) {
			t.Errorf("%s %q %q by user %d: %v became %v", method, target, body, uid, before, after)
		}
		for server, o := range after {
			if server != (object{"web", "web1"}) || o.weight.Value > maxWeight || o.timeout < 0 || o.timeout > maxDrainTimeout {
				t.Errorf("%s %q %q: %v has %+v", method, target, body, server, o)
			}
		}
	})
}

func sameOverrides(a, b map[object]override) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}
