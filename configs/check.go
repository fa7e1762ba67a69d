// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/checker"
)

var checkKinds = []choice[checker.Kind]{
	{word: "tcp", value: checker.TCP}, {word: "http", value: checker.HTTP}, {word: "dns", value: checker.DNS},
	{word: "grpc", value: checker.GRPC}, {word: "smtp", value: checker.SMTP}, {word: "udp", value: checker.UDP},
	{word: "icmp", value: checker.ICMP}, {word: "exec", value: checker.Exec},
}

// isKind matches the kind of a word.
func isKind(word string) func(choice[checker.Kind]) bool {
	return func(c choice[checker.Kind]) bool { return c.word == word }
}

// maxChecks bounds the checks in one place, which are multiplied by the real servers.
const maxChecks = 32

// The limits of the times of a check.
const (
	minInterval = 10 * time.Millisecond
	maxInterval = 24 * time.Hour
)

// maxTries bounds rise and fall.
const maxTries = 1000

// check is a check without its target.
type check struct {
	at      hcl.Range // of its label
	name    string
	address netip.Addr // invalid: the real server's
	port    uint16     // 0: the real server's
	config  checker.Config
}

// of returns the check of one real server.
func (c check) of(service string, r RealServer) checker.Check {
	address, port := r.Address.Addr(), r.Address.Port()
	if c.address.IsValid() {
		address = c.address
	}
	if c.port != 0 {
		port = c.port
	}
	if c.config.Kind == checker.ICMP {
		port = 0 // it has none, and so the checks of several services of one host are alike
	}
	c.config.Target = netip.AddrPortFrom(address, port)
	if c.config.Path {
		c.config.Tunnel = tunnelOf(r)
	}
	return checker.NewCheck(checker.Key{Service: service, Server: r.Name, Check: c.name}, c.config)
}

// checks builds the checks of one place, a virtual server or a real server, of a service whose fields are the zero value
// after an error.
func (b *builder) checks(list []*rawCheck, service VirtualServer) []check {
	if len(list) > maxChecks {
		b.fail(list[maxChecks].Range, "Too many checks", fmt.Sprintf("At most %d checks fit in one place.", maxChecks))
		return nil
	}
	count := map[string]int{}
	for _, raw := range list {
		count[raw.Kind]++
	}
	var out []check
	var silent []*rawCheck
	found := len(b.diags)
	for _, raw := range list {
		kind := b.kind(raw)
		if kind == 0 {
			continue
		}
		c, several := b.check(raw, kind, service), count[raw.Kind] > 1
		if kind == checker.DNS {
			b.nameDNS(list[0], raw, &c, several)
		} else if raw.Name == nil && several {
			b.fail(raw.Range, "Missing name",
				fmt.Sprintf("There are %d checks %q here: each needs a name.", count[raw.Kind], raw.Kind))
		} else if c.name = read(b, raw.Name, raw.Kind, matching(parseName)); c.name != "" {
			b.unique("check name", identity(list[0]), fmt.Sprintf("%q", c.name), orRange(raw.Name, raw.KindRange))
		}
		out = append(out, c)
		if c.passesSilence() {
			silent = append(silent, raw)
		}
	}
	if len(silent) == len(list) && !b.diags[found:].HasErrors() {
		b.lintSilent(silent)
	}
	return out
}

// nameDNS names a check whose attribute name is taken for what it asks: as its kind, or if there are several, by what tells
// them apart.
func (b *builder) nameDNS(first, raw *rawCheck, c *check, several bool) {
	c.name = raw.Kind
	if c.config.DNS.Name == "" || c.config.DNS.Type == 0 {
		return // reported there
	}
	if several {
		transport := "udp"
		if c.config.DNS.TCP {
			transport = "tcp"
		}
		c.name = fmt.Sprintf("dns-%s-%s-%s", transport, dnsTypeName(c.config.DNS.Type), c.config.DNS.Name)
	}
	b.unique("check name", identity(first), fmt.Sprintf("%q", c.name), raw.KindRange)
}

