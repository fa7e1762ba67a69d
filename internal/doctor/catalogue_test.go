// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCatalogue: each check says all that it has to, and a lab has been broken for it.
func TestCatalogue(t *testing.T) {
	tests, err := filepath.Glob("*_linux_test.go")
	if err != nil {
		t.Fatal(err)
	}
	proven := make(map[string]bool)
	for _, name := range tests {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`want: "([a-z -]+)"`).FindAllStringSubmatch(string(b), -1) {
			for _, id := range strings.Fields(m[1]) {
				proven[id] = true
			}
		}
	}
	seen := make(map[string]bool)
	for _, c := range Catalogue() {
		if c.ID == "" || c.Role == 0 || c.Severity == 0 || c.Looks == "" || c.Why == "" || c.Mend == "" || c.find == nil || seen[c.ID] {
			t.Errorf("the check is not whole, or there twice: %+v", c)
		}
		if !proven[c.ID] {
			t.Errorf("no test breaks a lab and expects %s", c.ID)
		}
		seen[c.ID] = true
	}
	for id := range proven {
		if !seen[id] {
			t.Errorf("a test expects %s, which no check finds", id)
		}
	}
}
