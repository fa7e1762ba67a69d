// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/holdfast-lb/holdfast/internal/trust"
)

// defaultUser is who runs what the configuration names; nothing of ours belongs to it.
const defaultUser = "nobody"

// user reads whom a program runs as. What root is to run and others may change is a warning: it will be refused each time,
// and the rest of the configuration is as good as before.
func (b *builder) user(a, command *hcl.Attribute, program []string) string {
	name := read(b, a, defaultUser, matching(parseUser))
	if len(program) == 0 || !isRoot(name) {
		return name
	}
	b.asRoot = append(b.asRoot, a.Expr.Range())
	err, known := b.programs[program[0]]
	if !known {
		err = trust.Program(program[0])
		b.programs[program[0]] = err
	}
	if errors.Is(err, trust.ErrOthers) {
		b.warn(command.Expr.Range(), "Refused for root", fmt.Sprintf("%s would not be run as root: %s.", program[0], err))
	}
	return name
}

// isRoot reports whether a user is root, by name or by number.
func isRoot(user string) bool {
	id, err := strconv.ParseUint(user, 10, 32)
	return user == "root" || err == nil && id == 0
}

// whileLoading is GOGC while a configuration is read: nearly all that is made is garbage soon, 62 MB of it for 5,000 real servers, and
// to collect it as often as in a director at rest costs half as much again as the reading.
const whileLoading = 200

// LoadAsRoot is Load for one who acts on the configuration with the rights of root, if this process has them. What others than
// root may change must not say what root runs: then it is an error. Without such programs, Config.Untrusted says what is wrong.
func LoadAsRoot(path string, given ...Variable) (*Config, Diagnostics) {
	defer debug.SetGCPercent(debug.SetGCPercent(whileLoading))
	l := open(path, given...)
	if os.Geteuid() == 0 {
		l.untrusted = l.others()
	}
	return l.finish()
}

// others says who besides root may change the files of the configuration, or add some; nil: nobody.
func (l *loader) others() error {
	for _, path := range slices.Concat(l.names, []string{l.path}) {
		if abs, err := filepath.Abs(path); err == nil {
			if err := trust.Path(abs); errors.Is(err, trust.ErrOthers) {
				return err
			}
		}
	}
	return nil
}

// refuseRoot reports programs of root in a configuration that others may change.
func (b *builder) refuseRoot(untrusted error) {
	b.cfg.Untrusted = untrusted
	if untrusted == nil {
		return
	}
	for _, at := range b.asRoot {
		b.fail(at, "Root obeys root alone", fmt.Sprintf("This configuration says what root runs, and %s.", untrusted))
	}
}
