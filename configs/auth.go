// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// The kinds of authentication, of which hmac is not served yet.
const (
	authPass = "pass"
	authHMAC = "hmac"
)

// password builds the auth block, which VRRPv3 does without.
func (b *builder) password(raw *rawVirtualRouter, c vrrp.Config) string {
	password := ""
	for i, a := range raw.Auth {
		switch a.Kind {
		case authPass:
			b.require(a.Range, "password", a.Password)
			password = read(b, a.Password, "", matching(parsePassword))
			if c.Version == 3 {
				b.fail(a.Range, "VRRPv3 has no authentication",
					"RFC 5798 has removed it, for a password in clear text kept nobody out: remove the block, or write version = 2.")
			}
		case authHMAC:
			b.refuse(a.KindRange, `auth "hmac" is not supported yet.`)
		default:
			list := []string{authPass}
			b.invalid("auth", a.KindRange, errors.New(unknown(fmt.Sprintf("%.60q", a.Kind), a.Kind, list)))
		}
		if i > 0 {
			b.fail(a.Range, "Duplicate auth block", "A virtual_router has one auth block at most.")
		}
	}
	return password
}

// parsePassword accepts what fits the eight bytes of RFC 2338 section 5.3.10.
func parsePassword(s string) (string, error) {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if s == "" || len(s) > 8 || strings.ContainsFunc(s, odd) {
		return "", errors.New("takes 1 to 8 ASCII characters without white space; keepalived cuts a longer one off after 8")
	}
	return s, nil
}
