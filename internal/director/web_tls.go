// SPDX-License-Identifier: Apache-2.0

package director

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/configs"
)

// keys are the certificates of the http listener. They are read again when a file is another one, because who renews
// certificates does not tell a director. What cannot be used does not replace what can.
type keys struct {
	files configs.ListenTLS
	log   *slog.Logger

	mu     sync.Mutex
	stamps [3]stamp // of the files when they were read, or tried
	config *tls.Config
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// openKeys reads the files; nil: there are none, and no TLS.
func openKeys(files configs.ListenTLS, log *slog.Logger) (*keys, error) {
	if files == (configs.ListenTLS{}) {
		return nil, nil
	}
	k := &keys{files: files, log: log}
	k.stamps = k.look()
	var err error
	k.config, err = readKeys(files)
	return k, err
}

// look returns the stamps of the files as they are.
func (k *keys) look() (now [3]stamp) {
	for i, path := range []string{k.files.Certificate, k.files.Key, k.files.ClientCA} {
		if info, err := os.Stat(path); path != "" && err == nil {
			now[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return now
}

// current returns what a handshake goes by.
func (k *keys) current() *tls.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.look()
	if now == k.stamps {
		return k.config
	}
	k.stamps = now
	config, err := readKeys(k.files)
	if err != nil {
		k.log.Warn("new certificates of the http listener not used, the old ones stay", "err", err)
		return k.config
	}
	k.log.Info("certificates of the http listener read again")
	k.config = config
	return config
}

// readKeys makes a configuration of TLS out of the files.
func readKeys(files configs.ListenTLS) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		return nil, fmt.Errorf("read %s with %s: %w", files.Certificate, files.Key, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true}
	if files.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(files.ClientCA)
	if err != nil {
		return nil, err
	}
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read %s: holds no certificate in PEM", files.ClientCA)
	}
	return c, nil
}

// handshake is what a handshake of the listener goes by.
func (w *web) handshake(*tls.ClientHelloInfo) (*tls.Config, error) {
	if k := w.keys.Load(); k != nil {
		return k.current(), nil
	}
	return nil, errors.New("TLS was turned off")
}
