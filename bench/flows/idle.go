package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/devenv"
)

// idle is what a `fairlead dev` takes in which nothing happens.
type idle struct {
	Seconds float64 `json:"seconds"`
	// RSSMiB is resident memory at the end, PeakMiB the most it ever was.
	RSSMiB  float64 `json:"rssMiB"`
	PeakMiB float64 `json:"peakMiB"`
	// CPUPercent is processor time as a share of one core.
	CPUPercent float64 `json:"cpuPercentOfOneCore"`
}

// warmFlows are started before the cluster is left alone.
const warmFlows = 20

func (b bench) idle(ctx context.Context) (out idle, err error) {
	dir := filepath.Join(b.dir, "idle")
	env := append(os.Environ(), "FAIRLEAD_CONFIG="+filepath.Join(b.dir, "config.yaml"))
	cmd := exec.Command(b.binary, "dev", "--data", dir, "--app", filepath.Join(b.root, "apps", "hello"), "--rest-address", "127.0.0.1:0")
	cmd.Env = env
	p, err := kafkatest.StartProcess(cmd, filepath.Join(b.dir, "dev.out"))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, p.Kill()) }()
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err = kafkatest.Until(limit, 50*time.Millisecond, func() (bool, error) {
		_, err := devenv.ReadInfo(dir)
		if !p.Running() {
			return false, fmt.Errorf("fairlead dev ended:\n%s", p.LogTail(4<<10))
		}
		return err == nil, nil
	})
	if err != nil {
		return out, err
	}
	for n := range warmFlows {
		start := exec.CommandContext(limit, b.binary, "--context", "dev", "flow", "start", "Alice", "hello", `{"name":"World"}`, "--wait", "--id", fmt.Sprintf("warm-%d", n))
		start.Env = env
		if said, err := start.CombinedOutput(); err != nil {
			return out, fmt.Errorf("warm up: %w\n%s", err, said)
		}
	}
	measure.Pause(ctx, b.options.idle/6) // what the last flow left to do
	before, err := measure.CPU(cmd.Process.Pid)
	if err != nil {
		return out, err
	}
	began := time.Now()
	measure.Pause(ctx, b.options.idle)
	after, err := measure.CPU(cmd.Process.Pid)
	if err != nil {
		return out, err
	}
	out.Seconds = time.Since(began).Seconds()
	out.CPUPercent = 100 * (after - before).Seconds() / out.Seconds
	out.RSSMiB, out.PeakMiB, err = memory(cmd.Process.Pid)
	fmt.Printf("idle fairlead dev, over %.0f s: %.0f MiB resident (at most %.0f), %.2f %% of one core\n", out.Seconds, out.RSSMiB, out.PeakMiB, out.CPUPercent)
	return out, err
}

// memory is the resident memory of a process and the most it was, in MiB.
func memory(pid int) (now, peak float64, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, 0, fmt.Errorf("read a process's memory, which needs Linux: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			now = kib / 1024
		case name == "VmHWM":
			peak = kib / 1024
		}
	}
	return now, peak, nil
}
