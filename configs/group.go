// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
)

func (b *builder) syncGroup(raw *rawSyncGroup, routers []*rawVirtualRouter) SyncGroup {
	b.name("sync_group", "", raw.Name, raw.NameRange)
	b.require(raw.Range, "members", raw.Members)
	names := make([]string, len(routers))
	for i, r := range routers {
		names[i] = r.Name
	}
	g := SyncGroup{Name: raw.Name}
	list, ok := readList(b, raw.Members, text)
	if raw.Members != nil && ok && len(list) == 0 {
		b.invalid("members", raw.Members.Expr.Range(), errors.New("takes at least one virtual_router"))
	}
	for _, m := range list {
		if !b.known("members", "virtual_router", m.value, names, m.at) {
			continue
		}
		g.Members = append(g.Members, m.value)
		if other, taken := b.member[m.value]; taken && other != raw.Name {
			b.fail(m.at, "Member of two groups", fmt.Sprintf(
				"%q is in sync_group %q already: a virtual router moves with one group at most.", m.value, other))
			continue
		}
		b.member[m.value] = raw.Name
		b.unique("member", identity(raw), fmt.Sprintf("%q", m.value), m.at)
	}
	return g
}
