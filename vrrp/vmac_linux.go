// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// HoldRoutes implements Host.
func (n *Network) HoldRoutes([]Route) error { return nil }

// ReleaseRoutes implements Host.
func (n *Network) ReleaseRoutes([]Route) error { return nil }

// Prepare implements Host.
func (n *Network) Prepare(Config) error { return nil }

// Discard implements Host.
func (n *Network) Discard(Config) error { return nil }

// Suspended implements Host.
func (n *Network) Suspended() time.Duration { return 0 }
