// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files, each NAME and its contents, into a folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, src := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func aService(name string) string {
	return fmt.Sprintf("virtual_server %q {\n  address = \"10.0.0.%d:80\"\n}\n", name, name[0])
}

// TestInclude: the files of an include come after the one that says so, in the order of the list and of their names, and
// each once; all of them count for the hash.
func TestInclude(t *testing.T) {
	dir := tree(t, map[string]string{
		"main.hcl":        "include = [\"d.hcl\", \"conf.d/*.hcl\", \"more\", \"none/*.hcl\", \"d.hcl\"]\n" + aService("a"),
		"conf.d/c.hcl":    aService("c"),
		"conf.d/b.hcl":    "include = [\"../d.hcl\", \"sub/*\"]\n" + aService("b"),
		"conf.d/sub/e":    aService("e"),
		"conf.d/.f.hcl":   "nonsense",
		"conf.d/x.hcl/y":  "nonsense",
		"d.hcl":           aService("d"),
		"more/h.hcl":      aService("h"),
		"more/g.hcl.json": `{"virtual_server": {"g": {"address": "10.0.0.9:80"}}}`,
		"more/other.json": "nonsense",
	})
	main := filepath.Join(dir, "main.hcl")
	cfg, diags := Load(main)
	if cfg == nil {
		t.Fatal(diags)
	}
	var names []string
	for _, s := range cfg.VirtualServers {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ""); got != "adbecgh" {
		t.Errorf("the services are in the order %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "conf.d/sub/e"), []byte(aService("e")+"#\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if again, _ := Load(main); again == nil || again.Hash == cfg.Hash {
		t.Error("an included file changes, but not the hash")
	}
}

// TestIncludeWrong: what an include cannot do is reported at its entry, and faults of an included file in that one.
func TestIncludeWrong(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  []string // in DIR
	}{
		{"absent", map[string]string{"main.hcl": "include = [\n  \"absent.hcl\"]\n"},
			[]string{"DIR/main.hcl:2:3: error: Cannot include: stat DIR/absent.hcl: no such file or directory."}},
		{"itself", map[string]string{"main.hcl": "include = [\"*.hcl\"]\n"},
			[]string{"DIR/main.hcl:1:12: error: Cannot include: DIR/main.hcl would include itself, by way of 0 more."}},
		{"loop", map[string]string{"main.hcl": "include = [\"a.hcl\"]\n", "a.hcl": "include = [\"b/b.hcl\"]\n", "b/b.hcl": "include = [\"../main.hcl\"]\n"},
			[]string{"DIR/b/b.hcl:1:12: error: Cannot include: DIR/main.hcl would include itself, by way of 2 more."}},
		{"fault", map[string]string{"main.hcl": "include = [\"a.hcl\"]\nlog {}\n", "a.hcl": "log {\n  level = 1\n}\nx = 1\n"},
			[]string{
				"DIR/a.hcl:1:1: error: Duplicate log block: Only one log block is allowed. Another was defined at DIR/main.hcl:2,1-4.",
				`DIR/a.hcl:4:1: error: Unsupported argument: An argument named "x" is not expected here.`,
			}},
		{"syntax", map[string]string{"main.hcl": "include = [\"a.hcl\"]\nx = 1\n", "a.hcl": "log {\n  a = }\n"},
			[]string{"DIR/a.hcl:2:7: error: Invalid expression: Expected the start of an expression, but found an invalid expression token."}},
		{"variable", map[string]string{"main.hcl": "variable \"a\" {\n  default = \"a\"\n}\ninclude = [var.a]\n"},
			[]string{"DIR/main.hcl:4:12: error: Unknown name: No variable can be used here: its value may depend on them."}},
		{"pattern", map[string]string{"main.hcl": "include = [\"[.hcl\"]\n"},
			[]string{"DIR/main.hcl:1:12: error: Invalid include: include takes patterns of *, ? and [abc]; \"[.hcl\" is none."}},
		{"not a list", map[string]string{"main.hcl": "include = \"a.hcl\"\n"},
			[]string{`DIR/main.hcl:1:11: error: Invalid include: include is a list: write ["a.hcl"].`}},
		{"empty folder", map[string]string{"main.hcl": "include = [\"a\"]\n", "a/b": ""},
			[]string{"DIR/main.hcl:1:12: error: Cannot include: read DIR/a: the folder holds no file whose name ends in .hcl or .hcl.json."}},
		{"in JSON", map[string]string{"main.hcl": "include = [\"a.json\"]\n", "a.json": "{\n  \"include\": [\"absent\"],\n  \"log\": {\"level\": 1}\n}"},
			[]string{"DIR/a.json:2:15: error: Cannot include: stat DIR/absent: no such file or directory."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			cfg, diags := Load(filepath.Join(dir, "main.hcl"))
			if cfg != nil {
				t.Error("it loads")
			}
			if diff := cmp.Diff(tt.want, lines(diags, dir)); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
}

// lines is what was found, with DIR for a folder.
func lines(diags Diagnostics, dir string) (list []string) {
	for _, d := range diags {
		list = append(list, strings.ReplaceAll(d.String()+": "+d.Detail, dir, "DIR"))
	}
	return list
}

const pairOfDirectors = `
variable "priority" {
  default = 100
}
variable "preempt" {
  default = true
}
variable "source" {}
variable "peers" {
  default = ["10.0.0.3"]
}
variable "labels" {
  default = {}
}
virtual_router "web" {
  interface = env("HOLDFAST_TEST_INTERFACE", "eth0")
  id        = 51
  priority  = var.priority
  preempt   = var.preempt
  addresses = [for n in range(100, 102) : "10.0.0.${n}/32"]
  unicast {
    source = var.source
    peers  = [for p in var.peers : trimspace(p)]
  }
}
`

func TestVariables(t *testing.T) {
	t.Setenv("HOLDFAST_TEST_INTERFACE", "eth7")
	given := []Variable{{"source", "10.0.0.2"}, {"priority", "20"}, {"preempt", "false"}, {"priority", "30"}, {"peers", `["10.0.0.4 ", "10.0.0.5"]`}, {"labels", "{a = 1}"}}
	cfg, diags := LoadBytes("x.hcl", []byte(pairOfDirectors), given...)
	if cfg == nil {
		t.Fatal(diags)
	}
	r := cfg.VirtualRouters[0]
	addr := netip.MustParseAddr
	if r.Interface != "eth7" || r.Priority != 30 || r.Preempt || len(r.Addresses) != 2 || r.Unicast.Source != addr("10.0.0.2") ||
		!slices.Equal(r.Unicast.Peers, []netip.Addr{addr("10.0.0.4"), addr("10.0.0.5")}) {
		t.Errorf("got %+v", r)
	}
	if !slices.Equal(cfg.Variables, given) {
		t.Errorf("a reload would have %v", cfg.Variables)
	}
}

// TestVariablesOfAPair: what is given for ours counts for the peer, if it declares it and has no value of its own.
func TestVariablesOfAPair(t *testing.T) {
	dir := tree(t, map[string]string{"a.hcl": pairOfDirectors, "b.hcl": strings.ReplaceAll(strings.ReplaceAll(pairOfDirectors,
		"variable \"preempt\" {\n  default = true\n}", ""), "var.preempt", "true")})
	ours := []Variable{{"source", "10.0.0.2"}, {"preempt", "true"}, {"priority", "90"}}
	theirs := []Variable{{"source", "10.0.0.3"}, {"peers", `["10.0.0.2"]`}}
	_, diags := LoadPair(filepath.Join(dir, "a.hcl"), filepath.Join(dir, "b.hcl"), ours, theirs)
	want := "DIR/a.hcl:18:15: warning: Equal priorities"
	if got := lines(diags, dir); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVariablesWrong(t *testing.T) {
	tests := []struct {
		given Variable
		want  string
	}{
		{Variable{"sorce", "10.0.0.2"}, `--var sorce: error: Unknown variable: No variable "sorce" is declared; did you mean "source"?`},
		{Variable{"priority", "high"}, `--var priority: error: Invalid value: variable "priority" (x.hcl:2) takes a number, as its default, not "high".`},
		{Variable{"preempt", "yes"}, `--var preempt: error: Invalid value: variable "preempt" (x.hcl:5) takes true or false, as its default, not "yes".`},
		{Variable{"peers", "10.0.0.4"}, `--var peers: error: Invalid value: variable "peers" (x.hcl:9) takes a list, as its default, such as ["a", "b"].`},
		{Variable{"peers", strings.Repeat("[", 1000)}, `--var peers: error: Invalid value: variable "peers" (x.hcl:9) takes a list, as its default, such as ["a", "b"].`},
		{Variable{"labels", "[1]"}, `--var labels: error: Invalid value: variable "labels" (x.hcl:12) takes a map, as its default, such as {"a" = 1}.`},
		{Variable{"source", "\xff"}, `--var source: error: Invalid value: variable "source" (x.hcl:8) takes at most 1048576 bytes of UTF-8.`},
		{Variable{"source", "web"}, `x.hcl:22:14: error: Invalid source: source takes an IP address, not "web". var.source is "web", set with --var.`},
		{Variable{"priority", "300"}, `x.hcl:18:15: error: Invalid priority: priority takes a whole number from 1 to 255, not 300. var.priority is 300, set with --var.`},
	}
	for _, tt := range tests {
		given := []Variable{{"source", "10.0.0.2"}, tt.given}
		_, diags := LoadBytes("x.hcl", []byte(pairOfDirectors), given...)
		if diff := cmp.Diff([]string{tt.want}, lines(diags, "DIR")); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.given, diff)
		}
	}
}

// TestJSON: a file of either syntax means the same.
func TestJSON(t *testing.T) {
	native := `
variable "servers" {
  default = { web1 = "10.0.0.21", web2 = "10.0.0.22" }
}
log {
  level = "debug"
}
virtual_server "web" {
  address = "10.0.0.100:80"
  check "http" {
    headers = { Accept = "a\tb$${c}" }
    status  = [200, "${300}-399"]
  }
  dynamic "real_server" {
    for_each = var.servers
    iterator = s
    labels   = [s.key]
    content {
      address = s.value
      weight  = 1 + 1
    }
  }
}
`
	inJSON := `{
  "//": "a comment",
  "variable": {"servers": {"default": {"web1": "10.0.0.21", "web2": "10.0.0.22"}}},
  "log": {"level": "debug"},
  "virtual_server": {"web": {
    "address": "10.0.0.100:80",
    "check": {"http": {"headers": {"Accept": "a\tb$${c}"}, "status": [200, "${300}-399"]}},
    "dynamic": {"real_server": {
      "for_each": "${var.servers}", "iterator": "s", "labels": ["${s.key}"],
      "content": {"address": "${s.value}", "weight": "${1 + 1}"}
    }}
  }}
}`
	want, diags := LoadBytes("x.hcl", []byte(native))
	if want == nil {
		t.Fatal(diags)
	}
	got, diags := LoadBytes("x.hcl.json", []byte(inJSON))
	if got == nil {
		t.Fatal(diags)
	}
	want.Path, want.Hash = got.Path, got.Hash
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("(-native +JSON):\n%s", diff)
	}
}

func TestJSONWrong(t *testing.T) {
	tests := []struct{ src, want string }{
		{"{\n  \"log\": {\"level\": \"high\"}\n}", `x.json:2:20: error: Invalid level: level takes one of debug, info, warn, error, not "high".`},
		{"{\n  \"log\": {\"level\": \"a${nosuch}\"}\n}", `x.json:2:24: error: Unknown name: Nothing is called "nosuch" here: a variable is var.NAME, and a text stands in quotes.`},
		{"{\n  \"log\": {\"level\": \"a${\"}\n}", "x.json:2:20: error: Missing expression: Expected the start of an expression, but found the end of the file."},
		{"{\n  \"log\": {\"level\": \"${" + strings.Repeat("(", 200) + "\"}\n}", "x.json:2:20: error: Nested too deeply: No configuration needs that many brackets or operators."},
		{"{\n  \"a\": " + strings.Repeat("[", 200), "x.json:2:107: error: Nested too deeply: No configuration needs that many brackets or operators."},
		{"{\n  \"lo\": 1}", `x.json:2:3: error: Extraneous JSON object property: No argument or block type is named "lo". Did you mean "log"?`},
	}
	for _, tt := range tests {
		_, diags := LoadBytes("x.json", []byte(tt.src))
		if diff := cmp.Diff([]string{tt.want}, lines(diags, "DIR")); diff != "" {
			t.Errorf("%.60s (-want +got):\n%s", tt.src, diff)
		}
	}
}

// TestFunctionsInPages: docs/configuration.md lists the functions that there are.
func TestFunctionsInPages(t *testing.T) {
	src, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(src), "\n### Functions\n")
	page, _, _ := strings.Cut(rest, "\n## ")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\|.*`).FindAllString(page, -1) {
		for _, f := range regexp.MustCompile("`([a-z]+)\\(").FindAllStringSubmatch(m, -1) {
			listed[f[1]] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(functions)), slices.Sorted(maps.Keys(listed))); diff != "" {
		t.Errorf("functions (-code +docs/configuration.md):\n%s", diff)
	}
}

