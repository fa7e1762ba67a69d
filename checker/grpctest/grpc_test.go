// SPDX-License-Identifier: Apache-2.0

// Package grpctest runs the gRPC check of package checker against the health server of grpc-go.
package grpctest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/holdfast-lb/holdfast/checker"
)

// start runs a gRPC server, with what register adds.
func start(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// check runs a check once.
func check(t *testing.T, c checker.Config) checker.Result {
	t.Helper()
	c.Kind, c.Interval, c.Timeout = checker.GRPC, time.Hour, 10*time.Second
	got := make(chan checker.Result, 1)
	s := checker.NewSet(checker.Options{OnResult: func(_ checker.Status, r checker.Result) { got <- r }})
	s.Apply([]checker.Check{checker.NewCheck(checker.Key{Service: "api", Server: "api1", Check: "grpc"}, c)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	return <-got
}

func want(t *testing.T, res checker.Result, reason, detail string) {
	t.Helper()
	if res.Reason != reason || (res.Err == nil) != (reason == "") || !strings.HasPrefix(res.Detail, detail) {
		t.Errorf("got %q, %q (%v), want %q, %q", res.Reason, res.Detail, res.Err, reason, detail)
	}
}

func TestHealth(t *testing.T) {
	h := health.NewServer()
	h.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	h.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	h.SetServingStatus("unknown", grpc_health_v1.HealthCheckResponse_UNKNOWN)
	h.SetServingStatus("service unknown", grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN)
	target := start(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, h) })
	for _, tc := range []struct{ service, reason, detail string }{
		{"", "", "SERVING"},
		{"up", "", "SERVING"},
		{"down", "not serving", "NOT_SERVING"},
		{"unknown", "not serving", "UNKNOWN"},
		{"service unknown", "not serving", "SERVICE_UNKNOWN"},
		{"nobody", "grpc status", "NOT_FOUND unknown service"},
		{strings.Repeat("x", 300), "grpc status", "NOT_FOUND"},
	} {
		t.Run(tc.service, func(t *testing.T) {
			want(t, check(t, checker.Config{Target: target, GRPCService: tc.service}), tc.reason, tc.detail)
		})
	}
	h.Shutdown()
	want(t, check(t, checker.Config{Target: target}), "not serving", "NOT_SERVING")
}

func TestNoHealthService(t *testing.T) {
	target := start(t, func(*grpc.Server) {})
	want(t, check(t, checker.Config{Target: target}), "grpc status", "UNIMPLEMENTED unknown service grpc.health.v1.Health")
}

func TestTLS(t *testing.T) {
	pair, ca := certificate(t)
	target := start(t, func(s *grpc.Server) { grpc_health_v1.RegisterHealthServer(s, health.NewServer()) },
		grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	want(t, check(t, checker.Config{Target: target, TLS: checker.TLS{On: true, CA: ca}}), "", "SERVING")
	want(t, check(t, checker.Config{Target: target, TLS: checker.TLS{On: true}}), "certificate of unknown authority", "")
	if res := check(t, checker.Config{Target: target}); res.Err == nil {
		t.Error("passed without TLS")
	}
}

// certificate returns one for 127.0.0.1, and a file with it.
func certificate(t *testing.T) (pair tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
