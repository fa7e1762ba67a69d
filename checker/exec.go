// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/internal/command"
)

const (
	reasonExit   = "exit status"
	reasonSignal = "signal" // that ended the program, and was not ours

	reasonProgram = "cannot run program" // of ErrLocal
)

// lastWord is how long after the deadline a program that was killed is waited for. It is far shorter than maxLate:
// the verdict is not to wait for a child that holds the output open, or for a process that waits for a device.
const lastWord = maxLate / 5

// programs are the programs that run. One that cannot be killed is not run a second time beside itself.
type programs struct {
	run func(context.Context, command.Command) (command.Result, error) // of a test; nil: the real one

	mu    sync.Mutex
	stuck map[Key]int // runs that were killed and have not ended
}

// newExec prepares the check of that key, which is told to the program in its environment.
func (p *programs) newExec(k Key, c *Config) (Probe, error) {
	cmd := command.Command{
		Args: strings.Split(c.Command, "\x00"),
		User: c.User,
		Env: []string{
			"HOLDFAST_SERVICE=" + k.Service,
			"HOLDFAST_SERVER=" + k.Server,
			"HOLDFAST_CHECK=" + k.Check,
			"HOLDFAST_ADDRESS=" + c.Target.Addr().String(),
			"HOLDFAST_PORT=" + strconv.Itoa(int(c.Target.Port())),
		},
	}
	return func(ctx context.Context) Result { return p.probe(ctx, k, cmd, c.DynamicWeight) }, nil
}

func (p *programs) probe(ctx context.Context, k Key, cmd command.Command, dynamic bool) Result {
	if p.isStuck(k) {
		return failure(reasonTimeout, fmt.Errorf("run %s: the run before was killed and has not ended", cmd.Args[0]))
	}
	type outcome struct {
		command.Result
		err error
	}
	run := p.run
	if run == nil {
		run = func(ctx context.Context, c command.Command) (command.Result, error) { return c.Run(ctx) }
	}
	ended := make(chan outcome, 1)
	go func() { // waited for, unless it cannot be
		r, err := run(ctx, cmd)
		ended <- outcome{r, err}
	}()
	var late <-chan time.Time
	for done := ctx.Done(); ; {
		select {
		case o := <-ended:
			return judgeExit(cmd.Args[0], o.Result, o.err, dynamic)
		case <-done:
			done, late = nil, time.After(lastWord)
		case <-late:
			p.count(k, 1)
			go func() {
				<-ended
				p.count(k, -1)
			}()
			return failure(reasonTimeout, fmt.Errorf("run %s: killed: %w", cmd.Args[0], ctx.Err()))
		}
	}
}

// isStuck reports a run that was killed and has not ended. One that still has its time is none: a reload has changed its
// check, and the new one does not wait for it.
func (p *programs) isStuck(k Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stuck[k] > 0
}

// count adds to the runs that are stuck.
func (p *programs) count(k Key, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stuck == nil {
		p.stuck = make(map[Key]int)
	}
	if p.stuck[k] += n; p.stuck[k] == 0 {
		delete(p.stuck, k)
	}
}

// judgeExit is the result of a program that has ended: 0 passes, 1 fails, and 2 to 255 fail, or with dynamic pass and
// set the weight to that less 2.
func judgeExit(program string, r command.Result, err error, dynamic bool) Result {
	last := lastLine(r.Output)
	switch {
	case errors.Is(err, command.ErrLocal) || err != nil && r.Duration == 0: // it did not start
		return localFault(reasonProgram, err)
	case errors.Is(err, context.DeadlineExceeded):
		return failure(reasonTimeout, withOutput(fmt.Errorf("run %s: killed: timeout", program), last))
	case err != nil:
		return failure(reasonSignal, withOutput(err, last))
	case r.Exit == 0:
		return Result{Detail: last}
	case dynamic && r.Exit >= 2:
		return Result{Detail: last, Weight: Weight{Set: true, Value: uint32(r.Exit - 2)}}
	}
	return failure(reasonExit, withOutput(fmt.Errorf("exit status %d", r.Exit), last))
}

func withOutput(err error, last string) error {
	if last == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, last)
}

// lastLine is the last line that is not empty, fit for a log.
func lastLine(output string) string {
	output = strings.TrimSpace(output)
	return detailOf(output[strings.LastIndexByte(output, '\n')+1:])
}
