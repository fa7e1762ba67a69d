// SPDX-License-Identifier: Apache-2.0

package ipvs

import (
	"errors"
	"fmt"
	"syscall"
)

// explain adds what an operator can do about an error, with the errno still reachable. What the kernel lumps together in
// one errno is told apart by the operation.
func explain(op Op, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	if hint := hint(op, errno); hint != "" {
		return fmt.Errorf("%s: %w", hint, err)
	}
	return err
}

func hint(op Op, errno syscall.Errno) string {
	switch errno {
	case syscall.EPERM:
		return "needs CAP_NET_ADMIN in the initial user namespace"
	case syscall.EAFNOSUPPORT:
		return "the kernel's IPVS knows no IPv6"
	case syscall.ENOPROTOOPT:
		return "the kernel is unloading ip_vs"
	case syscall.ENOMEM:
		return "the kernel is out of memory"
	case syscall.EOPNOTSUPP:
		return "this kernel is too old for it"
	}
	switch op.Kind {
	case AddService, UpdateService, DeleteService:
		return serviceHint(op, errno)
	case AddDestination, UpdateDestination, DeleteDestination:
		return destinationHint(op, errno)
	case SetTimeouts:
		if errno == syscall.EINVAL {
			return "a timeout is too long for the kernel"
		}
	case StartSync, StopSync:
		return syncHint(op.Sync, errno)
	}
	return ""
}

func serviceHint(op Op, errno syscall.Errno) string {
	switch errno {
	case syscall.EEXIST:
		return "the service is there already"
	case syscall.ESRCH:
		return "the service is gone"
	case syscall.EINVAL:
		if p := op.Persistence; op.Service.Address.Is6() && (p.Netmask < 1 || p.Netmask > 128) {
			return "an IPv6 persistence netmask has 1 to 128 bits"
		}
		return "the scheduler refuses the service"
	}
	return ""
}

func destinationHint(op Op, errno syscall.Errno) string {
	d := op.Destination
	switch errno {
	case syscall.EEXIST:
		return "the real server is there already"
	case syscall.ENOENT:
		return "the real server is gone"
	case syscall.ESRCH:
		return "the service is gone"
	case syscall.ERANGE:
		if d.Lower > d.Upper {
			return "the lower threshold is above the upper one"
		}
		return "the weight is above 2147483647"
	case syscall.EINVAL:
		switch {
		case d.Address.Addr().Is4() != op.Service.Address.Is4() && d.Forward != Tunnel:
			return "a real server of another address family than its service's is reached by tunnel only"
		case d.Encapsulation.Type == GUE && d.Encapsulation.Port == 0:
			return "a gue tunnel needs a port"
		case d.Address.Addr().Is4() != op.Service.Address.Is4():
			return "a real server of another address family than its service's cannot be had while connection sync runs"
		}
		return "the address must be unicast and, for IPv6, not link-local"
	}
	return ""
}

func syncHint(d SyncDaemon, errno syscall.Errno) string {
	switch errno {
	case syscall.ENODEV:
		return "there is no interface " + d.Interface
	case syscall.ENETUNREACH, syscall.EADDRNOTAVAIL:
		return fmt.Sprintf("interface %s must be up and have an address for the group %s", d.Interface, d.Group)
	case syscall.EEXIST:
		return "the daemon runs already"
	case syscall.ESRCH:
		return "the daemon does not run"
	case syscall.EINVAL:
		if d.Group.IsMulticast() {
			return "connection sync cannot run while a service has a real server of another address family (remove that or connection_sync)"
		}
		return fmt.Sprintf("%s is not a multicast group", d.Group)
	}
	return ""
}
