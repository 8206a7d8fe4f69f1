package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// Process is a child process that a test can stop, kill, pause and wait for. Its output goes to a file.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and was waited for
	err  error         // what Wait said; read after done
	log  string
}

// StartProcess starts cmd with its output appended to the file logPath; a Stdout of its own keeps it. On Linux the child
// dies with this process.
func StartProcess(cmd *exec.Cmd, logPath string) (*Process, error) {
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", cmd.Path, err)
	}
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	bindToParent(cmd)
	p := &Process{cmd: cmd, done: make(chan struct{}), log: logPath}
	started := make(chan error, 1)
	go func() {
		// The thread must live as long as the child: see bindToParent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the process ended, nil for a clean exit. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Running tells whether the process has not ended yet. A paused process is running.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the process at once (SIGKILL), paused or not, and waits until it has ended.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.cmd.Path, err)
	}
	<-p.done
	return nil
}

// Stop asks the process to end (SIGTERM) and waits until it has; when ctx ends first, it is killed, and that is an
// error.
func (p *Process) Stop(ctx context.Context) error {
	if err := signalStop(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s did not stop: %w", p.cmd.Path, ctx.Err()), p.Kill())
	}
}

// Pause freezes the process (SIGSTOP): its connections stay open and nobody answers on them.
func (p *Process) Pause() error {
	if err := signalPause(p.cmd.Process); err != nil {
		return fmt.Errorf("pause %s: %w", p.cmd.Path, err)
	}
	return nil
}

// Continue thaws a paused process (SIGCONT).
func (p *Process) Continue() error {
	if err := signalContinue(p.cmd.Process); err != nil {
		return fmt.Errorf("continue %s: %w", p.cmd.Path, err)
	}
	return nil
}

// Dump makes a Go process write what each of its goroutines waits for, and end (SIGQUIT); when ctx ends first, it is
// killed, and that is an error.
func (p *Process) Dump(ctx context.Context) error {
	if err := signalDump(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ask %s for its goroutines: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s does not write its goroutines: %w", p.cmd.Path, ctx.Err()), p.Kill())
	}
}

// LogTail returns the last n bytes of the process's output.
func (p *Process) LogTail(n int) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(lastBytes(b, n))
}

// Until calls cond every interval until it returns true, or returns its error, or ctx ends. It is how everything
// here waits: for a condition, not for a time.
func Until(ctx context.Context, interval time.Duration, cond func() (bool, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		ok, err := cond()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// CPU returns the processor time that the ended process used, in user and system mode. It waits for the end.
func (p *Process) CPU() time.Duration {
	<-p.done
	if p.cmd.ProcessState == nil {
		return 0
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}
