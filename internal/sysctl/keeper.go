// SPDX-License-Identifier: Apache-2.0

package sysctl

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Loan is a parameter that was changed, and is to be put back.
type Loan struct {
	Path string `json:"path"`           // below /proc/sys
	Was  string `json:"was"`            // before
	Is   string `json:"is"`             // what it was set to
	Link int    `json:"link,omitempty"` // index of the link that it is about; 0: none
}

// Loans are those of one boot of the kernel; after the next one they mean nothing.
type Loans struct {
	Boot string `json:"boot"`
	List []Loan `json:"list"` // in the order of the paths
}

// Keeper sets parameters, and remembers what it has changed. It belongs to one goroutine.
type Keeper struct {
	log   *slog.Logger
	files files

	loans map[string]Loan
	left  map[string]bool // changed by others after us: theirs
	said  map[string]bool // what was said of settings that could not be made
}

// files is where parameters are read and written.
type files struct {
	root  string
	index func(link string) int
}

// Root is where the kernel shows the parameters: those of the network are of the namespace of the thread that asks.
const Root = "/proc/sys"

// NewKeeper returns a keeper of the parameters below root that goes on with what an earlier one has left.
func NewKeeper(log *slog.Logger, root string, before Loans) *Keeper {
	return newKeeper(log, files{root, linkIndex}, before)
}

func linkIndex(link string) int {
	i, err := net.InterfaceByName(link)
	if err != nil {
		return 0
	}
	return i.Index
}

func newKeeper(log *slog.Logger, f files, before Loans) *Keeper {
	k := &Keeper{log: log, files: f, loans: make(map[string]Loan), left: make(map[string]bool), said: make(map[string]bool)}
	if before.Boot == f.boot() {
		for _, l := range before.List {
			if isOurs(l.Path) { // else the state file is not what we wrote
				k.loans[l.Path] = l
			}
		}
	}
	return k
}

// isOurs reports whether a path is one of those that settings may have: of the network, and nowhere else in the file system.
func isOurs(path string) bool { return strings.HasPrefix(path, "net/") && filepath.Clean(path) == path }

// Loans returns what is changed now.
func (k *Keeper) Loans() Loans {
	all := Loans{Boot: k.files.boot()}
	for _, path := range slices.Sorted(maps.Keys(k.loans)) {
		all.List = append(all.List, k.loans[path])
	}
	return all
}

// Apply sets what is wanted and not so yet. What is not wanted any more stays until Restore: connections that there are may
// need it. What cannot be set is said once, and tried again by the next call; what others have changed after us is theirs
// from then on.
func (k *Keeper) Apply(want []Setting) {
	wanted := make(map[string]bool, len(want))
	for _, s := range want {
		wanted[s.Path] = true
	}
	for _, path := range slices.Sorted(maps.Keys(k.loans)) {
		k.check(path)
	}
	maps.DeleteFunc(k.left, func(path string, _ bool) bool { return !wanted[path] })
	failed := make(map[string][]failure)
	for _, s := range want {
		if _, ours := k.loans[s.Path]; ours || k.left[s.Path] {
			continue
		}
		if err := k.set(s); err != nil {
			what := todo(s, err)
			failed[what] = append(failed[what], failure{s, err})
		}
	}
	k.tell(failed)
}

// check forgets a loan that has become somebody else's, or whose link is gone.
func (k *Keeper) check(path string) {
	l := k.loans[path]
	if l.Link != k.files.linkOf(path) {
		delete(k.loans, path)
		return
	}
	is, err := k.files.read(path)
	if err == nil && is == l.Is {
		return
	}
	delete(k.loans, path)
	if err == nil {
		k.left[path] = true
		k.log.Warn("sysctl changed by others, left to them", "sysctl", name(path), "value", is, "ours", l.Is)
	}
}

