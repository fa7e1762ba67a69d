// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/holdfast-lb/holdfast/vrrp"
)

// hasBlank reports white space or something that does not print.
func hasBlank(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// parseName accepts what can be told apart in a command (SERVICE/SERVER) and in a metric's label.
func parseName(s string) (string, error) {
	if s == "" || len(s) > 63 || strings.Contains(s, "/") || hasBlank(s) {
		return "", errors.New("takes 1 to 63 characters without a slash or white space")
	}
	return s, nil
}

// parsePath accepts an absolute path.
func parsePath(s string) (string, error) {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		return "", errors.New(`takes an absolute path, which starts with "/"`)
	}
	return filepath.Clean(s), nil
}

// parseSocket accepts a path that fits a socket's address (unix(7): 108 bytes with the final zero).
func parseSocket(s string) (string, error) {
	if len(s) > 107 {
		return "", errors.New("takes at most 107 bytes: the kernel's limit for a socket")
	}
	return parsePath(s)
}

// parseListen accepts host:port, where the host may be empty.
func parseListen(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || hasBlank(host) {
		return "", errors.New(`takes HOST:PORT such as "127.0.0.1:9652" or ":9652", or "" for off`)
	}
	return s, nil
}

// parseInterface accepts a name that the kernel would (net/core/dev.c, dev_valid_name).
func parseInterface(s string) (string, error) {
	if s == "" || len(s) > 15 || s == "." || s == ".." || strings.ContainsAny(s, "/:") || hasBlank(s) {
		return "", errors.New("takes an interface name: 1 to 15 characters without a slash, colon or white space")
	}
	return s, nil
}

// checkHost refuses an address that no single host can have.
func checkHost(a netip.Addr) error {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	switch {
	case a.Zone() != "":
		return errors.New("takes an address without a zone")
	case a.Is4In6():
		return fmt.Errorf("takes an IPv4 address in its own form: write %q", a.Unmap())
	case a.IsMulticast(), a.IsUnspecified(), a == broadcast:
		return fmt.Errorf("takes the address of one host, not %s", a)
	}
	return nil
}

// checkHostPort is checkHost for an address with a port.
func checkHostPort(ap netip.AddrPort) error {
	if a := ap.Addr(); a.Is4In6() && a.Zone() == "" {
		return fmt.Errorf("takes an IPv4 address in its own form: write %q", netip.AddrPortFrom(a.Unmap(), ap.Port()))
	}
	return checkHost(ap.Addr())
}

// parseAddr accepts the address of a host.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("takes an IP address, not %q", s)
	}
	return a, checkHost(a)
}

// parseVirtualAddress accepts "ADDR/LEN" and "ADDR/LEN dev IFACE".
func parseVirtualAddress(s string) (vrrp.Address, error) {
	var none vrrp.Address
	words := strings.Fields(s)
	if len(words) != 1 && (len(words) != 3 || words[1] != "dev") {
		return none, errors.New(`takes "ADDR/LEN" or "ADDR/LEN dev IFACE"`)
	}
	if a, err := netip.ParseAddr(words[0]); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return none, fmt.Errorf("takes an address with the length of its prefix: write %q",
			strings.Join(append([]string{netip.PrefixFrom(a, a.BitLen()).String()}, words[1:]...), " "))
	}
	if p, err := netip.ParsePrefix(words[0]); err == nil && p.Addr().Is4In6() {
		words[0] = netip.PrefixFrom(p.Addr().Unmap(), max(1, p.Bits()-96)).String()
		return none, fmt.Errorf("takes an IPv4 address in its own form: write %q", strings.Join(words, " "))
	}
	if a, _, _ := strings.Cut(words[0], "/"); strings.Contains(a, ":") {
		if _, err := parseAddr(a); err != nil {
			return none, err
		}
	}
	prefix, err := netip.ParsePrefix(words[0])
	if err != nil || prefix.Bits() == 0 {
		return none, fmt.Errorf(`takes "ADDR/LEN" or "ADDR/LEN dev IFACE", not %q`, s)
	}
	if err := checkHost(prefix.Addr()); err != nil {
		return none, err
	}
	if !hostOf(prefix) {
		return none, fmt.Errorf("takes the address of a host in %s: %s is that of the network itself or of all its hosts",
			prefix.Masked(), prefix.Addr())
	}
	address := vrrp.Address{Prefix: prefix}
	if len(words) == 3 {
		address.Device, err = parseInterface(words[2])
	}
	return address, err
}

