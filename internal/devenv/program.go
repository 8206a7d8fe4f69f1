package devenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/native"
)

// This file runs the application as a program of its own, for a debugger: `fairlead dev --native`.

// The program's life.
const (
	// connectTime is how long a program may take until it calls native.Main.
	connectTime = 30 * time.Second
	// A program that ends by itself is started again after a wait, which grows while it lives shorter than calmTime.
	firstAgain = 100 * time.Millisecond
	lastAgain  = 5 * time.Second
	calmTime   = 10 * time.Second
	// outputTail is how much of its output is kept to tell why it ended.
	outputTail = 16 << 10
	nativeDir  = "native"
)

// nativeVariable is what the SDK reads; see package native there.
const nativeVariable = "FAIRLEAD_NATIVE"

// program keeps an application's program running. One goroutine owns the child.
type program struct {
	host *native.Host
	log  *slog.Logger
	// output gets what the program prints.
	output io.Writer
	swaps  chan swap
	// runs gets the process id of each child, the newest only.
	runs chan int
	stop context.CancelFunc
	work sync.WaitGroup
}

// swap asks for another binary.
type swap struct {
	binary string
	done   chan error
}

// startProgram begins without a binary; see [program.use].
func startProgram(host *native.Host, log *slog.Logger, output io.Writer) *program {
	ctx, stop := context.WithCancel(context.Background())
	if output == nil {
		output = io.Discard
	}
	p := &program{host: host, log: log, output: output, swaps: make(chan swap), runs: make(chan int, 1), stop: stop}
	p.work.Go(func() { p.serve(ctx) })
	return p
}

// use ends the program that runs, starts this one, and returns when it has called native.Main. Binaries of before are
// removed.
func (p *program) use(ctx context.Context, binary string) error {
	s := swap{binary, make(chan error, 1)}
	select {
	case p.swaps <- s:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := <-s.done; err != nil { // bounded by connectTime
		return err
	}
	others, err := filepath.Glob(filepath.Join(filepath.Dir(binary), "*"))
	if err != nil {
		return fmt.Errorf("look for programs of before: %w", err)
	}
	for _, o := range others {
		if o != binary {
			if err := os.Remove(o); err != nil {
				p.log.Debug("a program of before stays", "file", o, "error", err) // it may be looked at by a debugger
			}
		}
	}
	return nil
}

// close ends the program.
func (p *program) close() {
	p.stop()
	p.work.Wait()
}

func (p *program) serve(ctx context.Context) {
	var c *child
	var binary string
	var again <-chan time.Time
	wait := firstAgain
	for {
		var ended <-chan struct{}
		if c != nil {
			ended = c.ended
		}
		select {
		case <-ctx.Done():
			c.kill()
			return
		case s := <-p.swaps:
			c.kill()
			binary, wait, again = s.binary, firstAgain, nil
			var err error
			c, err = p.begin(ctx, binary)
			s.done <- err
		case <-ended:
			if p.note(c) {
				wait = firstAgain
			}
			c, again = nil, time.After(wait)
			wait = min(2*wait, lastAgain)
		case <-again:
			again = nil
			if _, here := p.host.Arrived(); here { // one that the developer started, in an IDE
				again = time.After(wait)
				continue
			}
			var err error
			if c, err = p.begin(ctx, binary); err != nil && ctx.Err() == nil {
				p.log.Warn("the application's program cannot be started again", "error", err)
				again = time.After(wait)
				wait = min(2*wait, lastAgain)
			}
		}
	}
}

// note tells everybody that a program ended by itself, and returns whether it lived for a while.
func (p *program) note(c *child) (calm bool) {
	calm = time.Since(c.began) >= calmTime
	if _, here := p.host.Arrived(); here && c.failed == nil {
		p.log.Info("another program has taken the place of the application's", "process", c.cmd.Process.Pid)
		return calm
	}
	reason := c.reason()
	p.host.Ended(reason)
	p.log.Warn("the application's program ended by itself; it is started again, and flows go on where they were", "process", c.cmd.Process.Pid, "reason", reason)
	return calm
}

// begin starts a child and waits until it has called native.Main.
func (p *program) begin(ctx context.Context, binary string) (*child, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	before, _ := p.host.Arrived()
	c := &child{began: time.Now(), ended: make(chan struct{}), tail: &tail{to: p.output, log: p.log}}
	c.cmd = exec.Command(binary)
	c.cmd.Env = append(os.Environ(), nativeVariable+"="+p.host.Address())
	c.cmd.Stdout, c.cmd.Stderr = c.tail, c.tail
	c.cmd.SysProcAttr = ownGroup()
	c.cmd.WaitDelay = time.Second // for children of its own that keep its output open
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the application's program: %w", err)
	}
	p.work.Go(func() {
		c.failed = c.cmd.Wait()
		close(c.ended)
	})
	arrived := make(chan error, 1)
	p.work.Go(func() { arrived <- p.host.WaitArrival(ctx, before) })
	select {
	case err := <-arrived:
		if err == nil {
			p.tell(c.cmd.Process.Pid)
			return c, nil
		}
		c.kill()
		return nil, fmt.Errorf("the application's program did not connect: does its main function call native.Main of package sdk/native? %w", err)
	case <-c.ended:
		return nil, fmt.Errorf("the application's program ended before it connected (%s): its main function must be `func main() { native.Main() }`, with package github.com/fairleadio/fairlead/sdk/native", c.reason())
	}
}

