package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/integration/kafkatest"
)

const (
	// patience bounds one subject, its start included.
	patience = 5 * time.Minute
	// startTime bounds the start of one process.
	startTime = 2 * time.Minute
	// stopTime is how long a process has to end in order; then it is killed.
	stopTime = 5 * time.Second
)

// steps is how many durable steps a workflow makes; it is the result that every call must bring.
const steps = 3

// system is a system that runs: its processes, and how a workflow is called.
type system struct {
	dir string
	// call starts a workflow under an id and waits for its result.
	call func(ctx context.Context, id string) error
	// ends are called by close, the last first.
	ends      []func() error
	processes []named
}

type named struct {
	name string
	*kafkatest.Process
}

// start runs a process that ends with the system, and at the latest with this program.
func (s *system) start(name string, cmd *exec.Cmd) (*kafkatest.Process, error) {
	p, err := kafkatest.StartProcess(cmd, filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	s.processes = append(s.processes, named{name, p})
	s.ends = append(s.ends, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		// Who is measured need not end well: what counts is that nothing stays.
		_ = p.Stop(ctx)
		return p.Kill()
	})
	return p, nil
}

// until waits for a condition while all processes run.
func (s *system) until(ctx context.Context, what string, cond func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err := kafkatest.Until(ctx, 50*time.Millisecond, func() (bool, error) {
		if err := s.running(); err != nil {
			return false, err
		}
		return cond(ctx), nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

// running is an error when a process has ended.
func (s *system) running() error {
	for _, p := range s.processes {
		if !p.Running() {
			return fmt.Errorf("%s has ended: %w", p.name, p.Err())
		}
	}
	return nil
}

// tails are the ends of the processes' logs, for an error.
func (s *system) tails() string {
	var b strings.Builder
	for _, p := range s.processes {
		if tail := strings.TrimSpace(p.LogTail(2 << 10)); tail != "" {
			fmt.Fprintf(&b, "\n-- end of the log of %s:\n%s", p.name, tail)
		}
	}
	return b.String()
}

// close ends all processes and waits for them.
func (s *system) close() error {
	var errs []error
	for _, end := range slices.Backward(s.ends) {
		errs = append(errs, end())
	}
	s.ends = nil
	return errors.Join(errs...)
}

// freeAddresses returns addresses of this machine at which nobody listens. Their ports are below 32768, because Temporal
// keeps them in Postgres with 15 bits.
func freeAddresses(n int) ([]string, error) {
	const from, to, tries = 20000, 32000, 1000
	var out []string
	for range tries {
		if len(out) == n {
			return out, nil
		}
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", from+rand.IntN(to-from))) //nolint:gosec // a free port is no secret
		if err != nil {
			continue // somebody has it
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d", n, from, to)
}

// listening tells whether somebody listens at an address.
func listening(ctx context.Context, address string) bool {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// syncTime is the median time in microseconds to write 4 KiB to a file and have the disk take them.
func syncTime(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer f.Close()
	var took []time.Duration
	for range 200 {
		began := time.Now()
		if _, err := f.Write(make([]byte, 4<<10)); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return 1000 * measure.PercentilesOf(took).P50, nil
}
