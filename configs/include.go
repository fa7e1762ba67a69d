// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What one configuration may consist of.
const (
	maxFiles = 1000
	maxTotal = 256 << 20 // bytes
)

const includeName = "include"

// takeInclude removes what a file says that it includes, so that several files may; nil: nothing.
func takeInclude(file *hcl.File) *hcl.Attribute {
	if native, ok := file.Body.(*hclsyntax.Body); ok {
		a := native.Attributes[includeName]
		if a == nil {
			return nil
		}
		delete(native.Attributes, includeName)
		return a.AsHCLAttribute()
	}
	// What is wrong is reported when the rest is read.
	content, rest, _ := file.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: includeName}}})
	file.Body = rest
	return content.Attributes[includeName]
}

// include reads the files that one of them names, in the order of the list, each once.
func (l *loader) include(a *hcl.Attribute) {
	b := newBuilder()
	if diags := (&decoder{eval: b.eval}).bind(a); diags.HasErrors() {
		l.diags = append(l.diags, diags...)
		return
	}
	list, _ := readList(b, a, matching(parseInclude))
	l.diags = append(l.diags, b.diags...)
	for _, entry := range list {
		names, err := included(filepath.Dir(entry.at.Filename), entry.value)
		if err != nil {
			l.diags = append(l.diags, fault(entry.at, cannotInclude, err.Error()+"."))
		}
		l.names = append(l.names, searched(filepath.Dir(entry.at.Filename), entry.value))
		for _, name := range names {
			l.read(name, entry.at, cannotInclude)
		}
	}
}

const cannotInclude = "Cannot include"

// read adds a file that was named at a place, unless it is there already.
func (l *loader) read(name string, at hcl.Range, summary string) {
	fail := func(err error) { l.diags = append(l.diags, fault(at, summary, err.Error()+"."+denied(err))) }
	real, err := filepath.EvalSymlinks(name)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	switch {
	case err != nil:
		fail(err)
		return
	case slices.Contains(l.stack, real):
		fail(fmt.Errorf("%s would include itself, by way of %d more", name, len(l.stack)-1-slices.Index(l.stack, real)))
		return
	case l.known[real]:
		return
	case len(l.known) == maxFiles:
		fail(fmt.Errorf("a configuration may consist of %d files", maxFiles))
		return
	}
	l.known[real] = true
	l.names = append(l.names, name)
	src, err := readFile(name)
	if err != nil {
		fail(err)
		return
	}
	if l.total += len(src); l.total > maxTotal {
		fail(fmt.Errorf("all files together may have %d MiB", maxTotal>>20))
		return
	}
	l.stack = append(l.stack, real)
	l.parse(name, src)
	l.stack = l.stack[:len(l.stack)-1]
}

// parseInclude accepts a file, a folder, or a pattern of files.
func parseInclude(s string) (string, error) {
	if s == "" || strings.ContainsRune(s, 0) {
		return "", errors.New(`takes files, folders and patterns, such as "conf.d/*.hcl"`)
	}
	if _, err := filepath.Match(s, ""); err != nil {
		return "", fmt.Errorf("takes patterns of *, ? and [abc]; %.60q is none", s)
	}
	return s, nil
}

// searched returns the file that an entry is, or the folder in which it looks for files.
func searched(folder, entry string) string {
	if !filepath.IsAbs(entry) {
		entry = filepath.Join(folder, entry)
	}
	if special.MatchString(filepath.Base(entry)) {
		return filepath.Dir(entry)
	}
	return entry
}

// special are the characters that have a meaning in a pattern.
var special = regexp.MustCompile(`[*?[\\]`)

// included returns the files, in the order of their names, that an entry in a file of that folder stands for. A pattern
// may stand for none.
func included(folder, entry string) ([]string, error) {
	if !special.MatchString(entry) {
		if !filepath.IsAbs(entry) {
			entry = filepath.Join(folder, entry)
		}
		return files(entry)
	}
	if !filepath.IsAbs(entry) {
		entry = filepath.Join(special.ReplaceAllString(folder, `\$0`), entry)
	}
	found, err := filepath.Glob(entry)
	slices.Sort(found)
	return slices.DeleteFunc(found, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && info.IsDir() || strings.HasPrefix(filepath.Base(name), ".")
	}), err
}
