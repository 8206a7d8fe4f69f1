package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// dockerHost is the variable by which the Docker client and testcontainers-go find the daemon.
const dockerHost = "DOCKER_HOST"

// errNoDaemon tells that there is no Docker daemon and none can be started.
var errNoDaemon = errors.New("no Docker daemon answers, and none can be started: install docker.io and run as root, or set DOCKER_HOST")

// daemon makes sure that a Docker daemon answers, for the time of the test, and sets what testcontainers-go needs. It
// returns what was found, for people.
func daemon(t *testing.T) (string, error) {
	t.Helper()
	t.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true") // its image would have to be fetched; t.Cleanup ends what is started
	t.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
	if host := os.Getenv(dockerHost); host != "" {
		return "the daemon at " + host, nil
	}
	if answers("/var/run/docker.sock") {
		return "the machine's daemon", nil
	}
	binary, err := exec.LookPath("dockerd")
	if err != nil || os.Geteuid() != 0 || runtime.GOOS != "linux" {
		return "", errNoDaemon
	}
	// A socket's path must be short.
	dir, err := os.MkdirTemp("", "docker")
	if err != nil {
		return "", fmt.Errorf("make a directory for the daemon: %w", err)
	}
	socket := filepath.Join(dir, "d.sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", fmt.Errorf("make the daemon's log: %w", err)
	}
	cmd := exec.Command(binary, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "-H", "unix://"+socket, "-p", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return "", errors.Join(fmt.Errorf("start the daemon: %w", err), log.Close(), os.RemoveAll(dir))
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		stopDaemon(t, cmd, ended)
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		// The daemon leaves a network namespace mounted.
		_ = exec.Command("umount", filepath.Join(dir, "exec", "netns", "default")).Run()
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("remove the daemon's data: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !answers(socket) {
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log.Name())
			return "", fmt.Errorf("the daemon ended at once: %w: %s", errors.Join(errNoDaemon, err), text)
		case <-ctx.Done():
			return "", fmt.Errorf("the daemon does not answer: %w", ctx.Err())
		case <-tick.C:
		}
	}
	t.Setenv(dockerHost, "unix://"+socket)
	return "a daemon of the test's own", nil
}

func answers(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func stopDaemon(t *testing.T, cmd *exec.Cmd, ended chan error) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Log("the daemon ended:", err)
	case <-time.After(30 * time.Second):
		t.Error("the daemon did not stop")
		_ = cmd.Process.Kill() // it may be gone by now
		t.Log("the daemon ended:", <-ended)
	}
}