// set makes one setting, unless the kernel has it so already.
func (k *Keeper) set(s Setting) error {
	is, met, err := k.files.look(s)
	if err != nil || met {
		return err
	}
	if err := k.files.write(s.Path, s.Value); err != nil {
		return err
	}
	k.loans[s.Path] = Loan{Path: s.Path, Was: is, Is: s.Value, Link: k.files.linkOf(s.Path)}
	k.log.Info("sysctl set", "sysctl", s.Name(), "value", s.Value, "was", is, "reason", s.Reason)
	return nil
}

// failure is a setting that could not be made.
type failure struct {
	Setting
	err error
}

// tell says once what is missing, until it changes.
func (k *Keeper) tell(failed map[string][]failure) {
	said := make(map[string]bool)
	for _, what := range slices.Sorted(maps.Keys(failed)) {
		var names, reasons []string
		for _, f := range failed[what] {
			names = append(names, f.Name()+"="+strconv.Quote(f.Value))
			reasons = append(reasons, f.Reason)
		}
		text := strings.Join(names, " ")
		said[what+text] = true
		if !k.said[what+text] {
			k.log.Warn("sysctls not set, tried again", "sysctl", text, "err", failed[what][0].err, "todo", what,
				"reason", strings.Join(slices.Compact(reasons), "; "))
		}
	}
	k.said = said
}

// todo is what helps against an error.
func todo(s Setting, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(s.Path, vs):
		return "load the module: modprobe ip_vs"
	case errors.Is(err, fs.ErrNotExist) && link(s.Path) != "":
		return "they appear with the link " + link(s.Path)
	}
	return "set them with sysctl -w where /proc/sys can be written, on the host of a container for one"
}

// Missing returns those of the settings that the kernel does not have below root, or does not show at all.
func Missing(root string, want []Setting) []Setting {
	f := files{root: root}
	return slices.DeleteFunc(slices.Clone(want), func(s Setting) bool {
		_, met, err := f.look(s)
		return err == nil && met
	})
}

// look returns the value of a parameter, and whether it does.
func (f files) look(s Setting) (is string, met bool, err error) {
	if is, err = f.read(s.Path); err != nil {
		return "", false, err
	}
	larger := ""
	if s.Larger != "" {
		larger, _ = f.read(s.Larger)
	}
	return is, s.Met(is, larger), nil
}

// Restore puts everything back that nobody has changed since.
func (k *Keeper) Restore() {
	for _, path := range slices.Sorted(maps.Keys(k.loans)) {
		k.check(path)
		if l, ours := k.loans[path]; ours {
			k.putBack(l)
		}
	}
}

func (k *Keeper) putBack(l Loan) {
	if err := k.files.write(l.Path, l.Was); err != nil {
		k.log.Warn("sysctl not put back", "sysctl", name(l.Path), "value", l.Was, "err", err)
		return
	}
	delete(k.loans, l.Path)
	k.log.Info("sysctl put back", "sysctl", name(l.Path), "value", l.Was)
}

// system is the kernel's own tree: that of the network namespace of the thread that asks.
var system = files{root: "/proc/sys"}

// Read returns the value of a parameter, by its path below /proc/sys, with one space between its fields.
func Read(path string) (string, error) { return system.read(path) }

// Write sets a parameter, by its path below /proc/sys.
func Write(path, value string) error { return system.write(path, value) }

// Boot tells one boot of the kernel from the next; empty: nothing tells.
func Boot() string { return system.boot() }

// read returns a value with one space between its fields.
func (f files) read(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join(f.root, path))
	if err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(string(b)), " "), nil
}

func (f files) write(path, value string) error {
	file, err := os.OpenFile(filepath.Join(f.root, path), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	return errors.Join(err, file.Close())
}

// boot tells one boot of the kernel from the next; empty: nothing tells.
func (f files) boot() string {
	id, _ := f.read("kernel/random/boot_id")
	return id
}

// linkOf is the index of the link that a path is about; 0: it is about none, or that one is gone.
func (f files) linkOf(path string) int {
	if l := link(path); l != "" {
		return f.index(l)
	}
	return 0
}

// number is 0 for what is none.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
