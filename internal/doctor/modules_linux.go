// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// readModules looks for the modules where modprobe(8) would.
func (f *Facts) readModules(root string) {
	needed, _ := neededModules(f.Config)
	if len(needed) == 0 {
		return
	}
	var uts unix.Utsname
	_ = unix.Uname(&uts) // then nothing is found
	tree := filepath.Join("/", root, "lib/modules", unix.ByteSliceToString(uts.Release[:]))
	builtin, err1 := os.ReadFile(filepath.Join(tree, "modules.builtin"))
	loadable, err2 := os.ReadFile(filepath.Join(tree, "modules.dep"))
	forbidden := readAll(filepath.Join("/", root, "etc/modprobe.d/*.conf"), filepath.Join("/", root, "usr/lib/modprobe.d/*.conf"))
	for _, name := range needed {
		switch {
		case loaded(name) || contains(string(builtin), name):
			f.Modules[name] = Loaded
		case forbids(forbidden, name):
			f.Modules[name] = Forbidden
		case contains(string(loadable), name):
			f.Modules[name] = Loadable
		case name == "ip_vs" || err1 == nil && err2 == nil:
			f.Modules[name] = Missing
		}
	}
	if err1 != nil || err2 != nil {
		f.unknown("which modules the kernel has: there is no %s", tree)
	}
}

// loaded finds IPVS by what it shows, because it may be built in where no list says so.
func loaded(name string) bool {
	if name == "ip_vs" {
		if _, err := os.Stat("/proc/thread-self/net/ip_vs"); err == nil {
			return true
		}
	}
	_, err := os.Stat("/sys/module/" + name)
	return err == nil
}

// contains looks for a module in modules.builtin or modules.dep: a line for each, which begins with its path.
func contains(list, name string) bool {
	for line := range strings.Lines(list) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		base, _, _ := strings.Cut(filepath.Base(file), ".")
		if strings.ReplaceAll(base, "-", "_") == name {
			return true
		}
	}
	return false
}

// forbids finds what hardening guides have in modprobe.d(5): install NAME /bin/false.
func forbids(text, name string) bool {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "install" && words[1] == name && slices.Contains([]string{"true", "false"}, filepath.Base(words[2])) {
			return true
		}
	}
	return false
}
