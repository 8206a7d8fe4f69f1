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
	"strings"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/ingress"
	"github.com/restatedev/sdk-go/server"
)

// restateService and restateHandler are how the workflow is called.
const (
	restateService = "Durable"
	restateHandler = "Steps"
)

// restateSystem starts nodes of Restate's server with its defaults, but for the sync where that is not wanted, and a worker.
// With three nodes each result is on two of them. Calls go to the first node and carry an idempotency key, so that a call
// that is repeated starts nothing twice, as with the others' ids.
func restateSystem(nodes int, sync bool) func(context.Context, bench, *system) error {
	return func(ctx context.Context, b bench, s *system) error {
		free, err := freeAddresses(1 + 3*nodes)
		if err != nil {
			return err
		}
		worker := free[0]
		all := make([]restateNode, nodes)
		var peers []string
		for i := range all {
			at := free[1+3*i:]
			all[i] = restateNode{name: fmt.Sprintf("restate-%d", i+1), fabric: at[0], admin: at[1], ingress: at[2]}
			peers = append(peers, fmt.Sprintf("%q", "http://"+at[0]))
		}
		replicas := min(nodes, 2)
		for i, n := range all {
			cmd := exec.Command(b.restate, "--no-logo", "--base-dir", filepath.Join(s.dir, n.name))
			cmd.Dir = s.dir
			cmd.Env = append(os.Environ(), "RESTATE_LISTEN_MODE=tcp", "RESTATE_BIND_ADDRESS="+n.fabric, "RESTATE_ADVERTISED_ADDRESS=http://"+n.fabric, "RESTATE_NODE_NAME="+n.name,
				"RESTATE_CLUSTER_NAME=bench", fmt.Sprintf("RESTATE_AUTO_PROVISION=%v", i == 0), fmt.Sprintf("RESTATE_DEFAULT_REPLICATION=%d", replicas),
				"RESTATE_METADATA_CLIENT__ADDRESSES=["+strings.Join(peers, ",")+"]",
				"RESTATE_ADMIN__BIND_ADDRESS="+n.admin, "RESTATE_ADMIN__DISABLE_WEB_UI=true", "RESTATE_INGRESS__BIND_ADDRESS="+n.ingress,
				"RESTATE_DISABLE_TELEMETRY=true", "RESTATE_LOG_FILTER=warn", "RESTATE_LOG_DISABLE_ANSI_CODES=true",
				fmt.Sprintf("RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC=%v", !sync))
			if _, err := s.start(n.name, cmd); err != nil {
				return err
			}
		}
		if _, err := s.start("worker", exec.Command(b.self, child{kind: childRestate, address: worker}.args()...)); err != nil {
			return err
		}
		err = s.until(ctx, "Restate", func(ctx context.Context) bool {
			for _, n := range all {
				if !answers(ctx, "http://"+n.admin+"/health") || !answers(ctx, "http://"+n.ingress+"/restate/health") {
					return false
				}
			}
			return listening(ctx, worker)
		})
		if err != nil {
			return err
		}
		first := all[0]
		if err := registerRestate(ctx, first.admin, worker); err != nil {
			return err
		}
		transport := keepAlive()
		s.ends = append(s.ends, func() error { transport.CloseIdleConnections(); return nil })
		client := ingress.NewClient("http://"+first.ingress, ingress.WithHttpClient(&http.Client{Transport: transport}))
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

// restateNode is one node and its addresses: for the other nodes, for its administration, for calls.
type restateNode struct{ name, fabric, admin, ingress string }

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
