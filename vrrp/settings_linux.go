// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// setting is a number of net.ipv4.conf of one link: IPV4_DEVCONF_* of linux/ip.h.
type setting int

const (
	rpFilter           setting = 8
	arpAnnounce        setting = 18
	arpIgnore          setting = 19
	promoteSecondaries setting = 20
)

func (s setting) String() string {
	switch s {
	case rpFilter:
		return "rp_filter"
	case arpAnnounce:
		return "arp_announce"
	case arpIgnore:
		return "arp_ignore"
	case promoteSecondaries:
		return "promote_secondaries"
	}
	return "invalid"
}

// settings are those that we have changed, for as long as someone needs them. They are read and written over rtnetlink:
// by the link's index, so that a rename does no harm, and where /proc/sys is read-only, too.
type settings struct {
	rtnl *rtnl

	mu   sync.Mutex
	ours map[linkSetting]*loan
}

type linkSetting struct {
	index   int
	setting setting
}

// loan is what a setting was, what we made it, and for whom.
type loan struct {
	before, is uint32
	users      map[string]bool
}

// want sees to it that a setting of a link has at least a value, as long as a user of that name needs it.
func (s *settings) want(index int, what setting, least uint32, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := linkSetting{index, what}
	if l := s.ours[key]; l != nil {
		l.users[user] = true
		return nil
	}
	before, err := s.read(index, what)
	if err != nil {
		return fmt.Errorf("read %v: %w", what, err)
	}
	if before >= least {
		return nil // not ours to put back
	}
	if err := s.write(index, what, least); err != nil {
		return fmt.Errorf("set %v: %w", what, err)
	}
	s.ours[key] = &loan{before: before, is: least, users: map[string]bool{user: true}}
	return nil
}

// drop puts back what nobody but that user needed, unless somebody else has changed it since, or the link is gone.
func (s *settings) drop(user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for key, l := range s.ours {
		if delete(l.users, user); len(l.users) > 0 {
			continue
		}
		delete(s.ours, key)
		is, err := s.read(key.index, key.setting)
		if err == nil && is == l.is {
			err = s.write(key.index, key.setting, l.before)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("put back %v: %w", key.setting, err))
		}
	}
	return errors.Join(errs...)
}

// read reads one setting out of IFLA_AF_SPEC, which has them all as an array.
func (s *settings) read(index int, what setting) (uint32, error) {
	return s.rtnl.conf(index, unix.AF_INET, iflaInetConf, int(what)-1)
}

func (s *settings) write(index int, what setting, value uint32) error {
	body := attributes(linkHeader(index), func(e *netlink.AttributeEncoder) {
		e.Nested(unix.IFLA_AF_SPEC, func(e *netlink.AttributeEncoder) error {
			e.Nested(unix.AF_INET, func(e *netlink.AttributeEncoder) error {
				e.Nested(iflaInetConf, func(e *netlink.AttributeEncoder) error {
					e.Uint32(uint16(what), value)
					return nil
				})
				return nil
			})
			return nil
		})
	})
	return s.rtnl.change([]message{{kind: unix.RTM_SETLINK, body: body}})[0]
}

// Attributes of a link's family, linux/if_link.h.
const (
	iflaInetConf  = 1
	iflaInet6Conf = 2
)

// conf reads one number of the settings that a family has for a link.
func (r *rtnl) conf(index int, family, array uint16, n int) (uint32, error) {
	b, err := r.ask(message{kind: unix.RTM_GETLINK, body: linkHeader(index)})
	if err != nil {
		return 0, err
	}
	if len(b) < unix.SizeofIfInfomsg {
		return 0, unix.EBADMSG
	}
	value, found := uint32(0), false
	err = eachAttribute(b[unix.SizeofIfInfomsg:], unix.IFLA_AF_SPEC, func(b []byte) error {
		return eachAttribute(b, family, func(b []byte) error {
			return eachAttribute(b, array, func(b []byte) error {
				if len(b) >= 4*n+4 {
					value, found = binary.NativeEndian.Uint32(b[4*n:]), true
				}
				return nil
			})
		})
	})
	if err == nil && !found {
		err = unix.EAFNOSUPPORT
	}
	return value, err
}

func eachAttribute(b []byte, kind uint16, f func([]byte) error) error {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	for d.Next() {
		if d.Type() == kind {
			if err := f(d.Bytes()); err != nil {
				return err
			}
		}
	}
	return d.Err()
}
