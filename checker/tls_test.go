// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	pair := a.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "test", true, true
		c.KeyUsage, c.ExtKeyUsage, c.DNSNames, c.IPAddresses = x509.KeyUsageCertSign, nil, nil, nil
	})
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue makes a certificate for www.example.com and 127.0.0.1 unless change says otherwise; the first is its own issuer.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "www.example.com"},
		DNSNames:     []string{"www.example.com"},
		IPAddresses:  []net.IP{{127, 0, 0, 1}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// file writes the authority's certificate to a file.
func (a *authority) file(t testing.TB) string {
	return writeFile(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pair writes a certificate and its key to files.
func pair(t testing.TB, c tls.Certificate) (certificate, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})),
		writeFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// secured shakes hands as the server and then goes on with handle.
func secured(config *tls.Config, handle func(net.Conn)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		conn := tls.Server(c, config)
		if conn.Handshake() == nil {
			handle(conn)
		}
	}
}

// greets says hello and waits for the other side to go.
func greets(c net.Conn) {
	_, _ = c.Write([]byte("hello\r\n"))
	_, _ = c.Read(make([]byte, 1))
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	caFile := ca.file(t)
	good := ca.issue(t, nil)
	with := func(change func(*x509.Certificate)) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.issue(t, change)}}
	}
	mutual := &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	mutual.ClientCAs.AddCert(ca.cert)
	ours := func(a *authority) TLS {
		certificate, key := pair(t, a.issue(t, nil))
		return TLS{On: true, CA: caFile, Certificate: certificate, Key: key}
	}
	trusted := TLS{On: true, CA: caFile}
	for _, tc := range []struct {
		name   string
		server *tls.Config
		check  TLS
		reason string
		detail string
	}{
		{"trusted, by address", with(nil), trusted, "", ""},
		{"trusted, by name", with(nil), TLS{On: true, CA: caFile, ServerName: "www.example.com"}, "", ""},
		{"system authorities", with(nil), TLS{On: true}, "certificate of unknown authority", ""},
		{"another authority", &tls.Config{Certificates: []tls.Certificate{other.issue(t, nil)}}, trusted, "certificate of unknown authority", ""},
		{"not verified", with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), TLS{On: true, SkipVerify: true}, "", ""},
		{"expired", with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), trusted, "certificate expired", "certificate for 127.0.0.1: expired on 2"},
		{"not yet valid", with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), trusted, "certificate not yet valid", "not valid before 2"},
		{"another name", with(nil), TLS{On: true, CA: caFile, ServerName: "db.example.com"}, "certificate for another name", "www.example.com, not db.example.com"},
		{"another address", with(func(c *x509.Certificate) { c.IPAddresses = nil }), trusted, "certificate for another name", ""},
		{"for clients only", with(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), trusted, "certificate invalid", ""},
		{"old versions only", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, trusted, "tls version", ""},
		{"an old version that will do", &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			TLS{On: true, CA: caFile, MinVersion: tls.VersionTLS10}, "", ""},
		{"below the minimum", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12},
			TLS{On: true, CA: caFile, MinVersion: tls.VersionTLS13}, "tls version", ""},
		{"no certificate", &tls.Config{}, trusted, "tls handshake", ""},
		{"client certificate", mutual, ours(ca), "", ""},
		{"client certificate of another authority", mutual, ours(other), "tls handshake", "remote error: tls:"},
		{"client certificate is missing", mutual, trusted, "tls handshake", "certificate required"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Config{Kind: TCP, Target: serve(t, secured(tc.server, greets)), TLS: tc.check, Expect: "^hello"}
			res, _ := check(t, c)
			if res.Reason != tc.reason || !strings.Contains(res.Detail, tc.detail) || errors.Is(res.Err, ErrLocal) {
				t.Errorf("got %q %q, want %q %q", res.Reason, res.Detail, tc.reason, tc.detail)
			}
		})
	}
}

// The name of the server is what is told, else the Host, and no address.
func TestServerName(t *testing.T) {
	pair := newAuthority(t).issue(t, nil)
	for _, tc := range []struct{ name, host, want string }{
		{"", "", ""}, {"", "www.example.com", "www.example.com"}, {"", "www.example.com:8443", "www.example.com"},
		{"", "10.0.0.1", ""}, {"", "[2001:db8::1]:443", ""}, {"", "[2001:db8::1]", ""}, {"a.example.com", "www.example.com", "a.example.com"},
	} {
		got := make(chan string, 1)
		config := &tls.Config{Certificates: []tls.Certificate{pair}, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			got <- h.ServerName
			return nil, nil
		}}
		c := httpConfig(serve(t, secured(config, func(net.Conn) {})))
		c.TLS, c.HTTP.Host = TLS{On: true, SkipVerify: true, ServerName: tc.name}, tc.host
		check(t, c)
		if name := <-got; name != tc.want {
			t.Errorf("server name %q, host %q: got %q, want %q", tc.name, tc.host, name, tc.want)
		}
	}
}

// A file of ours that cannot be used says nothing of the server, and one that changes is read again.
func TestTLSFiles(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	target := serve(t, secured(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}, greets))
	path := other.file(t)
	_, key := pair(t, ca.issue(t, nil))
	certificate, _ := pair(t, ca.issue(t, nil))
	for name, config := range map[string]TLS{
		"missing":          {On: true, CA: path + "x"},
		"no PEM":           {On: true, CA: writeFile(t, "ca.pem", []byte("spam"))},
		"key of another":   {On: true, CA: path, Certificate: certificate, Key: key},
		"key is not there": {On: true, CA: path, Certificate: certificate, Key: ""},
	} {
		res, st := check(t, Config{Kind: TCP, Target: target, TLS: config})
		if !errors.Is(res.Err, ErrLocal) || res.Reason != reasonInvalid || st.Verdict != Unknown {
			t.Errorf("%s: got %s %q (%v), want %q", name, st.Verdict, res.Reason, res.Err, reasonInvalid)
		}
	}
	c := Config{Kind: TCP, Target: target, TLS: TLS{On: true, CA: path}}
	if res, _ := check(t, c); res.Reason != reasonAuthority {
		t.Errorf("before: got %q (%v), want %q", res.Reason, res.Err, reasonAuthority)
	}
	b, err := os.ReadFile(ca.file(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if res, _ := check(t, c); res.Err != nil {
		t.Errorf("after the file has changed: got %v, want a pass", res.Err)
	}
}
