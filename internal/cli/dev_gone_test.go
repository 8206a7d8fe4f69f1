package cli_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/internal/devenv"
)

// After a development cluster ended without a word, commands say so, and how to start it again.
func TestDevThatIsGone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	data := filepath.Join(t.TempDir(), "my data")
	c, err := devenv.Start(ctx, devenv.Options{
		Dir: data, RestAddress: "127.0.0.1:0", Workers: devenv.Bare(), Build: "test",
		Warnings: slog.DiscardHandler, Arguments: []string{"--data", data, "--workers", "flow,flow-mapper,rest"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Announce(); err != nil {
		t.Fatal(err)
	}
	i := c.Info()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := cli.PutContext(file, "dev", cli.Settings{API: i.API, User: i.User, PasswordFile: i.PasswordFile, CAFile: i.CAFile, Brokers: i.Brokers, Profile: "dev"}, true); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		t.Helper()
		var out, errs bytes.Buffer
		env := map[string]string{"FAIRLEAD_CONFIG": file}
		code := cli.Run(ctx, cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs, Env: func(n string) string { return env[n] }}, args)
		return code, errs.String()
	}
	if code, text := run("flow", "list", "Alice"); code != cli.ExitDone {
		t.Errorf("while it runs: %d %s", code, text)
	}
	// A kill leaves dev.json, which a proper end removes.
	left, err := os.ReadFile(filepath.Join(data, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"flow", "list", "Alice"}, {"topics", "plan", "--timeout", "2s"}} {
		_, text := run(args...)
		if !strings.Contains(text, "does not run any more") || !strings.Contains(text, "dev --data '"+data+"'") || strings.Contains(text, "--workers") {
			t.Errorf("%v after a stop: %s", args, text)
		}
	}
	if err := os.WriteFile(filepath.Join(data, "dev.json"), left, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text := run("flow", "list", "Alice"); code != cli.ExitError || !strings.Contains(text, "does not run any more") || !strings.Contains(text, "--workers flow,flow-mapper,rest") {
		t.Errorf("after a kill: %d %s", code, text)
	}
	if _, text := run("--api", i.API, "flow", "list", "Alice"); strings.Contains(text, "does not run any more") {
		t.Errorf("another cluster: %s", text)
	}
	if err := devenv.Reset(data); err != nil {
		t.Fatal(err)
	}
	if _, text := run("flow", "list", "Alice"); !strings.Contains(text, "discarded") {
		t.Errorf("after a reset: %s", text)
	}
}
