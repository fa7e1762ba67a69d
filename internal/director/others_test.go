// SPDX-License-Identifier: Apache-2.0

package director

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/trust"
)

// TestReloadOfWhatOthersMayChange: it is obeyed and said, but does not say what root runs.
func TestReloadOfWhatOthersMayChange(t *testing.T) {
	s := newSite(t)
	if os.Geteuid() != 0 || trust.Path(filepath.Dir(s.path)) != nil {
		t.Skip("needs root, and a folder for temporary files that is root's")
	}
	s.run()
	if err := os.Chmod(s.path, 0o666); err != nil {
		t.Fatal(err)
	}
	s.reload()
	s.logged("the configuration is not root's alone")
	s.add("notify {\n  command = [\"/bin/true\"]\n  user = \"root\"\n}\n")
	_, err := s.client.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), s.path+" is writable by everybody (mode 0666)") || !strings.Contains(err.Error(), ErrReload.Error()) {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		t.Fatal(err)
	}
	s.reload()
}
