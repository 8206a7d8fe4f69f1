package cli

import (
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
	ctx, cancel := g.Context(cmd)
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
	var said strings.Builder
	info, err := startDetached(ctx, self, args, env, f.data, &said)
	if err != nil {
		return err
	}
	fmt.Fprint(g.Out, strings.TrimSuffix(said.String(), devStops+"\n"))
	fmt.Fprintf(g.Out, "the cluster runs in the background as process %d, ready after %s; %s dev stop%s ends it\n", info.PID, g.now().Sub(began).Round(10*time.Millisecond), program(), g.dataFlag(f.data))
	return nil
}

// startDetached starts a cluster in a process of its own and returns when it is ready. said gets what it printed.
func startDetached(ctx context.Context, self string, args, env []string, data string, said *strings.Builder) (devenv.Info, error) {
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
	tick := time.NewTicker(detachLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			info, err := devenv.ReadInfo(data)
			if err == nil && info.PID == child.Process.Pid {
				b, err := os.ReadFile(output.Name())
				if err != nil {
					return info, fmt.Errorf("read the output: %w", err)
				}
				said.Write(b)
				return info, nil
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return info, errors.Join(err, child.Process.Kill())
			}
		case <-ended:
			b, err := os.ReadFile(output.Name())
			if err != nil {
				return devenv.Info{}, fmt.Errorf("the cluster ended, and its output cannot be read: %w", err)
			}
			text := strings.TrimSpace(string(b[max(0, len(b)-logTail):]))
			return devenv.Info{}, fmt.Errorf("the cluster did not start:\n%s", text)
		case <-ctx.Done():
			return devenv.Info{}, errors.Join(ctx.Err(), child.Process.Kill())
		}
	}
}