// tell passes on which process runs; an older one that nobody took is of no interest any more.
func (p *program) tell(pid int) {
	select {
	case <-p.runs:
	default:
	}
	p.runs <- pid
}

// child is one process of the program.
type child struct {
	cmd   *exec.Cmd
	began time.Time
	tail  *tail
	// ended is closed when the process is gone; failed is set before.
	ended  chan struct{}
	failed error
}

// kill ends the process at once: in a debugger it would not heed a request. Of no child it does nothing.
func (c *child) kill() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it has ended already, or does now
	<-c.ended
}

// panicLine begins what the runtime prints of a panic or a fatal error.
var panicLine = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: )`)

// reason says why the process ended: the panic, if there is one, and the exit.
func (c *child) reason() string {
	exit := "exit status 0"
	if c.failed != nil {
		exit = c.failed.Error()
	}
	text := c.tail.text()
	if at := panicLine.FindStringIndex(text); at != nil {
		lines := strings.SplitN(text[at[0]:], "\n", panicLines+1)
		return strings.TrimSpace(strings.Join(lines[:min(len(lines), panicLines)], "\n")) + "\n" + exit
	}
	return exit
}

// panicLines is how much of a panic is told: what it is and where.
const panicLines = 12

// tail passes output on, to the log line by line, and keeps its end.
type tail struct {
	to  io.Writer
	log *slog.Logger

	mu   sync.Mutex
	last []byte
	line []byte
}

// Write is io.Writer's.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if over := len(t.last) - outputTail; over > 0 {
		// The beginning of a panic says more than the end of its stacks.
		if at := panicLine.FindIndex(t.last); at == nil || at[0] >= over {
			t.last = t.last[over:]
		} else {
			t.last = t.last[at[0]:min(len(t.last), at[0]+outputTail)]
		}
	}
	t.line = append(t.line, b...)
	for {
		line, rest, ok := bytes.Cut(t.line, []byte("\n"))
		if !ok {
			break
		}
		t.log.Info(string(line), "source", "program")
		t.line = append([]byte(nil), rest...)
	}
	_, _ = t.to.Write(b) // a screen that is gone is no reason to stop
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

// native builds the application as a program in a folder, unless it is there already.
func (b builder) native(ctx context.Context, folder, dir, digest string) (string, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return "", fmt.Errorf("FL-DEV-002: making the folder of native programs: %w", err)
	}
	out := filepath.Join(dir, filepath.Base(folder)+"-"+digest[:12])
	if runtime.GOOS == "windows" {
		out += ".exe"
	}
	if _, err := os.Stat(out); err == nil {
		return out, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("FL-DEV-002: looking for the native program: %w", err)
	}
	return out, b.appbuild().Native(ctx, folder, out)
}
