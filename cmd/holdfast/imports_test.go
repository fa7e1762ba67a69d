// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	repository = "../.."
	module     = "github.com/holdfast-lb/holdfast/"
	spdx       = "SPDX-License-Identifier: Apache-2.0"
)

// files returns the files of the repository by their path in it. It leaves out what .gitignore names.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	found, err := readFiles()
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 100 || found["go.mod"] == nil {
		t.Fatalf("%d files in %s: not the repository", len(found), repository)
	}
	return found
}

var readFiles = sync.OnceValues(func() (map[string][]byte, error) {
	found := make(map[string][]byte)
	return found, fs.WalkDir(os.DirFS(repository), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && slices.Contains([]string{".git", "bin", ".cache"}, name):
			return fs.SkipDir
		case !e.Type().IsRegular() || name == ".git" || slices.Contains([]string{".test", ".prof"}, path.Ext(name)):
			return nil
		}
		found[name], err = os.ReadFile(filepath.Join(repository, name))
		return err
	})
})

// layers says what the packages that are not tests may import of ours. A package is in the first layer whose prefix it has.
// Whoever runs a program that the configuration names does it by internal/command, a leaf itself, so that all of them are
// killed, bounded and given a user in one way: notify, track, and the exec checks of checker.
var layers = []struct {
	prefix string
	may    []string
}{
	{"cmd/", []string{"internal/", "configs", "checker", "vrrp", "vrrp/vrrpsim", "vrrp/track", "ipvs"}},
	{"internal/drill", []string{"internal/director"}},
	{"internal/director", []string{"configs", "checker", "vrrp", "vrrp/track", "ipvs", "internal/notify", "internal/sysctl", "internal/systemd", "internal/trust"}},
	{"internal/sysctl", []string{"configs", "vrrp", "ipvs"}},
	{"internal/notify", []string{"internal/command"}},
	{"internal/realserver", []string{"configs", "vrrp", "ipvs", "internal/sysctl"}},
	{"internal/doctor", []string{"configs", "vrrp", "ipvs", "internal/sysctl", "internal/realserver"}},
	{"internal/command", []string{"internal/trust"}},
	{"internal/", nil},
	{"configs", []string{"checker", "vrrp", "vrrp/track", "ipvs", "internal/notify", "internal/trust"}},
	{"ipvs/ipvstest", []string{"ipvs"}},
	{"vrrp/vrrpsim", []string{"vrrp"}},
	{"vrrp/track", []string{"internal/command"}},
	{"checker", []string{"internal/command"}},
	{"ipvs", nil},
	{"vrrp", nil},
}

// confined says which files alone may import what begins with prefix. The first rule that fits counts.
var confined = []struct {
	prefix string
	file   *regexp.Regexp
}{
	{"github.com/prometheus/", regexp.MustCompile(`^internal/director/`)},
	{"github.com/hashicorp/hcl/", regexp.MustCompile(`^configs/`)},
	{"github.com/zclconf/go-cty/", regexp.MustCompile(`^configs/`)},
	{"github.com/spf13/cobra", regexp.MustCompile(`^cmd/`)},
	{"github.com/fsnotify/", regexp.MustCompile(`^vrrp/track/`)},
	{"github.com/moby/ipvs", regexp.MustCompile(`^ipvs/\w+_linux\.go$`)},
	{"github.com/mdlayher/arp", regexp.MustCompile(`^vrrp/(announce|answer)\w*\.go$`)},
	{"github.com/mdlayher/ethernet", regexp.MustCompile(`^vrrp/(announce|answer)\w*\.go$`)},
	{"github.com/mdlayher/", sockets},
	{"github.com/vishvananda/", sockets},
	{"golang.org/x/sys/unix", sockets},
	{"golang.org/x/net/bpf", sockets},
}

var sockets = regexp.MustCompile(`^(vrrp|ipvs|checker|internal/director|internal/netlab|internal/drill|internal/command|internal/realserver|internal/systemd|internal/doctor|internal/capability|vrrp/track)/\w+_linux\.go$`)

