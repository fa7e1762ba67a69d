// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// folder is one that only root may write, in one that everybody may.
func folder(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make files of others")
	}
	dir := t.TempDir()
	for at := dir; strings.HasPrefix(at, os.TempDir()+"/"); at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755)) // whatever the umask is
	}
	if err := Path(dir); err != nil {
		t.Skipf("the folder for temporary files is not as usual: %v", err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o755))
	must(t, os.Chmod(path, 0o755))
}

// TestPath breaks one thing on the way at a time: it is what the error names, with what mends it.
func TestPath(t *testing.T) {
	const file = "a/b/file"
	for _, tt := range []struct {
		name  string
		spoil func(dir string) error
		path  string // below the folder; empty: file
		want  string // with $ for the folder; empty: it is trusted
	}{
		{name: "as it should be", spoil: func(string) error { return nil }},
		{name: "group", spoil: func(d string) error { return os.Chmod(d+"/"+file, 0o775) }, want: "$/a/b/file is writable by its group root (mode 0775): chmod g-w $/a/b/file"},
		{name: "everybody", spoil: func(d string) error { return os.Chmod(d+"/"+file, 0o757) }, want: "$/a/b/file is writable by everybody (mode 0757): chmod o-w $/a/b/file"},
		{name: "all", spoil: func(d string) error { return os.Chmod(d+"/"+file, 0o777) }, want: "chmod go-w $/a/b/file"},
		{name: "owner", spoil: func(d string) error { return os.Chown(d+"/"+file, 4711, -1) }, want: "$/a/b/file belongs to user 4711: chown root $/a/b/file"},
		{name: "folder", spoil: func(d string) error { return os.Chmod(d+"/a/b", 0o775) }, want: "$/a/b is writable by its group"},
		{name: "its folder", spoil: func(d string) error { return os.Chmod(d+"/a", 0o707) }, want: "$/a is writable by everybody"},
		{name: "owner of a folder", spoil: func(d string) error { return os.Chown(d+"/a", 65534, -1) }, want: "$/a belongs to user nobody"},
		{name: "sticky", spoil: func(d string) error { return os.Chmod(d+"/a", 0o777|fs.ModeSticky) }},
		{name: "sticky in the end", spoil: func(d string) error { return os.Chmod(d+"/a", 0o777|fs.ModeSticky) }, path: "a", want: "$/a is writable by everybody"},
		{name: "sticky in the end, with a slash", spoil: func(d string) error { return os.Chmod(d+"/a", 0o777|fs.ModeSticky) }, path: "a/.", want: "$/a is writable by everybody"},
		{name: "somebody's in a sticky one", spoil: func(d string) error {
			return errors.Join(os.Chmod(d+"/a", 0o777|fs.ModeSticky), os.Chown(d+"/a/b", 4711, -1))
		}, want: "$/a/b belongs to user 4711"},
		{name: "link", spoil: func(d string) error { return os.Symlink("b/file", d+"/a/link") }, path: "a/link"},
		{name: "absolute link", spoil: func(d string) error { return os.Symlink(d+"/a", d+"/link") }, path: "link/b/file"},
		{name: "link upwards", spoil: func(d string) error { return os.Symlink("../a/../a/b/./file", d+"/a/link") }, path: "a/link"},
		{name: "link of somebody", spoil: func(d string) error {
			return errors.Join(os.Symlink("file", d+"/a/b/link"), os.Lchown(d+"/a/b/link", 4711, -1))
		}, path: "a/b/link", want: "$/a/b/link belongs to user 4711"},
		{name: "link to what is spoilt", spoil: func(d string) error {
			return errors.Join(os.Symlink(d+"/a/b/file", d+"/link"), os.Chmod(d+"/a", 0o775))
		}, path: "link", want: "$/a is writable"},
		{name: "through what is spoilt and out again", spoil: func(d string) error {
			return errors.Join(os.Mkdir(d+"/open", 0o755), os.Chmod(d+"/open", 0o777))
		}, path: "open/../a/b/file", want: "$/open is writable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t)
			write(t, filepath.Join(dir, file), "")
			must(t, tt.spoil(dir))
			path := dir + "/" + file
			if tt.path != "" {
				path = dir + "/" + tt.path
			}
			err := Path(path)
			if want := strings.ReplaceAll(tt.want, "$", dir); errors.Is(err, ErrOthers) != (want != "") || want == "" && err != nil || want != "" && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", path, err, want)
			}
		})
	}
}

// TestPathThatLeadsNowhere is no matter of trust.
func TestPathThatLeadsNowhere(t *testing.T) {
	dir := folder(t)
	must(t, os.Symlink("loop", dir+"/loop"))
	for path, want := range map[string]error{dir + "/none": fs.ErrNotExist, dir + "/loop": syscall.ELOOP, "relative": nil} {
		if err := Path(path); err == nil || errors.Is(err, ErrOthers) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
}

func TestProgram(t *testing.T) {
	dir := folder(t)
	write(t, dir+"/open/shell", "#!/bin/sh\n")
	must(t, os.Chmod(dir+"/open", 0o777))
	for text, want := range map[string]string{
		"#!/bin/sh\nexit\n":         "",
		"#! \t/bin/sh -e\n":         "",
		"\x7fELF":                   "",
		"#!" + dir + "/open/shell":  dir + "/open is writable by everybody",
		"#!" + dir + "/second -x\n": dir + "/open is writable by everybody",
		"#!" + dir + "/none":        "",
		"#!" + dir + "/file":        "", // itself, without end
		"#!" + strings.TrimPrefix(dir, "/") + "/open/shell\n": dir + "/open is writable",
	} {
		write(t, dir+"/second", "#!"+dir+"/open/shell\n")
		write(t, dir+"/file", text)
		if err := Program(dir + "/file"); errors.Is(err, ErrOthers) != (want != "") || want != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	must(t, syscall.Mkfifo(dir+"/fifo", 0o700))
	if err := Program(dir + "/fifo"); err != nil { // and it is not waited for
		t.Error(err)
	}
}
