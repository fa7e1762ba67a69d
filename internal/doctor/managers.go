// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bufio"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/configs"
)

var managers = []Check{
	{
		ID: "networkd-addresses", Role: Director, Severity: Warning,
		Looks: "systemd-networkd configures a link of virtual addresses, without KeepConfiguration=",
		Why:   "when it is restarted, by an upgrade for one, it takes off addresses that it does not know: clients get no answer until they are back",
		Mend:  "`KeepConfiguration=yes` in the link's .network file",
		find: func(f Facts) []problem {
			return eachManager(f, "networkd", func(m Manager) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("systemd-networkd configures %s by %s, without KeepConfiguration=", m.Device, m.File),
					mend: fmt.Sprintf("[Network] KeepConfiguration=yes, in %s.d/holdfast.conf", path.Join("/etc/systemd/network", path.Base(m.File))),
				}, m.Addresses
			})
		},
	},
	{
		ID: "networkd-routes", Role: Director, Severity: Warning,
		Looks: "systemd-networkd configures a link of virtual routes, without ManageForeignRoutes=no",
		Why:   "when it is restarted it takes off routes that it does not know",
		Mend:  "`ManageForeignRoutes=no` in /etc/systemd/networkd.conf",
		find: func(f Facts) []problem {
			return eachManager(f, "networkd", func(m Manager) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("systemd-networkd takes off routes of others on %s", m.Device),
					mend: "[Network] ManageForeignRoutes=no, in /etc/systemd/networkd.conf.d/holdfast.conf",
				}, m.Routes && routed(f.Config, m.Device)
			})
		},
	},
	{
		ID: "networkmanager-addresses", Role: Director, Severity: Warning,
		Looks: "NetworkManager manages a link of virtual addresses",
		Why:   "when a connection is brought up again it takes off addresses that it does not know: clients get no answer until they are back",
		Mend:  "`nmcli device set eth0 managed no`, and unmanaged-devices= in its configuration",
		find: func(f Facts) []problem {
			return eachManager(f, "NetworkManager", func(m Manager) (p problem, found bool) {
				return problem{
					fact: fmt.Sprintf("NetworkManager manages %s", m.Device),
					mend: fmt.Sprintf("nmcli device set %s managed no; for good: [keyfile] unmanaged-devices=interface-name:%s", m.Device, m.Device),
				}, m.Addresses
			})
		},
	},
}

// eachManager asks about those of the links that have virtual addresses.
func eachManager(f Facts, name string, ask func(Manager) (problem, bool)) (list []problem) {
	devices := addressed(f.Config)
	for _, m := range f.Managers {
		if m.Name != name || !slices.Contains(devices, m.Device) {
			continue
		}
		if p, found := ask(m); found {
			list = append(list, p)
		}
	}
	return list
}

// addressed are the links that get virtual addresses and that a director does not make itself.
func addressed(cfg *configs.Config) (list []string) {
	for _, vr := range cfg.VirtualRouters {
		for _, a := range vr.All() {
			if !onVMAC(vr, a) && !slices.Contains(list, a.Device) {
				list = append(list, a.Device)
			}
		}
	}
	return list
}

func routed(cfg *configs.Config, device string) bool {
	for _, vr := range cfg.VirtualRouters {
		for _, r := range vr.Routes {
			if r.Device == device || r.Device == "" {
				return true
			}
		}
	}
	return false
}

// settings reads the last value of each key of a file in systemd's syntax, as SECTION.KEY, after what was read before.
func settings(into map[string]string, text string) {
	section := ""
	scan := bufio.NewScanner(strings.NewReader(text))
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		default:
			key, value, _ := strings.Cut(line, "=")
			into[section+"."+strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
}

// networkd says what systemd-networkd does to a link, by its .network file and its own configuration, and the drop-ins of both
// (systemd.network(5), networkd.conf(5)).
func networkd(device, file string, link, own map[string]string) Manager {
	keeps := slices.Contains([]string{"yes", "true", "on", "1", "static"}, strings.ToLower(link["Network.KeepConfiguration"]))
	leaves := slices.Contains([]string{"no", "false", "off", "0"}, strings.ToLower(own["Network.ManageForeignRoutes"]))
	return Manager{Name: "networkd", Device: device, File: file, Addresses: !keeps, Routes: !keeps && !leaves}
}
