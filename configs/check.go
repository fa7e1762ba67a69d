// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/holdfast-lb/holdfast/checker"
	"github.com/zclconf/go-cty/cty"
)

var checkKinds = []choice[checker.Kind]{
	{word: "tcp", value: checker.TCP}, {word: "http", value: checker.HTTP},
	{word: "dns", later: true}, {word: "grpc", later: true}, {word: "smtp", later: true}, {word: "udp", later: true},
	{word: "icmp", later: true}, {word: "exec", later: true},
}

// servedKind matches a kind of check that this version runs.
func servedKind(word string) func(choice[checker.Kind]) bool {
	return func(c choice[checker.Kind]) bool { return c.word == word && !c.later }
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
	name   string
	port   uint16 // 0: the real server's
	config checker.Config
}

// of returns the check of one real server.
func (c check) of(service string, r RealServer) checker.Check {
	c.config.Target = r.Address
	if c.port != 0 {
		c.config.Target = netip.AddrPortFrom(r.Address.Addr(), c.port)
	}
	return checker.Check{Key: checker.Key{Service: service, Server: r.Name, Check: c.name}, Config: c.config}
}

// checks builds the checks of one place, a virtual server or a real server.
func (b *builder) checks(list []*rawCheck) []check {
	if len(list) > maxChecks {
		b.fail(list[maxChecks].Range, "Too many checks", fmt.Sprintf("At most %d checks fit in one place.", maxChecks))
		return nil
	}
	count := map[string]int{}
	for _, raw := range list {
		count[raw.Kind]++
	}
	var out []check
	for _, raw := range list {
		kind := b.kind(raw)
		if kind == 0 {
			continue
		}
		c := b.check(raw, kind)
		if raw.Name == nil && count[raw.Kind] > 1 {
			b.fail(raw.Range, "Missing name",
				fmt.Sprintf("There are %d checks %q here: each needs a name.", count[raw.Kind], raw.Kind))
		} else if c.name != "" {
			b.unique("check name", list[0].Range.String(), fmt.Sprintf("%q", c.name), orRange(raw.Name, raw.KindRange))
		}
		out = append(out, c)
	}
	return out
}

// kind resolves the label of a check; zero if this version has none such.
func (b *builder) kind(raw *rawCheck) checker.Kind {
	var words []string
	for _, c := range checkKinds {
		if c.word == raw.Kind {
			if c.later {
				b.refuse(raw.KindRange, fmt.Sprintf("Checks of kind %q are not supported yet.", raw.Kind))
			}
			return c.value
		}
		if !c.later {
			words = append(words, c.word)
		}
	}
	b.invalid("check", raw.KindRange, errors.New(unknown(fmt.Sprintf("%.60q", raw.Kind), raw.Kind, words)))
	return 0
}

func (b *builder) check(raw *rawCheck, kind checker.Kind) check {
	tries := whole(1, maxTries)
	c := check{
		name: read(b, raw.Name, raw.Kind, matching(parseName)),
		port: uint16(read(b, raw.Port, 0, whole(0, 65535))),
		config: checker.Config{
			Kind:     kind,
			Interval: read(b, raw.Interval, 2*time.Second, duration(minInterval, maxInterval, 1)),
			Timeout:  read(b, raw.Timeout, time.Second, duration(time.Millisecond, maxInterval, 1)),
			Retry:    read(b, raw.RetryInterval, 0, orEmpty(duration(minInterval, maxInterval, 1))),
			Rise:     read(b, raw.Rise, 2, tries),
			Fall:     read(b, raw.Fall, 3, tries),
		},
	}
	if c.config.Retry == 0 {
		c.config.Retry = c.config.Interval
	}
	b.times(raw, c.config)
	if kind == checker.HTTP {
		b.httpCheck(raw, &c.config)
	}
	return c
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

func (b *builder) httpCheck(raw *rawCheck, c *checker.Config) {
	c.HTTP.Path = read(b, raw.Path, "/", matching(parseURLPath))
	c.HTTP.Host = read(b, raw.Host, "", matching(parseHost))
	c.Expect = read(b, raw.Expect, "", matching(parseExpect))
	if raw.Status == nil {
		c.HTTP.Status.Add(200, 299)
		return
	}
	list, ok := readList(b, raw.Status, status)
	if ok && len(list) == 0 {
		b.invalid("status", raw.Status.Expr.Range(), errors.New(`takes at least one code or range such as "200-299"`))
	}
	for _, s := range list {
		c.HTTP.Status.Add(s.value[0], s.value[1])
	}
}

// status accepts an element of the list: a code as a number, or a code or a range as a text.
func status(v cty.Value) ([2]int, error) {
	if isNumber(v) {
		code, err := whole(100, 599)(v)
		return [2]int{code, code}, err
	}
	return matching(parseStatus)(v)
}
