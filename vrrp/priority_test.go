// SPDX-License-Identifier: Apache-2.0

package vrrp

import "testing"

func TestEffectivePriority(t *testing.T) {
	failed := func(weight int) Part { return NewPart("script", "upstream", weight, true, "exit 1") }
	works := func(weight int) Part { return NewPart("script", "upstream", weight, false, "") }
	pending := Part{Kind: "script", Name: "upstream", Weight: 20, Value: 20, Pending: true}
	tests := []struct {
		name       string
		configured uint8
		parts      []Part
		want       uint8
		fault      string
	}{
		{"nothing tracked", 100, nil, 100, ""},
		{"negative, works", 100, []Part{works(-20)}, 100, ""},
		{"negative, failed", 100, []Part{failed(-20)}, 80, ""},
		{"positive, works", 100, []Part{works(20)}, 120, ""},
		{"positive, failed", 100, []Part{failed(20)}, 100, ""},
		{"several", 100, []Part{failed(-20), works(50), failed(-5)}, 125, ""},
		{"a file's value", 100, []Part{{Kind: "file", Name: "f", Weight: 2, Value: -30}}, 70, ""},
		{"not below 1", 100, []Part{failed(-100)}, 1, ""},
		{"not the owner's", 200, []Part{works(100)}, 254, ""},
		{"owner", 255, []Part{failed(-100)}, 255, ""},
		{"no weight, works", 100, []Part{works(0)}, 100, ""},
		{"no weight, failed", 100, []Part{failed(0), failed(-10)}, 90, "tracked script upstream has failed: exit 1"},
		{"owner in fault", 255, []Part{failed(0)}, 255, "tracked script upstream has failed: exit 1"},
		{"pending", 100, []Part{pending}, 100, ""},
	}
	for _, tt := range tests {
		if got, fault := Effective(tt.configured, tt.parts); got != tt.want || fault != tt.fault {
			t.Errorf("%s: got %d, %q; want %d, %q", tt.name, got, fault, tt.want, tt.fault)
		}
	}
}
