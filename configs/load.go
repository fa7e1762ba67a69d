// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// maxSize bounds one file.
const maxSize = 16 << 20

// Load reads the configuration at path: a file, or a folder whose files are read in the order of their names, and what they
// include. It returns everything it found; the Config is nil if an error is among it. What is given sets variables.
func Load(path string, given ...Variable) (*Config, Diagnostics) {
	return open(path, given...).finish()
}

// open parses what path names.
func open(path string, given ...Variable) *loader {
	l := newLoader(path)
	l.given = given
	names, err := files(path)
	if err != nil {
		l.fail(path, "Cannot read the configuration", err)
	}
	for _, name := range names {
		l.read(name, hcl.Range{Filename: name}, "Cannot read the configuration")
	}
	return l
}

// LoadBytes is Load for one file that is in memory; name is what diagnostics call it.
func LoadBytes(name string, src []byte, given ...Variable) (*Config, Diagnostics) {
	l := newLoader(name)
	l.given = given
	l.parse(name, src)
	return l.finish()
}

type loader struct {
	path   string
	given  []Variable
	shared []Variable // set too, if they are declared and not given
	parser *hclparse.Parser
	hash   hash.Hash
	bodies []*hcl.File
	diags  hcl.Diagnostics
	paired bool // see builder

	untrusted error // who besides root may change what was read; nil: nobody, or it does not matter

	known map[string]bool // files that were read, by their real path
	names []string        // of these, as they were named, and of folders that were searched for them
	stack []string        // of those, the ones that include what is read now
	total int             // bytes
}

func newLoader(path string) *loader {
	return &loader{path: path, parser: hclparse.NewParser(), hash: sha256.New(), known: map[string]bool{}}
}

// fail reports what concerns a file as a whole.
func (l *loader) fail(name, summary string, cause error) {
	l.diags = append(l.diags, fault(hcl.Range{Filename: name}, summary, cause.Error()+"."+denied(cause)))
}

// denied says what keeps root from a file: a director has given up the right to read what others have for themselves.
func denied(cause error) string {
	if os.Geteuid() != 0 || !errors.Is(cause, fs.ErrPermission) {
		return ""
	}
	return " A director reads what root may read by owner and mode, and no more: chown root, or chmod what is on the way to it."
}

// files returns the files that path stands for.
func files(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		// Editors leave .#web.hcl and the like behind.
		if IsFile(e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("read %s: the folder holds no file whose name ends in .hcl or .hcl.json", path)
	}
	return names, nil
}

// IsFile reports whether a folder's file of that name is part of the configuration.
func IsFile(name string) bool {
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")
}

// readFile returns the contents of a file, or so much of it that parse finds it too large. It reads nothing but regular
// files, because a pipe could keep it waiting.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSize+1))
}

// parse adds one file, and those that it includes.
func (l *loader) parse(name string, src []byte) {
	l.hash.Write(src)
	if len(src) > maxSize {
		l.fail(name, "File too large", fmt.Errorf("a file may have %d MiB; a folder may hold several", maxSize>>20))
		return
	}
	file, diags := l.syntax(name, src)
	l.diags = append(l.diags, diags...)
	if file == nil {
		return
	}
	include := takeInclude(file)
	l.bodies = append(l.bodies, file)
	if include != nil {
		l.include(include)
	}
}

// syntax returns a file as the parser understands it; nil: not at all.
func (l *loader) syntax(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	deep := tooDeepJSON
	if !isJSON(name) {
		if body := parsePieces(name, src, minPiece); body != nil {
			file := &hcl.File{Body: body, Bytes: src}
			l.parser.AddFile(name, file)
			return file, nil
		}
		deep = func(name string, src []byte) (hcl.Range, bool) { return tooDeep(name, src, hcl.InitialPos) }
	}
	if at, deep := deep(name, src); deep {
		l.parser.AddFile(name, &hcl.File{Body: hcl.EmptyBody(), Bytes: src})
		return nil, hcl.Diagnostics{nestedTooDeeply(at)}
	}
	if isJSON(name) {
		return l.parser.ParseJSON(src, name)
	}
	file, diags := l.parser.ParseHCL(src, name)
	return file, syntax(diags, src)
}

// syntax puts the parser's diagnostics in order and drops what comes after a text that does not end, because the parser
// takes the rest of the file for the text. To 5s without quotes it adds the hint that the parser cannot know.
func syntax(diags hcl.Diagnostics, src []byte) hcl.Diagnostics {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		return cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte)
	})
	for i, d := range diags {
		if strings.HasPrefix(d.Summary, "Unterminated") || strings.HasPrefix(d.Summary, "Invalid multi-line") {
			return diags[:i+1]
		}
		at := d.Subject.Start.Byte
		number := trailingNumber.Find(src[max(0, at-20):at])
		unit := leadingUnit.Find(src[at:min(len(src), at+20)])
		if number != nil && unit != nil {
			d.Detail += fmt.Sprintf(" A duration is a text in quotes: write %q.", string(number)+string(unit))
		}
	}
	return diags
}

var (
	trailingNumber = regexp.MustCompile(`[0-9.]+$`)
	leadingUnit    = regexp.MustCompile(`^(ns|us|ms|s|m|h)\b`)
)

// build decodes and builds what was parsed. After an error of syntax it does not look further: what follows from a
// half-read file misleads.
func (l *loader) build() *builder {
	b := newBuilder()
	b.paired = l.paired
	if b.diags = l.diags; b.diags.HasErrors() {
		return b
	}
	body := hcl.MergeFiles(l.bodies)
	b.variables(body, l.given, l.shared)
	b.diags = append(b.diags, decodeConfig(b.eval, body, &b.raw)...)
	b.refuseLater(&b.raw)
	b.config(&b.raw)
	b.refuseRoot(l.untrusted)
	b.cfg.Path, b.cfg.Variables = l.path, l.given
	b.cfg.Hash = fmt.Sprintf("sha256:%x", l.hash.Sum(nil))
	return b
}

func (l *loader) finish() (*Config, Diagnostics) {
	b := l.build()
	out := diagnostics(b.diags, l.parser.Files())
	if b.diags.HasErrors() {
		return nil, out
	}
	return b.cfg, out
}
