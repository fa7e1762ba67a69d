// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DefaultState is where setup remembers what it has changed.
const DefaultState = "/var/lib/holdfast/real-server.json"

// state is what the file says. It means nothing after a boot.
type state struct {
	Version int      `json:"version"`
	Boot    string   `json:"boot"`
	Changes []Change `json:"changes"` // in the order in which they were made
}

const stateVersion = 1

// readState reads the file. That there is none is no error.
func readState(path string) (state, error) {
	var s state
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return state{}, nil
	case err == nil:
		err = json.Unmarshal(b, &s)
	}
	if err == nil && s.Version != stateVersion {
		err = fmt.Errorf("version %d is not %d", s.Version, stateVersion)
	}
	if err != nil {
		return state{}, fmt.Errorf("read what was changed: %s: %w: without that file nothing is put back", path, err)
	}
	return s, nil
}

// write puts the state into its file, whole or not at all; what was undone altogether needs none. It does not wait for the
// disk: after a boot the file means nothing.
func (s state) write(path string) error {
	if len(s.Changes) == 0 {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	s.Version = stateVersion
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(filepath.Clean(dir), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Clean(dir), name+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
