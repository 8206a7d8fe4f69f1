package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/devenv"
)

// This file has the smaller story, of a machine without Postgres or Vault: flows, and no ledger.

// smaller are its chapters.
func (d *demo) smaller() ([]chapter, error) {
	from, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the current folder: %w", err)
	}
	hello := devenv.FindHello(from)
	if hello == "" {
		return nil, errors.New("apps/hello is not there: run the demo in a copy of fairlead's repository")
	}
	d.cluster, d.traced, d.others = []string{"--app", hello}, "countdown", []string{"--workers", strings.Join(d.workers, ",")}
	start := `flow start Alice hello '{"name":"World"}' --wait`
	d.next = []string{start, start, "trace survivor"}
	return []chapter{
		{"Start", d.start}, {"Flows over HTTPS", d.flows}, {"Wrong requests are refused", d.wrong}, {"An operator steers", d.steer},
		{"The process is killed in the middle of a flow", d.crash}, {"The way of one flow", d.trace},
	}, nil
}

func (d *demo) flows(ctx context.Context) error {
	for _, f := range []struct{ id, class, argument string }{
		{"greeting", "hello", `{"name":"World"}`},
		{"hundred-steps", "steps", `{"n":100}`},
	} {
		if err := d.begin(ctx, alice, f.id, f.class, f.argument); err != nil {
			return err
		}
		if _, err := d.end(ctx, alice, f.id, "COMPLETED"); err != nil {
			return err
		}
	}
	return nil
}

// refusedWith makes a call that must fail with a status.
func (d *demo) refusedWith(ctx context.Context, want int, what, id, class string, argument any) error {
	_, _, err := d.api.do(ctx, "POST", cordaAPI+"/flow/"+d.member(alice).ShortHash, map[string]any{"clientRequestId": id, "flowClassName": class, "requestBody": argument})
	var e *restError
	if !errors.As(err, &e) || e.status != want {
		return fmt.Errorf("%s should be refused with %d, but: %w", what, want, err)
	}
	d.step("%s → %d %s", what, want, shorten(e.Error(), 100))
	return nil
}

func (d *demo) wrong(ctx context.Context) error {
	if err := d.refusedWith(ctx, 400, "an unknown flow class", "nonsense", "no-such-flow", 1); err != nil {
		return err
	}
	if err := d.refusedWith(ctx, 409, "the same client request id again", "greeting", "hello", map[string]string{"name": "again"}); err != nil {
		return err
	}
	if err := d.wrongPassword(ctx, "hello"); err != nil {
		return err
	}
	if err := d.begin(ctx, alice, "bad-input", "hello", `{"name":""}`); err != nil {
		return err
	}
	_, err := d.end(ctx, alice, "bad-input", "FAILED")
	return err
}

// wrongPassword makes a call that nobody may make.
func (d *demo) wrongPassword(ctx context.Context, class string) error {
	right := d.api.password
	d.api.password = "wrong"
	defer func() { d.api.password = right }()
	return d.refusedWith(ctx, 401, "a wrong password", "nonsense", class, 1)
}

// command sends a command and waits until the status shows it.
func (d *demo) command(ctx context.Context, id, word string, done func(flowStatus) bool) error {
	path := flowPath(ownAPI, d.member(alice).ShortHash, id)
	if _, _, err := d.api.do(ctx, "POST", path+"/"+word, map[string]string{"reason": "the demo"}); err != nil {
		return err
	}
	tick := time.NewTicker(detachLook)
	defer tick.Stop()
	for {
		var s flowStatus
		if _, err := d.api.get(ctx, path, &s); err != nil {
			return err
		}
		if done(s) {
			waits := ""
			if s.WaitingFor != "" && !s.ended() {
				waits = ", waits for: " + s.WaitingFor
			}
			d.step("%s %s → %s%s", word, id, d.g.paintStatus(s.FlowStatus), waits)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s of %s: %w", word, id, ctx.Err())
		}
	}
}

func (d *demo) steer(ctx context.Context) error {
	if err := d.begin(ctx, alice, "countdown", "countdown", `{"n":3,"seconds":0.3}`); err != nil {
		return err
	}
	paused := func(s flowStatus) bool { return strings.Contains(s.WaitingFor, "pause") }
	if err := d.command(ctx, "countdown", "pause", paused); err != nil {
		return err
	}
	if err := d.command(ctx, "countdown", "resume", func(s flowStatus) bool { return !paused(s) }); err != nil {
		return err
	}
	if _, err := d.end(ctx, alice, "countdown", "COMPLETED"); err != nil {
		return err
	}
	if err := d.begin(ctx, alice, "hopeless", "countdown", `{"n":1000,"seconds":3600}`); err != nil {
		return err
	}
	return d.command(ctx, "hopeless", "kill", func(s flowStatus) bool { return s.FlowStatus == "KILLED" })
}

func (d *demo) crash(ctx context.Context) error {
	if err := d.begin(ctx, alice, "survivor", "countdown", `{"n":4,"seconds":1}`); err != nil {
		return err
	}
	if err := d.killProcess(ctx); err != nil {
		return err
	}
	_, err := d.end(ctx, alice, "survivor", "COMPLETED") // it slept four times; the sleep that was cut short was not begun again
	return err
}

// killProcess ends the cluster's process without a warning, and starts another.
func (d *demo) killProcess(ctx context.Context) error {
	process, err := os.FindProcess(d.info.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", d.info.PID, err)
	}
	if err := process.Kill(); err != nil {
		return fmt.Errorf("kill process %d: %w", d.info.PID, err)
	}
	if err := waitFree(ctx, d.data()); err != nil {
		return err
	}
	d.step("SIGKILL to process %d: Kafka, workers, REST, everything is gone", d.info.PID)
	if err := d.launch(ctx); err != nil {
		return err
	}
	d.step("a new process %d is ready", d.info.PID)
	return nil
}
