// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// http reads the block of that name.
func (b *builder) http(raw *rawHTTP) {
	h := &b.cfg.HTTP
	h.Listen = read(b, raw.Listen, "127.0.0.1:9652", orEmpty(matching(parseListen)))
	if t := raw.TLS; t != nil {
		b.require(t.Range, "certificate", t.Certificate)
		b.require(t.Range, "key", t.Key)
		h.TLS.Certificate = read(b, t.Certificate, "", matching(parsePath))
		h.TLS.Key = read(b, t.Key, "", matching(parsePath))
		h.TLS.ClientCA = read(b, t.ClientCA, "", orEmpty(matching(parsePath)))
		b.lintListenTLS(t, h.TLS)
	}
	for _, e := range readMap(b, raw.BasicAuth, `{ prometheus = "$2y$10$…" }`, parseUserName, matching(parseHash)) {
		b.unique("user", "", e.key, e.at)
		h.Users = append(h.Users, User{e.key, e.value})
	}
	if len(h.Users) > 0 && raw.TLS == nil && exposed(h.Listen) {
		b.warn(raw.BasicAuth.Expr.Range(), "Passwords in the clear", "Whoever listens on the way reads them: add a tls block, or listen on 127.0.0.1.")
	}
}

// exposed reports whether other hosts reach a listener.
func exposed(listen string) bool {
	host := strings.TrimSuffix(listen, listen[strings.LastIndex(listen, ":")+1:])
	addr, err := netip.ParseAddr(strings.Trim(strings.TrimSuffix(host, ":"), "[]"))
	return listen != "" && host != "localhost:" && (err != nil || !addr.IsLoopback())
}

// lintListenTLS warns of files with which the listener could not be opened now.
func (b *builder) lintListenTLS(raw *rawListenTLS, t ListenTLS) {
	b.lintPEM(pemFile{raw.ClientCA, t.ClientCA}, pemFile{raw.Certificate, t.Certificate}, pemFile{raw.Key, t.Key}, "holdfast does not start")
}

// parseUserName accepts the name of a user (RFC 7617 section 2).
func parseUserName(s string) (string, error) {
	if s == "" || len(s) > 63 || strings.Contains(s, ":") || hasBlank(s) {
		return "", errors.New("takes names of 1 to 63 characters without a colon or white space")
	}
	return s, nil
}

// maxCost bounds the work of looking at one password: 2^14 rounds take about a second.
const maxCost = 14

var bcryptHash = regexp.MustCompile(`^\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// parseHash accepts what bcrypt makes of a password.
func parseHash(s string) (string, error) {
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || !bcryptHash.MatchString(s) {
		return "", errors.New(`takes what bcrypt makes of a password, such as "htpasswd -nB USER" prints after the colon`)
	}
	if cost > maxCost {
		return "", fmt.Errorf("takes hashes of a cost up to %d, not %d: a director has other work", maxCost, cost)
	}
	return s, nil
}
