// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/checker"
	"github.com/zclconf/go-cty/cty"
)

// contradictory is the summary of an error about a tls block where something else says that there is no TLS.
const contradictory = "Contradictory tls"

var tlsVersions = []choice[uint16]{
	{word: "1.0", value: tls.VersionTLS10}, {word: "1.1", value: tls.VersionTLS11},
	{word: "1.2", value: tls.VersionTLS12}, {word: "1.3", value: tls.VersionTLS13},
}

// tls reads a tls block, whose presence turns TLS on.
func (b *builder) tls(raw *rawTLS) checker.TLS {
	if raw == nil {
		return checker.TLS{}
	}
	path := orEmpty(matching(parsePath))
	t := checker.TLS{
		On:          true,
		SkipVerify:  !read(b, raw.Verify, true, boolean),
		CA:          read(b, raw.CA, "", path),
		ServerName:  read(b, raw.ServerName, "", orEmpty(matching(parseServerName))),
		Certificate: read(b, raw.Certificate, "", path),
		Key:         read(b, raw.Key, "", path),
		MinVersion:  read(b, raw.MinVersion, tls.VersionTLS12, tlsVersion),
	}
	if t.Certificate != "" && raw.Key == nil {
		b.fail(raw.Certificate.Expr.Range(), "Missing key", "certificate needs a key beside it.")
	}
	if t.Key != "" && raw.Certificate == nil {
		b.fail(raw.Key.Expr.Range(), "Missing certificate", "key needs a certificate beside it.")
	}
	if t.CA != "" && t.SkipVerify {
		b.warn(raw.CA.Expr.Range(), noEffect, "With verify = false no certificate is held against a ca.")
	}
	b.lintFiles(raw, t)
	return t
}

// tlsVersion accepts the lowest version of TLS, a text because it is none of the numbers that it looks like.
func tlsVersion(v cty.Value) (uint16, error) {
	if isNumber(v) {
		return 0, errors.New(`takes a text in quotes, such as "1.2"`)
	}
	return oneOf(tlsVersions)(v)
}

// parseServerName accepts the name that a certificate is for.
func parseServerName(s string) (string, error) {
	if _, err := netip.ParseAddr(s); err != nil && (strings.Contains(s, ":") || len(s) > 255 || strings.ContainsFunc(s, notInHost)) {
		return "", errors.New(`takes the name in the server's certificate such as "www.example.com", without a port`)
	}
	return s, nil
}

// lintFiles warns of files that a check could not use now. They may be there, or another, when it is run.
func (b *builder) lintFiles(raw *rawTLS, t checker.TLS) {
	unusable := func(a *hcl.Attribute, cause error) {
		b.warn(a.Expr.Range(), "Unusable file", fmt.Sprintf("%s: as long as it is so, the check cannot run.", cause))
	}
	content := func(a *hcl.Attribute, path string) []byte {
		if path == "" {
			return nil
		}
		src, err := readFile(path)
		if err != nil {
			unusable(a, err)
		}
		return src
	}
	if ca := content(raw.CA, t.CA); ca != nil && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		unusable(raw.CA, fmt.Errorf("read %s: holds no certificate in PEM", t.CA))
	}
	certificate, key := content(raw.Certificate, t.Certificate), content(raw.Key, t.Key)
	if certificate == nil || key == nil {
		return
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		unusable(raw.Certificate, fmt.Errorf("read %s with %s: %w", t.Certificate, t.Key, err))
	}
}
