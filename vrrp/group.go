// SPDX-License-Identifier: Apache-2.0

package vrrp

// Group is a sync group: its members are master together or not at all.
type Group struct{ name string }

// NewGroup returns a group without members.
func NewGroup(name string) *Group { return &Group{name: name} }
