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
	b.lintPEM(pemFile{raw.CA, t.CA}, pemFile{raw.Certificate, t.Certificate}, pemFile{raw.Key, t.Key}, "the check cannot run")
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

// pemFile is a file in PEM and what names it.
type pemFile struct {
	named *hcl.Attribute
	path  string // empty: none
}

// lintPEM warns of files that could not be used now. They may be there, or another, when they are.
func (b *builder) lintPEM(ca, certificate, key pemFile, follows string) {
	unusable := func(f pemFile, cause error) {
		b.warn(f.named.Expr.Range(), "Unusable file", fmt.Sprintf("%s: as long as it is so, %s.", cause, follows))
	}
	content := func(f pemFile) []byte {
		if f.path == "" {
			return nil
		}
		src, err := readFile(f.path)
		if err != nil {
			unusable(f, err)
		}
		return src
	}
	if src := content(ca); src != nil && !x509.NewCertPool().AppendCertsFromPEM(src) {
		unusable(ca, fmt.Errorf("read %s: holds no certificate in PEM", ca.path))
	}
	public, private := content(certificate), content(key)
	if public == nil || private == nil {
		return
	}
	if _, err := tls.X509KeyPair(public, private); err != nil {
		unusable(certificate, fmt.Errorf("read %s with %s: %w", certificate.path, key.path, err))
	}
}
