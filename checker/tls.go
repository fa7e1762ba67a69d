// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// secure shakes hands over conn and verifies the server, unless told not to. host is what ServerName defaults to, with
// or without a port; empty: the address of the target.
func secure(ctx context.Context, conn net.Conn, c *Config, host string, protocols ...string) (*tls.Conn, Result) {
	config, err := tlsConfig(ctx, c, host, &bounded(conn).asked)
	if err != nil {
		return nil, localFault(reasonInvalid, err)
	}
	config.NextProtos = protocols
	t := tls.Client(conn, config)
	if err := t.Handshake(); err != nil {
		return nil, fault("shake hands with", c.Target, plainer(err, config.ServerName))
	}
	if len(protocols) > 0 && t.ConnectionState().NegotiatedProtocol == "" {
		return nil, failure(reasonHandshake, fmt.Errorf("shake hands with %s: %s is not spoken there", c.Target, strings.Join(protocols, ", ")))
	}
	return t, Result{}
}

// tlsConfig sets asked when the server asks for a certificate.
func tlsConfig(ctx context.Context, c *Config, host string, asked *bool) (*tls.Config, error) {
	config := &tls.Config{
		ServerName:         cmp.Or(c.TLS.ServerName, hostname(host), c.Target.Addr().WithZone("").Unmap().String()),
		InsecureSkipVerify: c.TLS.SkipVerify,
		MinVersion:         c.TLS.MinVersion,
	}
	own, err := new(tls.Certificate), error(nil) // none
	if c.TLS.CA != "" {
		if config.RootCAs, err = authorities.load(ctx, parseCA, c.TLS.CA); err != nil {
			return nil, fmt.Errorf("tls ca: %w", err)
		}
	}
	if c.TLS.Certificate != "" {
		if own, err = certificates.load(ctx, parsePair, c.TLS.Certificate, c.TLS.Key); err != nil {
			return nil, fmt.Errorf("tls certificate: %w", err)
		}
	}
	// Not Certificates: those are left out, silently, where the server names other authorities.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		*asked = true
		return own, nil
	}
	return config, nil
}

// hostname is the host without its port and brackets.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.WithZone("").String()
	}
	return host
}

// plainer says what is wrong with a certificate in words that stay the same: those of crypto/x509 tell the time.
func plainer(err error, name string) error {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return err
	}
	const layout = "2006-01-02 15:04:05 MST"
	what := fmt.Sprintf("expired on %s", invalid.Cert.NotAfter.UTC().Format(layout))
	if notYet(invalid.Cert) {
		what = fmt.Sprintf("not valid before %s", invalid.Cert.NotBefore.UTC().Format(layout))
	}
	return &certificateError{text: fmt.Sprintf("certificate for %s: %s", name, what), err: err}
}

// certificateError replaces the text of an error.
type certificateError struct {
	text string
	err  error
}

func (e *certificateError) Error() string { return e.text }
func (e *certificateError) Unwrap() error { return e.err }

func notYet(c *x509.Certificate) bool { return time.Now().Before(c.NotBefore) }

// explainTLS is the reason of an error of crypto/tls or crypto/x509; empty: it is of neither.
func explainTLS(err error) string {
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && notYet(invalid.Cert):
		return reasonNotYetValid
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return reasonExpired
	case errors.As(err, &authority):
		return reasonAuthority
	case errors.As(err, &name):
		return reasonName
	case errors.As(err, &verify):
		return reasonCertificate
	case errors.As(err, &record):
		return reasonHandshake
	// What the server refuses comes as an alert, of a type that is not exported, and what we refuse as a text.
	case errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == tls.AlertError(alertVersion).Error(),
		strings.HasPrefix(err.Error(), "tls: server selected unsupported protocol version"):
		return reasonVersion
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"), strings.HasPrefix(err.Error(), "tls: "):
		return reasonHandshake
	}
	return ""
}

// isAlert reports that the server has ended TLS with an alert.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// alertVersion is protocol_version of RFC 8446 section 6.2.
const alertVersion = 70