// hostOf reports whether an address could be a host's in its network; the first and the last one of an IPv4 network could
// not (RFC 1122 section 3.2.1.3), unless there are no others (RFC 3021).
func hostOf(p netip.Prefix) bool {
	if p.Addr().Is6() || p.Bits() > 30 {
		return true
	}
	b := p.Addr().As4()
	host := binary.BigEndian.Uint32(b[:]) << p.Bits()
	return host != 0 && host != math.MaxUint32<<p.Bits()
}

// parseUser accepts the name of a user of the system.
func parseUser(s string) (string, error) {
	if s == "" || len(s) > 32 || strings.ContainsAny(s, "/:") || hasBlank(s) {
		return "", errors.New(`takes the name of a user such as "nobody"`)
	}
	return s, nil
}

// parseGroup accepts the name of a group of the system.
func parseGroup(s string) (string, error) {
	if _, err := parseUser(s); err != nil {
		return "", errors.New(`takes the name of a group such as "adm", or "" for none`)
	}
	return s, nil
}

// parseProcess accepts the name of a program, without its path.
func parseProcess(s string) (string, error) {
	if s == "" || len(s) > 255 || strings.ContainsAny(s, "/\x00") {
		return "", errors.New(`takes the name of a program without its path, such as "haproxy"`)
	}
	return s, nil
}

// parseWord accepts what can be an argument of a program.
func parseWord(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errors.New("takes texts without a zero byte")
	}
	return s, nil
}

// parseWebhook accepts the URL of a web server.
func parseWebhook(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || hasBlank(s) {
		return "", errors.New(`takes a URL of http or https, such as "https://ops.example.com/holdfast"`)
	}
	return s, nil
}

// parseService accepts the "ADDR:PORT" of a virtual server, where port 0 stands for every port.
func parseService(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPort{}, fmt.Errorf("takes an address with a port: write %q", netip.AddrPortFrom(a.Unmap(), 80))
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return ap, fmt.Errorf(`takes "ADDR:PORT", not %q`, s)
	}
	if err := checkHostPort(ap); err != nil {
		return netip.AddrPort{}, err
	}
	return ap, nil
}

// parseServer accepts the "ADDR:PORT" or "ADDR" of a real server; without a port, the port is 0.
func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), checkHost(a)
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf(`takes "ADDR:PORT" or "ADDR", with a port from 1 to 65535, not %q`, s)
	}
	return ap, checkHostPort(ap)
}

// parseURLPath accepts the path of a request, which may carry a query.
func parseURLPath(s string) (string, error) {
	if !strings.HasPrefix(s, "/") {
		return "", fmt.Errorf(`starts with "/": write %q`, "/"+s)
	}
	if _, err := url.ParseRequestURI(s); err != nil || hasBlank(s) {
		return "", errors.New("takes the path of a URL; white space and other unusual characters are written %20 and the like")
	}
	return s, nil
}

// parseStatus accepts a status code or a range of them.
func parseStatus(s string) ([2]int, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil || from < 100 || to > 599 || from > to {
		return [2]int{}, fmt.Errorf(`takes codes from 100 to 599 such as "200" or "200-299", not %q`, s)
	}
	return [2]int{from, to}, nil
}

// parseExpect accepts a regular expression.
func parseExpect(s string) (string, error) {
	if _, err := regexp.Compile(s); err != nil {
		cause := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return "", fmt.Errorf("takes a regular expression of RE2, which has no look-around or back-references: %s", cause)
	}
	return s, nil
}