// TestFormat: the canonical form is a fixed point, and means the same.
func TestFormat(t *testing.T) {
	src := "log{\r\n level=\"debug\" # why\r\n\tformat   =  \"json\"\r\n}\r\n\r\n\r\n"
	want := "log {\n  level  = \"debug\" # why\n  format = \"json\"\n}\n"
	got, diags := Format("x.hcl", []byte(src))
	if string(got) != want || len(diags) > 0 {
		t.Errorf("got %q, %v; want %q", got, diags, want)
	}
	for _, name := range []string{"x.hcl", "x.json"} {
		if got, diags := Format(name, []byte("log {")); got != nil || diags.Errors() != 1 {
			t.Errorf("%s: got %q, %v; want an error", name, got, diags)
		}
	}
	files, _ := filepath.Glob("examples/*.hcl")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, diags := Format(file, src); string(got) != string(src) || len(diags) > 0 {
			t.Errorf("%s is not in canonical form: run holdfast fmt configs/examples", file)
		}
	}
}

// TestDynamicBlocksAreApart: what must be unique in a block may be the same in the next one that a dynamic block makes.
func TestDynamicBlocksAreApart(t *testing.T) {
	cfg, diags := LoadBytes("x.hcl", []byte(`
dynamic "virtual_router" {
  for_each = [51, 52]
  iterator = id
  labels   = ["r${id.value}"]
  content {
    interface = "eth0"
    id        = id.value
    addresses = ["10.0.0.${id.value}/32"]
    unicast {
      source = "10.0.0.2"
      peers  = ["10.0.0.3"]
    }
    track_interface "eth1" {}
    track_file "f" {
      path = "/f${id.value}"
    }
    track_script "s" {
      command = ["/bin/true"]
    }
    track_process "p" {}
    dynamic "track_service" {
      for_each = [id.value]
      labels   = ["v${id.value}"]
      content {}
    }
  }
}
dynamic "sync_group" {
  for_each = { a = ["r51"], b = ["r52"] }
  labels   = [sync_group.key]
  content {
    members = sync_group.value
  }
}
dynamic "notify" {
  for_each = ["/bin/a", "/bin/b"]
  content {
    events  = ["reload"]
    command = [notify.value]
  }
}
dynamic "virtual_server" {
  for_each = [51, 52]
  labels   = ["v${virtual_server.value}"]
  content {
    address         = "10.0.0.${virtual_server.value}:80"
    scheduler       = "mh"
    scheduler_flags = ["mh-port"]
    check "http" {
      headers = { Accept = "a" }
    }
    real_server "web1" {
      address = "10.0.0.21"
    }
  }
}
`))
	if cfg == nil || len(cfg.VirtualServers) != 2 || len(cfg.VirtualRouters) != 2 || len(cfg.Notify) != 2 {
		t.Fatal(diags)
	}
}
