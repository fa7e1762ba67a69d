// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/holdfast-lb/holdfast/configs"
)

// A guard admits those who know a password (RFC 7617). Comparing takes bcrypt long, by design: it does one at a time, so that
// guessing takes no more than a part of one core from the election, and remembers who was right.
type guard struct {
	users  map[string][]byte
	other  []byte // compared for a user that does not exist, which so takes as long as one that does
	turn   chan struct{}
	secret [sha256.Size]byte

	mu    sync.Mutex
	right map[[sha256.Size]byte]bool // by the keyed digest of user and password
}

// guessPause is how long the next comparison waits after a wrong password.
const guessPause = 200 * time.Millisecond

// newGuard returns one for the users; nil: there are none, and everybody is admitted.
func newGuard(users []configs.User) *guard {
	if len(users) == 0 {
		return nil
	}
	g := &guard{users: map[string][]byte{}, turn: make(chan struct{}, 1), right: map[[sha256.Size]byte]bool{}}
	_, _ = rand.Read(g.secret[:]) // never fails
	for _, u := range users {
		g.users[u.Name] = []byte(u.Hash)
		g.other = []byte(u.Hash)
	}
	return g
}

// admits reports whether a request may be answered; if not, it has been.
func (g *guard) admits(w http.ResponseWriter, r *http.Request) bool {
	if g == nil {
		return true
	}
	user, password, given := r.BasicAuth()
	switch {
	case given && g.knows(r.Context(), user, password):
		return true
	case r.Context().Err() != nil:
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="holdfast", charset="UTF-8"`)
	http.Error(w, "user and password, please", http.StatusUnauthorized)
	return false
}

// knows reports whether a password is that of a user.
func (g *guard) knows(ctx context.Context, user, password string) bool {
	// Beyond 72 bytes, and around a zero, bcrypt takes different passwords for one.
	if len(password) > 72 || strings.ContainsRune(password, 0) {
		return false
	}
	d := g.digest(user, password)
	if g.remembers(d) {
		return true
	}
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return false
	}
	if g.remembers(d) { // somebody else was quicker
		return true
	}
	hash, exists := g.users[user]
	if !exists {
		hash = g.other
	}
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || !exists {
		select {
		case <-time.After(guessPause):
		case <-ctx.Done():
		}
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.right[d] = true
	return true
}

func (g *guard) remembers(d [sha256.Size]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.right[d]
}

// digest is one of a user and a password that nobody else can compute.
func (g *guard) digest(user, password string) (d [sha256.Size]byte) {
	m := hmac.New(sha256.New, g.secret[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(len(user))))
	m.Write([]byte(user + password))
	m.Sum(d[:0])
	return d
}
