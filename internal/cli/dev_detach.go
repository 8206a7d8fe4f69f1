package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/devenv"
)

// How a cluster in the background is looked for.
const (
	detachLook = 20 * time.Millisecond
	logTail    = 4 << 10
)

// devDetached starts this program again in the background and waits until the cluster is ready.
func (g *Globals) devDetached(cmd *cobra.Command, f devFlags) error {
	ctx, cancel := g.WaitContext(cmd) // a first start fetches and builds, and whatever cannot be had ends it
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	args := append([]string{"dev"}, g.devArguments(f)...)
	env := os.Environ()
	if _, password := devenv.RedactPostgres(f.postgres); password != "" {
		env = append(env, envPGPassword+"="+password)
	}
	began := g.now()
	info, err := startDetached(ctx, self, args, env, f.data, func(line string) {
		if line != devStops {
			fmt.Fprintln(g.Out, line)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(g.Out, "the cluster runs in the background as process %d, ready after %s; %s dev stop%s ends it\n", info.PID, g.now().Sub(began).Round(10*time.Millisecond), program(), g.dataFlag(f.data))
	return nil
}

// startDetached starts a cluster in a process of its own and returns when it is ready. said gets each line that it prints,
// at once: whoever waits sees what for.
func startDetached(ctx context.Context, self string, args, env []string, data string, said func(line string)) (devenv.Info, error) {
	output, err := os.CreateTemp("", "fairlead-dev-*.out")
	if err != nil {
		return devenv.Info{}, fmt.Errorf("make a file for the output: %w", err)
	}
	defer func() { _ = os.Remove(output.Name()) }() // a leftover in the temporary directory harms nobody
	child := exec.Command(self, args...)
	child.Env, child.Stdout, child.Stderr, child.SysProcAttr = env, output, output, detached()
	if err := child.Start(); err != nil {
		return devenv.Info{}, errors.Join(fmt.Errorf("start %s: %w", self, err), output.Close())
	}
	if err := output.Close(); err != nil {
		return devenv.Info{}, fmt.Errorf("hand over the output: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = child.Wait() // what it printed says more than its exit code
	}()
	read := 0
	// follow says the lines that have come since it was called last, and returns the end of what was printed.
	follow := func() (string, error) {
		b, err := os.ReadFile(output.Name())
		if err != nil {
			return "", fmt.Errorf("read the cluster's output: %w", err)
		}
		for {
			line, _, whole := bytes.Cut(b[read:], []byte{'\n'})
			if !whole {
				return strings.TrimSpace(string(b[max(0, len(b)-logTail):])), nil
			}
			read += len(line) + 1
			said(string(line))
		}
	}
	tick := time.NewTicker(detachLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			// The file about the cluster is read first: when it is there, all has been printed.
			info, err := devenv.ReadInfo(data)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return info, errors.Join(err, child.Process.Kill())
			}
			ready := err == nil && info.PID == child.Process.Pid
			if _, err := follow(); err != nil {
				return info, err
			}
			if ready {
				return info, nil
			}
		case <-ended:
			text, err := follow()
			if err != nil {
				return devenv.Info{}, fmt.Errorf("the cluster ended: %w", err)
			}
			return devenv.Info{}, fmt.Errorf("the cluster did not start:\n%s", text)
		case <-ctx.Done():
			text, err := follow()
			return devenv.Info{}, errors.Join(fmt.Errorf("the cluster was not ready in time (%w); it printed so far:\n%s", ctx.Err(), text), err, child.Process.Kill())
		}
	}
}
