package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// Options say what a replica runs. All but ExitCode must be set.
type Options struct {
	// ID is the replica's number, for messages.
	ID int
	// Dir is its local storage, which a wipe removes; Log is the file that its output is added to.
	Dir, Log string
	// Command makes the command of one process.
	Command func() *exec.Cmd
	// ExitCode is how a process ends that a test's own input has ended; such ends are counted, not reported. 0 for none.
	ExitCode int
}

// Replica is one place for a process.
type Replica struct {
	Options

	mu      sync.Mutex
	wanted  bool
	wipe    bool
	killed  bool // the present process was killed or stopped on purpose
	proc    *kafkatest.Process
	starts  int
	exits   int
	unasked []string
	changed chan struct{}
}

// New makes a replica that is wanted; Run starts it.
func New(o Options) *Replica {
	return &Replica{Options: o, wanted: true, changed: make(chan struct{}, 1)}
}

func (r *Replica) signal() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Run keeps a process alive, as long as one is wanted, until ctx ends, and then kills it.
func (r *Replica) Run(ctx context.Context) error {
	for {
		r.mu.Lock()
		wanted := r.wanted
		r.mu.Unlock()
		if !wanted {
			select {
			case <-r.changed:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		p, err := r.start()
		if err != nil || p == nil {
			if err != nil {
				return err
			}
			continue
		}
		select {
		case <-p.Done():
		case <-ctx.Done():
			return p.Kill()
		}
		r.ended(p)
	}
}

// start starts a process; nil when none is wanted any more.
func (r *Replica) start() (*kafkatest.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.wanted {
		return nil, nil
	}
	if r.wipe {
		if err := os.RemoveAll(r.Dir); err != nil {
			return nil, fmt.Errorf("wipe the disk of worker %d: %w", r.ID, err)
		}
		r.wipe = false
	}
	p, err := kafkatest.StartProcess(r.Command(), r.Log)
	if err != nil {
		return nil, err
	}
	r.proc, r.killed = p, false
	r.starts++
	return p, nil
}

// ended notes why a process ended.
func (r *Replica) ended(p *kafkatest.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := p.Err()
	var exit *exec.ExitError
	switch {
	case r.killed:
	case r.ExitCode != 0 && errors.As(err, &exit) && exit.ExitCode() == r.ExitCode:
		r.exits++
	default:
		r.unasked = append(r.unasked, fmt.Sprintf("worker %d ended by itself (%v):\n%s", r.ID, err, p.LogTail(3<<10)))
	}
}

// Want starts a process again after a [Replica.Stop].
func (r *Replica) Want() {
	r.mu.Lock()
	r.wanted = true
	r.mu.Unlock()
	r.signal()
}

// take returns the running process, nil when none runs; f is called under the lock before.
func (r *Replica) take(f func()) *kafkatest.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc == nil || !r.proc.Running() {
		return nil
	}
	f()
	return r.proc
}

// Kill ends the process at once; it is started again. With wipe its local storage is gone then.
func (r *Replica) Kill(wipe bool) error {
	p := r.take(func() { r.killed, r.wipe = true, r.wipe || wipe })
	if p == nil {
		return nil
	}
	return p.Kill()
}

// Freeze stops the process's clock for a while.
func (r *Replica) Freeze(ctx context.Context, d time.Duration) error {
	p := r.take(func() {})
	if p == nil {
		return nil
	}
	if err := p.Pause(); err != nil {
		return err
	}
	Wait(ctx, d)
	if err := p.Continue(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (r *Replica) unwant() *kafkatest.Process {
	r.mu.Lock()
	r.wanted = false
	r.mu.Unlock()
	return r.take(func() { r.killed = true })
}

// Stop ends the process in order, and it stays down.
func (r *Replica) Stop(ctx context.Context) error {
	p := r.unwant()
	if p == nil {
		return nil
	}
	if err := p.Stop(ctx); err != nil {
		return fmt.Errorf("worker %d: %w\n%s", r.ID, err, p.LogTail(8<<10))
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("worker %d was asked to stop and failed: %w\n%s", r.ID, err, p.LogTail(8<<10))
	}
	return nil
}

// Dump ends the process, for good, so that it writes what its goroutines wait for, and returns that.
func (r *Replica) Dump(ctx context.Context) string {
	p := r.unwant()
	if p == nil {
		return fmt.Sprintf("worker %d does not run", r.ID)
	}
	if err := p.Dump(ctx); err != nil {
		return fmt.Sprintf("worker %d: %v", r.ID, err)
	}
	b, err := os.ReadFile(r.Log)
	if err != nil {
		return err.Error()
	}
	if at := bytes.LastIndex(b, []byte("SIGQUIT: quit")); at >= 0 {
		b = b[at:]
	}
	return fmt.Sprintf("worker %d: %s", r.ID, b)
}

// Starts tells how many processes were started, and how many of them ended with the expected exit code.
func (r *Replica) Starts() (starts, exits int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starts, r.exits
}

// Unasked returns what processes said that ended for a reason of their own.
func (r *Replica) Unasked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.unasked...)
}

// Tail returns the last bytes of the log.
func (r *Replica) Tail(n int64) string {
	f, err := os.Open(r.Log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		if _, err := f.Seek(-n, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("worker %d:\n%s", r.ID, strings.TrimSpace(string(b)))
}

// Wait lets time pass: it is what a fault lasts, or the pause between two.
func Wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
