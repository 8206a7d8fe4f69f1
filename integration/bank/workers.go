package bank

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// slot is one replica: a process that is started again whenever it ends, as long as it is wanted.
type slot struct {
	id     int
	dir    string // local storage
	log    string
	binary string
	args   []string

	mu      sync.Mutex
	wanted  bool
	wipe    bool
	killed  bool // the present process was killed or stopped on purpose
	proc    *kafkatest.Process
	starts  int
	exits   int      // processes that the poison ended
	unasked []string // processes that ended for a reason of their own
	changed chan struct{}
}

// newSlot makes a replica with its local storage below dir and its log below logs.
func newSlot(id int, dir, logs, binary string, args ...string) *slot {
	name := fmt.Sprintf("worker-%d", id)
	s := &slot{id: id, dir: filepath.Join(dir, name+".db"), log: filepath.Join(logs, name+".log"), binary: binary, changed: make(chan struct{}, 1)}
	s.args = append([]string{"-instance", fmt.Sprint(id), "-dir", s.dir}, args...)
	return s
}

func (s *slot) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run keeps the process alive until ctx ends, and then kills it.
func (s *slot) run(ctx context.Context) error {
	for {
		s.mu.Lock()
		wanted := s.wanted
		s.mu.Unlock()
		if !wanted {
			select {
			case <-s.changed:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		p, err := s.start()
		if err != nil {
			return err
		}
		select {
		case <-p.Done():
		case <-ctx.Done():
			return p.Kill()
		}
		s.ended(p)
	}
}

func (s *slot) start() (*kafkatest.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wipe {
		if err := os.RemoveAll(s.dir); err != nil {
			return nil, fmt.Errorf("wipe the disk of worker %d: %w", s.id, err)
		}
		s.wipe = false
	}
	p, err := kafkatest.StartProcess(exec.Command(s.binary, s.args...), s.log)
	if err != nil {
		return nil, err
	}
	s.proc, s.killed = p, false
	s.starts++
	return p, nil
}

// ended notes why a process ended.
func (s *slot) ended(p *kafkatest.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := p.Err()
	var exit *exec.ExitError
	switch {
	case s.killed:
	case errors.As(err, &exit) && exit.ExitCode() == ExitCode:
		s.exits++
	default:
		s.unasked = append(s.unasked, fmt.Sprintf("worker %d ended by itself (%v):\n%s", s.id, err, p.LogTail(3<<10)))
	}
}

// want starts the process, or lets it end for good when it ends next.
func (s *slot) want(yes bool) {
	s.mu.Lock()
	s.wanted = yes
	s.mu.Unlock()
	s.signal()
}

// kill ends the process at once; it is started again. With wipe its local storage is gone then.
func (s *slot) kill(wipe bool) error {
	s.mu.Lock()
	p := s.proc
	if p == nil || !p.Running() {
		s.mu.Unlock()
		return nil
	}
	s.killed, s.wipe = true, s.wipe || wipe
	s.mu.Unlock()
	return p.Kill()
}

// stop ends the process in order, and it stays down.
func (s *slot) stop(ctx context.Context) error {
	s.mu.Lock()
	s.wanted = false
	p := s.proc
	if p == nil || !p.Running() {
		s.mu.Unlock()
		return nil
	}
	s.killed = true
	s.mu.Unlock()
	if err := p.Stop(ctx); err != nil {
		return fmt.Errorf("worker %d: %w\n%s", s.id, err, p.LogTail(8<<10))
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("worker %d was asked to stop and failed: %w\n%s", s.id, err, p.LogTail(8<<10))
	}
	return nil
}

// dump ends the process so that it writes what its goroutines wait for, and returns that.
func (s *slot) dump(ctx context.Context) string {
	s.mu.Lock()
	s.wanted = false
	p := s.proc
	s.killed = true
	s.mu.Unlock()
	if p == nil || !p.Running() {
		return fmt.Sprintf("worker %d does not run", s.id)
	}
	if err := p.Dump(ctx); err != nil {
		return fmt.Sprintf("worker %d: %v", s.id, err)
	}
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	if at := bytes.LastIndex(b, []byte("SIGQUIT: quit")); at >= 0 {
		b = b[at:]
	}
	return fmt.Sprintf("worker %d: %s", s.id, b)
}

// freeze stops the process's clock for a while, long enough for the group to go on without it.
func (s *slot) freeze(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	p := s.proc
	s.mu.Unlock()
	if p == nil || !p.Running() {
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

func (s *slot) tail(n int) string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return fmt.Sprintf("worker %d:\n%s", s.id, strings.TrimSpace(string(b)))
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
