// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestInteropCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string // somewhere in the output
	}{
		{"--list --run keepalived-v2-ipv4-multicast-password/peer", exitDone, "keepalived-v2-ipv4-multicast-password/peer-master/wrong password\n"},
		{"--list --run nothing", exitMissed, `--run "nothing" finds nothing`},
		{"--run (", exitMissed, "missing closing )"},
		{"--parallel 0", exitMissed, "at least 1 has to run at a time"},
		{"--holdfast /nonexistent", exitMissed, "find holdfast: "},
		{"extra", exitUsage, "extra"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), append([]string{"interop"}, strings.Fields(tt.args)...), &out, &out)
		if code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: got %d, %s; want %d, %s", tt.args, code, &out, tt.code, tt.want)
		}
	}
}

// Names are those of directories, too, and there is one for each play.
func TestInteropNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range choosePlays(regexp.MustCompile("")) {
		if seen[p.id()] {
			t.Errorf("%s is there twice", p.id())
		}
		seen[p.id()] = true
	}
	for _, m := range matches {
		if m.cannot == "" && !seen[m.name()+"/holdfast-master/"+takeovers] {
			t.Errorf("%s has no takeover", m.name())
		}
	}
}

// A play that fails ends there: its line has no results for what would have come, and the reason stands below.
func TestInteropMarkdown(t *testing.T) {
	m := match{peer: "keepalived", version: 3, family: ipv4, checksum: "pseudo"}
	r := newInteropReport(regexp.MustCompile("frr-v3-ipv4-unicast"))
	r.Versions["keepalived"] = "2.2.7"
	stop := finding{took: 62 * time.Millisecond, want: 61 * time.Millisecond}
	for _, direct := range []string{"holdfast", "peer"} {
		at := staging{m, play{name: takeovers, direct: direct}}
		r.add([]interopRow{newInteropRow(at, step{name: "election"}, finding{}, nil)})
		if direct == "holdfast" {
			r.add([]interopRow{newInteropRow(at, step{name: "planned stop"}, stop, errors.New("no\npriority 0"))})
			continue
		}
		for _, name := range []string{"planned stop", "preemption", "crash"} {
			r.add([]interopRow{newInteropRow(at, step{name: name}, stop, nil)})
		}
	}
	r.add([]interopRow{newInteropRow(staging{m, play{name: "other", direct: "peer"}}, step{name: "refused"}, finding{note: "why"}, nil)})
	var out bytes.Buffer
	if err := r.writeMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	const start = "| keepalived | v3 | IPv4 | multicast | pseudo | "
	for _, want := range []string{
		"with keepalived 2.2.7: 7 rows, 1 failed.",
		start + "holdfast | pass | FAIL | - | - |\n",
		start + "peer | pass | pass, 62 ms (61 ms) | pass, 62 ms (61 ms) | pass, 62 ms (61 ms) |\n",
		start + "peer | other: refused | pass, why |\n",
		"| frr | v3 | IPv4 | unicast | pseudo | FRR has no unicast |\n",
		"planned stop: no; priority 0\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

// What is not an advert is passed over, however short.
func TestReadAdvert(t *testing.T) {
	frame := make([]byte, 14+20+16)
	copy(frame[6:], []byte{0, 0, 0x5e, 0, 1, 51})
	frame[12], frame[14], frame[14+9] = 0x08, 0x45, 112
	copy(frame[14+12:], []byte{192, 0, 2, 10})
	copy(frame[34:], []byte{0x31, 51, 200, 2})
	want := advert{src: addr("192.0.2.10"), vmac: true, version: 3, id: 51, priority: 200}
	if a, ok := readAdvert(frame); !ok || a != want {
		t.Errorf("got %+v, %t; want %+v", a, ok, want)
	}
	for n := range frame[:14+20+8] {
		if a, ok := readAdvert(frame[:n]); ok {
			t.Errorf("%d bytes: got %+v", n, a)
		}
	}
	frame[12], frame[13], frame[14+6] = 0x86, 0xdd, 112
	if a, ok := readAdvert(frame); ok {
		t.Errorf("short IPv6: got %+v", a)
	}
	frame[12], frame[13], frame[14] = 0x08, 0, 0x4f // with more options than there are bytes
	if a, ok := readAdvert(frame); ok {
		t.Errorf("short IPv4: got %+v", a)
	}
}