// kind resolves the label of a check; zero if there is none such.
func (b *builder) kind(raw *rawCheck) checker.Kind {
	var words []string
	for _, c := range checkKinds {
		if c.word == raw.Kind {
			return c.value
		}
		words = append(words, c.word)
	}
	b.invalid("check", raw.KindRange, errors.New(unknown(fmt.Sprintf("%.60q", raw.Kind), raw.Kind, words)))
	return 0
}

func (b *builder) check(raw *rawCheck, kind checker.Kind, service VirtualServer) check {
	tries := whole(1, maxTries)
	c := check{
		at:      raw.KindRange,
		address: read(b, raw.Address, netip.Addr{}, orEmpty(matching(parseAddr))),
		port:    uint16(read(b, raw.Port, 0, whole(0, 65535))),
		config: checker.Config{
			Kind:     kind,
			Interval: read(b, raw.Interval, 2*time.Second, duration(minInterval, maxInterval, 1)),
			Timeout:  read(b, raw.Timeout, time.Second, duration(time.Millisecond, maxInterval, 1)),
			Retry:    read(b, raw.RetryInterval, 0, orEmpty(duration(minInterval, maxInterval, 1))),
			Rise:     read(b, raw.Rise, 2, tries),
			Fall:     read(b, raw.Fall, 3, tries),
			Source:   read(b, raw.Source, netip.Addr{}, orEmpty(matching(parseAddr))),
			Path:     read(b, raw.Via, false, oneOf(ways)),
			TLS:      b.tls(raw.TLS),
		},
	}
	if c.config.Retry == 0 {
		c.config.Retry = c.config.Interval
	}
	b.times(raw, c.config)
	b.ends(raw, c, service.Key.Address)
	b.via(raw, &c, service)
	b.arguments(raw, &c)
	return c
}

// ends holds the address and the source of a check against each other, and against the virtual addresses.
func (b *builder) ends(raw *rawCheck, c check, service netip.Addr) {
	virtual := func(a netip.Addr) bool { return a.IsValid() && (a == service || b.carried[a] != "") }
	source, target := c.config.Source, service // whose family is that of its real servers
	if c.address.IsValid() {
		target = c.address
	}
	if source.IsValid() && target.IsValid() && source.Is4() != target.Is4() {
		b.invalid("source", raw.Source.Expr.Range(), fmt.Errorf("takes an address of the same family as what is checked, %s", family(target.Is6())))
	}
	if virtual(source) {
		b.warn(raw.Source.Expr.Range(), "Source moves",
			fmt.Sprintf("%s is a virtual address: only the director that holds it can run this check.", source))
	}
	if virtual(c.address) {
		b.warn(raw.Address.Expr.Range(), "Not the server's address",
			fmt.Sprintf("%s is a virtual address: the check asks any of the real servers, not the one that it is for.", c.address))
	}
}

// times holds the timeout and the retry interval against the interval, as the promise of when a server is out needs it.
func (b *builder) times(raw *rawCheck, c checker.Config) {
	if c.Timeout == 0 || c.Interval == 0 {
		return // reported there
	}
	if c.Timeout <= c.Interval {
		if c.Retry > c.Interval {
			b.fail(raw.RetryInterval.Expr.Range(), "Invalid retry_interval",
				fmt.Sprintf("retry_interval must be at most the interval: write %q or less.", short(c.Interval)))
		}
		return
	}
	b.timeout(raw.Timeout, orRange(raw.Interval, raw.Range), c.Timeout, c.Interval)
}

// timeout reports one longer than its interval; without an attribute, it is the default and the interval is to blame.
func (b *builder) timeout(a *hcl.Attribute, interval hcl.Range, timeout, every time.Duration) {
	if timeout <= every || every == 0 {
		return
	}
	hint, at := "is 1s unless set, and must be", interval
	if a != nil {
		hint, at = "must be", a.Expr.Range()
	}
	b.fail(at, "Invalid timeout",
		fmt.Sprintf("timeout %s at most the interval: write timeout = %q or less.", hint, short(every)))
}
