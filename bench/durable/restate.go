package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/ingress"
	"github.com/restatedev/sdk-go/server"
)

// restateService and restateHandler are how the workflow is called.
const (
	restateService = "Durable"
	restateHandler = "Steps"
)

// restateSystem starts Restate's server with its defaults, but for the sync where that is not wanted, and a worker. Calls
// carry an idempotency key, so that a call that is repeated starts nothing twice, as with the others' ids.
func restateSystem(sync bool) func(context.Context, bench, *system) error {
	return func(ctx context.Context, b bench, s *system) error {
		free, err := freeAddresses(4)
		if err != nil {
			return err
		}
		node, admin, entry, worker := free[0], free[1], free[2], free[3]
		cmd := exec.Command(b.restate, "--no-logo", "--base-dir", filepath.Join(s.dir, "data"))
		cmd.Dir = s.dir
		cmd.Env = append(os.Environ(), "RESTATE_LISTEN_MODE=tcp", "RESTATE_BIND_ADDRESS="+node, "RESTATE_ADVERTISED_ADDRESS=http://"+node, "RESTATE_NODE_NAME=bench",
			"RESTATE_ADMIN__BIND_ADDRESS="+admin, "RESTATE_ADMIN__DISABLE_WEB_UI=true", "RESTATE_INGRESS__BIND_ADDRESS="+entry,
			"RESTATE_DISABLE_TELEMETRY=true", "RESTATE_LOG_FILTER=warn", "RESTATE_LOG_DISABLE_ANSI_CODES=true",
			fmt.Sprintf("RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC=%v", !sync))
		if _, err := s.start("restate-server", cmd); err != nil {
			return err
		}
		if _, err := s.start("worker", exec.Command(b.self, child{kind: childRestate, address: worker}.args()...)); err != nil {
			return err
		}
		err = s.until(ctx, "Restate", func(ctx context.Context) bool {
			return answers(ctx, "http://"+admin+"/health") && answers(ctx, "http://"+entry+"/restate/health") && listening(ctx, worker)
		})
		if err != nil {
			return err
		}
		if err := registerRestate(ctx, admin, worker); err != nil {
			return err
		}
		transport := keepAlive()
		s.ends = append(s.ends, func() error { transport.CloseIdleConnections(); return nil })
		client := ingress.NewClient("http://"+entry, ingress.WithHttpClient(&http.Client{Transport: transport}))
		service := ingress.Service[int, int](client, restateService, restateHandler)
		s.call = func(ctx context.Context, id string) error {
			got, err := service.Request(ctx, steps, restate.WithIdempotencyKey(id))
			if err != nil {
				return fmt.Errorf("call Restate: %w", err)
			}
			return check(id, got)
		}
		return nil
	}
}

// registerRestate tells the server where the worker is.
func registerRestate(ctx context.Context, admin, worker string) error {
	body, err := json.Marshal(map[string]string{"uri": "http://" + worker})
	if err != nil {
		return fmt.Errorf("encode the registration: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/deployments", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the registration: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("register the worker: %s: %s", resp.Status, said)
	}
	return nil
}

// answers tells whether a GET succeeds.
func answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// restateWorker serves the workflow until ctx ends.
func restateWorker(ctx context.Context, address string) error {
	handler := func(ctx restate.Context, n int) (int, error) {
		sum := 0
		for range n {
			one, err := restate.Run(ctx, func(restate.RunContext) (int, error) { return 1, nil }, restate.WithName("step"))
			if err != nil {
				return 0, err
			}
			sum += one
		}
		return sum, nil
	}
	service := restate.NewService(restateService).Handler(restateHandler, restate.NewServiceHandler(handler))
	log := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})
	return server.NewRestate().WithLogger(log, true).Bind(service).Start(ctx, address)
}
