// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	realtimePriority = 50          // of SCHED_FIFO, 1 to 99: below what the kernel's own threads need
	realtimeEvery    = time.Second // threads that Go has made meanwhile are found this often
)

// realtime keeps the process in memory, and its threads before all others, until ctx ends. What is not permitted is
// logged and left out.
func realtime(ctx context.Context, log *slog.Logger) {
	if err := lockMemory(); err != nil {
		log.Warn("realtime: memory not locked", "err", err)
	}
	keepRaised(ctx, log)
}

// keepRaised raises all threads, and again those that come later.
//
// All threads, because any of them may be the one that waits for Go's next timer: with one thread alone in SCHED_FIFO,
// the election's, timers are as late as without.
func keepRaised(ctx context.Context, log *slog.Logger) {
	if err := raiseThreads(); err != nil {
		log.Warn("realtime: threads not raised", "err", err)
		return
	}
	tick := time.NewTicker(realtimeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := raiseThreads(); err != nil {
				log.Warn("realtime: threads not raised any more", "err", err)
				return
			}
		}
	}
}

// lockMemory makes what there is present, and keeps what comes once it is used. MCL_FUTURE without MCL_ONFAULT would
// make all memory that Go ever reserves present, and never give any back.
//
// Under a limit a lock of the future makes Go's next reservation fail, which ends the process. Reservations count, which
// are over a GiB, so only no limit will do.
func lockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("read RLIMIT_MEMLOCK: %w", err)
	}
	if may, err := capable(unix.CAP_IPC_LOCK); err != nil || !may && limit.Cur != unix.RLIM_INFINITY {
		return errors.Join(err, errors.New("it takes CAP_IPC_LOCK, or RLIMIT_MEMLOCK without a limit (systemd: LimitMEMLOCK=infinity)"))
	}
	err := unix.Mlockall(unix.MCL_CURRENT)
	if err == nil {
		err = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	}
	if err != nil {
		return fmt.Errorf("mlockall: %w", err)
	}
	return nil
}

// capable reports whether this process has a capability, capabilities(7).
func capable(capability uint) (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return false, fmt.Errorf("capget: %w", err)
	}
	return sets[capability/32].Effective&(1<<(capability%32)) != 0, nil
}

// raiseThreads puts every thread of this process that is not there yet into SCHED_FIFO. Programs that it starts, and
// threads that Go makes, begin without (SCHED_FLAG_RESET_ON_FORK, sched(7)): a script must not keep a processor.
func raiseThreads() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := raise(tid); err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended
			return err
		}
	}
	return nil
}

func raise(tid int) error {
	now, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return fmt.Errorf("sched_getattr: %w", err)
	}
	if now.Policy == unix.SCHED_FIFO {
		return nil
	}
	err = unix.SchedSetAttr(tid, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("sched_setattr: %w: it takes CAP_SYS_NICE, or RLIMIT_RTPRIO of at least %d (systemd: LimitRTPRIO=%d),"+
			" and a control group that has real-time run time", err, realtimePriority, realtimePriority)
	}
	if err != nil {
		return fmt.Errorf("sched_setattr: %w", err)
	}
	return nil
}
