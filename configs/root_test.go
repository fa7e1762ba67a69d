// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/trust"
)

// rootPrograms has a program of each kind, run by a user.
func rootPrograms(user, program string) string {
	return fmt.Sprintf(`
virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  track_script "a" {
    command = [%[2]q]
    user    = %[1]q
  }
}
notify {
  command = [%[2]q, "word"]
  user    = %[1]q
}
virtual_server "web" {
  address = "10.0.0.100:80"
  check "exec" {
    command = [%[2]q]
    user    = %[1]q
  }
  real_server "web1" { address = "10.0.0.21:80" }
}
`, user, program)
}

func writeMode(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// TestProgramsOfRoot: what others may change is warned of where root is to run it, at each command; where another user runs
// it, that user's rights are all there is to win.
func TestProgramsOfRoot(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	for _, tt := range []struct {
		user string
		mode os.FileMode
		want int
	}{{"root", 0o757, 3}, {"0", 0o775, 3}, {"nobody", 0o777, 0}, {"1000", 0o777, 0}} {
		writeMode(t, program, "", tt.mode)
		cfg, diags := LoadBytes("x.hcl", []byte(rootPrograms(tt.user, program)))
		if cfg == nil || len(diags) != tt.want {
			t.Errorf("%s, %v: got %v", tt.user, tt.mode, diags)
		}
		for _, d := range diags {
			if d.Summary != "Refused for root" || d.Severity == SeverityError || !strings.Contains(d.Detail, "chmod ") && !strings.Contains(d.Detail, "chown ") || !strings.Contains(d.source, "command") {
				t.Errorf("%+v", d)
			}
		}
	}
	if _, diags := LoadBytes("x.hcl", []byte(rootPrograms("root", "/none/such"))); len(diags) > 0 {
		t.Errorf("a program of another host: %v", diags)
	}
}

// TestConfigurationOfOthers: who may write any part of it does not say what root runs. Without such programs it is obeyed.
func TestConfigurationOfOthers(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() != 0 || trust.Path(dir) != nil {
		t.Skip("needs root, and a folder for temporary files that is root's")
	}
	main, parts := filepath.Join(dir, "holdfast.hcl"), filepath.Join(dir, "conf.d")
	if err := os.Mkdir(parts, 0o755); err != nil {
		t.Fatal(err)
	}
	load := func(user string) (*Config, Diagnostics) {
		writeMode(t, main, "include = [\"conf.d/*.hcl\"]\n", 0o644)
		writeMode(t, filepath.Join(parts, "a.hcl"), rootPrograms(user, "/bin/true"), 0o644)
		return LoadAsRoot(main)
	}
	if cfg, diags := load("root"); cfg == nil || cfg.Untrusted != nil || len(diags) > 0 {
		t.Errorf("all is root's: %v", diags)
	}
	for name, spoil := range map[string]func() error{
		main:                          func() error { return os.Chmod(main, 0o664) },
		parts:                         func() error { return os.Chmod(parts, 0o777|os.ModeSticky) }, // others may add a file
		filepath.Join(parts, "a.hcl"): func() error { return os.Chown(filepath.Join(parts, "a.hcl"), 1000, -1) },
	} {
		for user, errs := range map[string]int{"root": 3, "nobody": 0} {
			load(user)
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			cfg, diags := LoadAsRoot(main)
			if diags.Errors() != errs || (cfg == nil) != (errs > 0) || cfg != nil && (!errors.Is(cfg.Untrusted, trust.ErrOthers) || !strings.Contains(cfg.Untrusted.Error(), name)) {
				t.Errorf("%s, %s: got %v, %v", name, user, cfg, diags)
			}
			for _, d := range diags {
				if d.Summary != "Root obeys root alone" || !strings.Contains(d.Detail, name) || !strings.Contains(d.source, "user") {
					t.Errorf("%+v", d)
				}
			}
			if _, diags := Load(main); len(diags) > 0 {
				t.Errorf("Load minds, too: %v", diags)
			}
			if err := errors.Join(os.Chmod(parts, 0o755), os.Chown(filepath.Join(parts, "a.hcl"), 0, -1)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestDenied(t *testing.T) {
	cause := &fs.PathError{Op: "open", Path: "/etc/holdfast/holdfast.hcl", Err: syscall.EACCES}
	if got := denied(cause); strings.Contains(got, "chown root") != (os.Geteuid() == 0) {
		t.Errorf("got %q", got)
	}
	if got := denied(fs.ErrNotExist); got != "" {
		t.Errorf("of what is not there: %q", got)
	}
}
