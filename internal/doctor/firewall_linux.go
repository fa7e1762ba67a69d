// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const toolTimeout = 10 * time.Second // of each tool

// readFirewall asks the tools that are installed. iptables goes first: of its rules nft shows but a part.
func (f *Facts) readFirewall(ctx context.Context) {
	asked := 0
	for _, tool := range []string{"iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"} {
		text, there, err := output(ctx, tool+"-save")
		if err != nil {
			f.unknown("the rules of %s: %v", tool, err)
		} else if there {
			asked++
			f.Firewall = append(f.Firewall, parseIPTables(tool, text))
		}
	}
	text, there, err := output(ctx, "nft", "-j", "list", "ruleset")
	if err == nil && there {
		asked++
		var r Ruleset
		if r, err = parseNFT([]byte(text)); err == nil {
			f.Firewall = append(f.Firewall, r)
		}
	}
	if err != nil {
		f.unknown("the rules of nft: %v", err)
	} else if asked == 0 {
		f.unknown("the rules of the firewall: neither nft nor iptables-save is installed")
	}
}

// output runs a tool, if it is there.
func output(ctx context.Context, name string, args ...string) (text string, there bool, err error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err != nil {
			path, err = exec.LookPath(dir + name)
		}
	}
	if err != nil {
		return "", false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	b, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", true, fmt.Errorf("%s has not answered within %v", name, toolTimeout)
	}
	if failed, ok := err.(*exec.ExitError); ok && len(failed.Stderr) > 0 {
		first, _, _ := strings.Cut(strings.TrimSpace(string(failed.Stderr)), "\n")
		err = fmt.Errorf("%w: %s", err, first)
	}
	return string(b), true, err
}
