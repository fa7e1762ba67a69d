// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDockerfile: the image is the static binary, where the command that it starts is, and of the same Go as go.mod.
func TestDockerfile(t *testing.T) {
	all := files(t)
	var instructions []string
	for line := range strings.Lines(string(all["deploy/Dockerfile"])) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			instructions = append(instructions, line)
		}
	}
	last := slices.IndexFunc(instructions, func(s string) bool { return s == "FROM scratch" })
	if last < 0 || slices.ContainsFunc(instructions[last+1:], func(s string) bool { return strings.HasPrefix(s, "RUN ") }) {
		t.Fatalf("not an image from scratch that nothing is run in: %q", instructions)
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(all["go.mod"]))
	for _, want := range []string{
		"ARG GO=golang:" + goVersion[1],
		"FROM ${GO} AS build",
		"RUN CGO_ENABLED=0 go build -trimpath -o /holdfast ./cmd/holdfast",
		"COPY --from=build /holdfast /usr/local/bin/holdfast",
		"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/", // one of the places where crypto/x509 looks
		`ENTRYPOINT ["/usr/local/bin/holdfast"]`,
	} {
		if !slices.Contains(instructions, want) {
			t.Errorf("no %q in %q", want, instructions)
		}
	}
	for _, i := range instructions { // what is copied from the repository is there
		if args, ok := strings.CutPrefix(i, "COPY "); ok && !strings.HasPrefix(args, "--from=") {
			names := strings.Fields(args)
			for _, name := range names[:len(names)-1] {
				if name != "." && all[name] == nil {
					t.Errorf("%s: there is no %s", i, name)
				}
			}
		}
	}
}