// wrong says what is wrong with an import in a file; empty: nothing. Tests may import what they like.
func wrong(file, imported string) string {
	if strings.HasSuffix(file, "_test.go") {
		return ""
	}
	if own, ok := strings.CutPrefix(imported, module); ok {
		for _, l := range layers {
			if !strings.HasPrefix(file, l.prefix) {
				continue
			}
			if slices.ContainsFunc(l.may, func(m string) bool { return own == m || strings.HasSuffix(m, "/") && strings.HasPrefix(own, m) }) {
				return ""
			}
			return fmt.Sprintf("%s may import of ours only %q", l.prefix, l.may)
		}
		return "its package is in no layer"
	}
	for _, c := range confined {
		if strings.HasPrefix(imported, c.prefix) {
			if !c.file.MatchString(file) {
				return fmt.Sprintf("%s is only for %s", c.prefix, c.file)
			}
			return ""
		}
	}
	return ""
}

// TestImportDirection holds cmd -> internal/director -> configs -> {vrrp, checker, ipvs}.
func TestImportDirection(t *testing.T) {
	for name, src := range files(t) {
		if path.Ext(name) != ".go" || strings.HasPrefix(name, "tools/") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, i := range f.Imports {
			imported, _ := strconv.Unquote(i.Path.Value)
			if problem := wrong(name, imported); problem != "" {
				t.Errorf("%s imports %s: %s", name, imported, problem)
			}
		}
	}
}

// TestImportRules shows that the rules find what they are for.
func TestImportRules(t *testing.T) {
	for _, tt := range []struct{ file, imported string }{
		{"vrrp/machine.go", module + "checker"},
		{"ipvs/diff.go", module + "internal/director"},
		{"configs/load.go", module + "internal/director"},
		{"checker/http.go", module + "configs"},
		{"internal/netlab/host_linux.go", module + "vrrp"},
		{"elsewhere/x.go", module + "vrrp"},
		{"checker/run.go", "github.com/prometheus/client_golang/prometheus"},
		{"cmd/holdfast/run.go", "github.com/hashicorp/hcl/v2"},
		{"internal/director/director.go", "golang.org/x/sys/unix"},
		{"vrrp/instance.go", "github.com/vishvananda/netlink"},
		{"vrrp/instance.go", "github.com/mdlayher/arp"},
		{"vrrp/announce.go", "github.com/mdlayher/packet"},
	} {
		if wrong(tt.file, tt.imported) == "" {
			t.Errorf("%s may import %s", tt.file, tt.imported)
		}
	}
}

var (
	machinePath = regexp.MustCompile(`(^|[^\w.$}])/(work|root)/`)
	shell       = regexp.MustCompile(`^#!.*\b(ba|da)?sh\b`)
)

// TestLicenseOfEveryFile: Go files and scripts begin with the SPDX line, after #! if that is there.
func TestLicenseOfEveryFile(t *testing.T) {
	for name, src := range files(t) {
		comment := "# "
		first, rest, _ := strings.Cut(string(src), "\n")
		switch {
		case path.Ext(name) == ".go":
			comment = "// "
		case shell.MatchString(first):
			first, _, _ = strings.Cut(rest, "\n")
		case path.Ext(name) != ".sh" && name != "Makefile":
			continue
		}
		if first != comment+spdx {
			t.Errorf("%s does not begin with %q", name, comment+spdx)
		}
	}
	if !bytes.Contains(files(t)["README.md"], []byte(spdx)) {
		t.Errorf("README.md lacks %q", spdx)
	}
}

// TestNoMachinePaths: nothing in the repository depends on where one machine has it.
func TestNoMachinePaths(t *testing.T) {
	for name, src := range files(t) {
		if bytes.IndexByte(src[:min(len(src), 8000)], 0) >= 0 || name == "deploy/lab/init" {
			continue // not text; or the place where a virtual machine mounts its root
		}
		for n, line := range bytes.Split(src, []byte("\n")) {
			if bytes.Contains(line, []byte("/")) && machinePath.Match(line) {
				t.Errorf("%s:%d: a path of one machine: %s", name, n+1, line)
			}
		}
	}
}
