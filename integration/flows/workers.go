package flows

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// slot is one replica: a process that is started again whenever it ends, until it is stopped.
type slot struct {
	id      int
	dir     string // local storage
	log     string
	address string // of REST
	command func() *exec.Cmd

	mu      sync.Mutex
	wipe    bool
	killed  bool // the present process was killed or stopped on purpose
	stopped bool
	proc    *kafkatest.Process
	starts  int
	unasked []string // processes that ended for a reason of their own
}

// url is where the worker's REST is.
func (s *slot) url() string { return "https://" + s.address }

// run keeps the process alive until it is stopped, or ctx ends, and then kills it.
func (s *slot) run(ctx context.Context) error {
	for {
		p, err := s.start()
		if err != nil || p == nil {
			return err
		}
		select {
		case <-p.Done():
		case <-ctx.Done():
			return p.Kill()
		}
		s.mu.Lock()
		if !s.killed {
			s.unasked = append(s.unasked, fmt.Sprintf("worker %d ended by itself (%v):\n%s", s.id, p.Err(), p.LogTail(3<<10)))
		}
		s.mu.Unlock()
	}
}

// start starts the process; nil when it was stopped for good.
func (s *slot) start() (*kafkatest.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, nil
	}
	if s.wipe {
		if err := os.RemoveAll(s.dir); err != nil {
			return nil, fmt.Errorf("wipe the disk of worker %d: %w", s.id, err)
		}
		s.wipe = false
	}
	p, err := kafkatest.StartProcess(s.command(), s.log)
	if err != nil {
		return nil, err
	}
	s.proc, s.killed = p, false
	s.starts++
	return p, nil
}

// take returns the running process, marked as ended on purpose when asked to; nil when none runs.
func (s *slot) take(mark func()) *kafkatest.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.Running() {
		return nil
	}
	if mark != nil {
		mark()
	}
	return s.proc
}

// kill ends the process at once; it is started again. With wipe its local storage is gone then.
func (s *slot) kill(wipe bool) error {
	p := s.take(func() { s.killed, s.wipe = true, s.wipe || wipe })
	if p == nil {
		return nil
	}
	return p.Kill()
}

// freeze stops the process's clock for a while.
func (s *slot) freeze(ctx context.Context, d time.Duration) error {
	p := s.take(nil)
	if p == nil {
		return nil
	}
	if err := p.Pause(); err != nil {
		return err
	}
	wait(ctx, d)
	if err := p.Continue(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// stop ends the process in order, for good.
func (s *slot) stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	p := s.take(func() { s.killed = true })
	if p == nil {
		return nil
	}
	if err := p.Stop(ctx); err != nil {
		return fmt.Errorf("worker %d: %w\n%s", s.id, err, p.LogTail(4<<10))
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("worker %d was asked to stop and failed: %w\n%s", s.id, err, p.LogTail(4<<10))
	}
	return nil
}

// newSlot makes a replica with its local storage below dir and its log below logs.
func newSlot(id int, dir, logs, address, binary string, args ...string) *slot {
	name := fmt.Sprintf("worker-%d", id)
	s := &slot{id: id, dir: filepath.Join(dir, name), log: filepath.Join(logs, name+".log"), address: address}
	all := append([]string{
		"worker", "flow,flow-mapper,rest", "--set", "process.instance=" + name, "--set", "process.data_dir=" + s.dir, "--set", "rest.address=" + address,
	}, args...)
	s.command = func() *exec.Cmd { return exec.Command(binary, all...) }
	return s
}

// wait lets time pass: it is what a fault lasts, or the pause between two.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
