// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/ipvs"
)

// ipvsVersion asks the kernel for the version of IPVS; empty: not known.
var ipvsVersion = func(ctx context.Context) (string, error) {
	k, err := ipvs.OpenKernel(ctx, "")
	if err != nil {
		return "", err
	}
	defer func() { _ = k.Close() }()
	info, err := k.Info(ctx)
	return info.Version, err
}

// version is what the command of the same name prints.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from more than the revision
	Go       string `json:"go"`
	IPVS     string `json:"ipvs,omitempty"`
}

func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of holdfast, Go and the kernel's IPVS",
		Long: "Print the versions of holdfast, of the Go that built it, and of the kernel's IPVS, if that is loaded and may be asked.\n" +
			"It needs no director.",
		Example: "  holdfast version\n  holdfast version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := builtVersion()
			// A host without IPVS still has a version of holdfast.
			if version, err := ipvsVersion(cmd.Context()); err == nil {
				v.IPVS = version
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), v)
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), v)
			return err
		},
	}
}

// builtVersion returns what the linker wrote into this binary.
func builtVersion() version {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version{Version: "unknown"}
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) version {
	v := version{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v version) String() string {
	s := "holdfast " + v.Version + "\n"
	if v.Revision != "" {
		s += "revision " + v.Revision
		if v.Modified {
			s += ", modified"
		}
		s += "\n"
	}
	s += "go       " + v.Go + "\n"
	if v.IPVS != "" {
		s += "ipvs     " + v.IPVS + "\n"
	}
	return s
}
