// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/holdfast-lb/holdfast/configs"
)

// certify writes a certificate of its own for 127.0.0.1, with that serial number, and its key.
func certify(t *testing.T, certificate, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// page is a listener with one page, which says ok.
type page struct {
	*web
	t *testing.T
}

func newPage(t *testing.T, cfg configs.HTTP) page {
	t.Helper()
	w := newWeb(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	if err := w.apply(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.run(ctx) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return page{w, t}
}

// get returns what a new connection gets: the code, 0 for none, and by TLS the serial number of the certificate.
func (p page) get(user, password string, client *tls.Config) (code int, serial int64) {
	scheme := "http"
	if client != nil {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, scheme+"://"+p.current.Addr().String(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	c := http.Client{Transport: &http.Transport{TLSClientConfig: client, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := c.Do(req)
	if err != nil {
		return 0, 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.TLS != nil {
		serial = resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	return resp.StatusCode, serial
}

func TestWebTLS(t *testing.T) {
	dir := t.TempDir()
	files := configs.ListenTLS{Certificate: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key")}
	certify(t, files.Certificate, files.Key, 1)
	p := newPage(t, configs.HTTP{Listen: "127.0.0.1:0", TLS: files})
	trusting := &tls.Config{InsecureSkipVerify: true}
	want := func(what string, client *tls.Config, code int, serial int64) {
		t.Helper()
		if c, s := p.get("", "", client); c != code || s != serial {
			t.Errorf("%s: got %d from certificate %d, want %d from %d", what, c, s, code, serial)
		}
	}
	want("TLS", trusting, 200, 1)
	want("in the clear", nil, 400, 0)
	want("TLS 1.1", &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}, 0, 0)

	later := time.Now().Add(time.Hour)
	touch := func(path string) {
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
	}
	certify(t, files.Certificate, files.Key, 2)
	touch(files.Key)
	want("a renewed certificate", trusting, 200, 2)
	if err := os.WriteFile(files.Certificate, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("half a file", trusting, 200, 2)

	// A client certificate is asked for from now on.
	certify(t, files.Certificate, files.Key, 3)
	with := files
	with.ClientCA = filepath.Join(dir, "ca")
	clientKey := filepath.Join(dir, "client")
	certify(t, with.ClientCA, clientKey, 4)
	cfg := configs.HTTP{Listen: p.current.Addr().String(), TLS: with}
	if err := p.apply(cfg); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(with.ClientCA, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	want("no client certificate", trusting, 0, 0)
	want("a client certificate", &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}, 200, 3)

	// What cannot be opened changes nothing.
	cfg.TLS.Certificate = filepath.Join(dir, "absent")
	if err := p.apply(cfg); err == nil {
		t.Error("absent files are taken")
	}
	want("after a reload that was refused", trusting, 0, 0)
	if err := p.apply(configs.HTTP{Listen: p.current.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	want("TLS turned off", nil, 200, 0)
}

func TestWebBasicAuth(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	p := newPage(t, configs.HTTP{Listen: "127.0.0.1:0", Users: []configs.User{{Name: "prometheus", Hash: string(hash)}}})
	tests := []struct {
		user, password string
		want           int
	}{
		{"", "", 401},
		{"prometheus", "secret", 200},
		{"prometheus", "secret", 200}, // remembered
		{"prometheus", "wrong", 401},
		{"prometheus", "secret\x00secret", 401}, // the same to bcrypt
		{"other", "secret", 401},
		{"prometheus", "", 401},
	}
	for _, tt := range tests {
		if got, _ := p.get(tt.user, tt.password, nil); got != tt.want {
			t.Errorf("%q with %q: got %d, want %d", tt.user, tt.password, got, tt.want)
		}
	}
	if err := p.apply(configs.HTTP{Listen: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := p.get("", "", nil); got != 200 {
		t.Errorf("got %d without users, want 200", got)
	}
}

// TestWebSlowClient: a connection that sends nothing is closed.
func TestWebSlowClient(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := newPage(t, configs.HTTP{Listen: "127.0.0.1:0"})
	c, err := net.Dial("tcp", p.current.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\n")
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection is still open: %v", err)
	}
}

// TestReloadKeepsVariables: what was given at the start counts for as long as the director runs.
func TestReloadKeepsVariables(t *testing.T) {
	s := newSite(t)
	s.write(77, "variable \"weight\" {\n  default = 1\n}")
	s.edit("= 77", "= var.weight")
	s.vars = []configs.Variable{{Name: "weight", Value: "5"}}
	d, _ := s.run()
	for range 2 {
		if got := d.view.Load().config.VirtualServers[0].RealServers[0].Weight; got != 5 {
			t.Errorf("the weight is %d, want 5", got)
		}
		s.edit("default = ", "default = 1")
		s.reload()
	}
}
