// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// KeepInherited keeps from the programs what this process has inherited itself: a descriptor that whoever started it left
// open is not closed by exec. Standard input, output and error are replaced for each program anyhow. It is called at the
// start; all that Go opens later is close-on-exec by itself.
func KeepInherited() error {
	const first = 3
	if unix.CloseRange(first, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	// Before Linux 5.11, or not permitted: one by one.
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("keep inherited descriptors: %w", err)
	}
	for _, e := range list {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
