// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readAll reads the files that fit the patterns, in the order of the patterns and their names.
func readAll(patterns ...string) string {
	var b strings.Builder
	for _, p := range patterns {
		found, _ := filepath.Glob(p) // the patterns are right
		for _, name := range found {
			text, err := os.ReadFile(name)
			if err == nil {
				b.Write(append(text, '\n'))
			}
		}
	}
	return b.String()
}

// readManagers reads what systemd-networkd and NetworkManager say of the links that get virtual addresses, where they say it to
// others: below /run.
func (f *Facts) readManagers(root string) {
	at := func(path string) string { return filepath.Join("/", root, path) }
	read := func(patterns ...string) map[string]string {
		into := make(map[string]string)
		settings(into, readAll(patterns...))
		return into
	}
	for _, device := range addressed(f.Config) {
		l, there := f.Links[device]
		if !there {
			continue
		}
		index := strconv.Itoa(l.Index)
		if state := read(at("run/systemd/netif/links/" + index)); state[".NETWORK_FILE"] != "" && state[".ADMIN_STATE"] != "unmanaged" {
			file := state[".NETWORK_FILE"]
			drop := filepath.Base(file) + ".d/*.conf"
			link := read(at(file), at("usr/lib/systemd/network/"+drop), at("run/systemd/network/"+drop), at("etc/systemd/network/"+drop))
			own := read(at("usr/lib/systemd/networkd.conf"), at("run/systemd/networkd.conf"), at("etc/systemd/networkd.conf"),
				at("usr/lib/systemd/networkd.conf.d/*.conf"), at("run/systemd/networkd.conf.d/*.conf"), at("etc/systemd/networkd.conf.d/*.conf"))
			f.Managers = append(f.Managers, networkd(device, file, link, own))
		}
		if read(at("run/NetworkManager/devices/" + index))["device.managed"] == "true" {
			f.Managers = append(f.Managers, Manager{Name: "NetworkManager", Device: device, Addresses: true})
		}
	}
}
