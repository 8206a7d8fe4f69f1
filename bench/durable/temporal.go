package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
)

// The workflows, by name.
const (
	activities      = "activities"
	localActivities = "local-activities"
)

const (
	temporalQueue = "durable"
	temporalStep  = "step"
	// pollers of each kind a worker has; the default of two is made for many workers.
	pollers = 16
)

// temporalSystem starts Temporal's server with all its services in one process, on Postgres, and a worker, and calls one of
// the workflows.
func temporalSystem(name string, keep keeping) func(context.Context, bench, *system) error {
	return func(ctx context.Context, b bench, s *system) error {
		db, err := s.postgres(ctx, keep)
		if err != nil {
			return err
		}
		if err := temporalDatabases(ctx, s.dir, b.temporal, db); err != nil {
			return fmt.Errorf("make Temporal's databases: %w", err)
		}
		front, err := s.temporal(b.temporal, db)
		if err != nil {
			return err
		}
		var c client.Client
		err = s.until(ctx, "Temporal", func(ctx context.Context) bool {
			if !listening(ctx, front) {
				return false
			}
			c, err = dialTemporal(ctx, front)
			return err == nil
		})
		if err != nil {
			return err
		}
		s.ends = append(s.ends, func() error { c.Close(); return nil })
		if _, err := s.start("worker", exec.Command(b.self, child{kind: childTemporal, address: front}.args()...)); err != nil {
			return err
		}
		s.call = func(ctx context.Context, id string) error {
			r, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: temporalQueue}, name, steps)
			if err != nil {
				return fmt.Errorf("start a workflow of Temporal: %w", err)
			}
			got := 0
			if err := r.Get(ctx, &got); err != nil {
				return fmt.Errorf("wait for a workflow of Temporal: %w", err)
			}
			return check(id, got)
		}
		return nil
	}
}

// Temporal's databases, and its name for the driver.
const (
	temporalStore      = "temporal"
	temporalVisibility = "temporal_visibility"
	temporalPlugin     = "postgres12_pgx"
)

// historyShards is what Temporal advises for a small installation in production. Each is read at most 20 times a second: with
// the four of its examples, or the one of its development server, a single caller waits for that.
const historyShards = 512

// temporal starts the server, on its front end's address. What is not in its settings is left at its default; connections to
// the database are as many as in its own example.
func (s *system) temporal(programs string, db *pgserver.Server) (front string, err error) {
	free, err := freeAddresses(9)
	if err != nil {
		return "", err
	}
	ports := make([]string, len(free))
	for i, a := range free {
		if _, ports[i], err = net.SplitHostPort(a); err != nil {
			return "", fmt.Errorf("find a port: %w", err)
		}
	}
	store := func(name string, most int) string {
		return fmt.Sprintf(`{sql: {pluginName: %s, databaseName: %s, connectAddr: "127.0.0.1:%d", connectProtocol: tcp, user: %s, password: %q, maxConns: %d, maxIdleConns: %d, maxConnLifetime: 1h}}`,
			temporalPlugin, name, db.Port(), pgserver.User, db.Password(), most, most)
	}
	service := func(at int) string {
		return fmt.Sprintf("{rpc: {grpcPort: %s, membershipPort: %s, bindOnLocalHost: true}}", ports[at], ports[at+1])
	}
	settings := fmt.Sprintf(`log: {stdout: true, level: warn}
persistence:
  defaultStore: store
  visibilityStore: visibility
  numHistoryShards: %d
  datastores:
    store: %s
    visibility: %s
global: {membership: {maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}}
services:
  frontend: {rpc: {grpcPort: %s, membershipPort: %s, httpPort: %s, bindOnLocalHost: true}}
  history: %s
  matching: %s
  worker: %s
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation: {active: {enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: %q}}
dcRedirectionPolicy: {policy: noop}
`, historyShards, store(temporalStore, 20), store(temporalVisibility, 10), ports[0], ports[1], ports[2], service(3), service(5), service(7), free[0])
	file := filepath.Join(s.dir, "temporal.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return "", fmt.Errorf("write Temporal's settings: %w", err)
	}
	_, err = s.start("temporal", exec.Command(filepath.Join(programs, temporalServer), "--config-file", file, "--allow-no-auth", "start"))
	return free[0], err
}

// dialTemporal connects when the server and its namespace are there.
func dialTemporal(ctx context.Context, address string) (client.Client, error) {
	quiet := log.NewStructuredLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	c, err := client.DialContext(ctx, client.Options{HostPort: address, Logger: quiet})
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal: %w", err)
	}
	if err := namespace(ctx, c); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to Temporal: %w", err)
	}
	return c, nil
}

// namespace makes the namespace where it is missing. It succeeds when the server's parts know it, which takes them seconds.
func namespace(ctx context.Context, c client.Client) error {
	_, err := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: client.DefaultNamespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if exists := (*serviceerror.NamespaceAlreadyExists)(nil); err != nil && !errors.As(err, &exists) {
		return err
	}
	_, err = c.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace: client.DefaultNamespace, TaskQueue: &taskqueue.TaskQueue{Name: temporalQueue}, TaskQueueType: enums.TASK_QUEUE_TYPE_WORKFLOW,
	})
	return err
}

// stepTime bounds one step.
const stepTime = 10 * time.Second

// temporalWorker runs both workflows until ctx ends.
func temporalWorker(ctx context.Context, address string) error {
	c, err := dialTemporal(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	w := worker.New(c, temporalQueue, worker.Options{MaxConcurrentWorkflowTaskPollers: pollers, MaxConcurrentActivityTaskPollers: pollers})
	step := func(context.Context) (int, error) { return 1, nil }
	w.RegisterActivityWithOptions(step, activity.RegisterOptions{Name: temporalStep})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, n int) (int, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: stepTime})
		return sum(n, func(one *int) error { return workflow.ExecuteActivity(ctx, temporalStep).Get(ctx, one) })
	}, workflow.RegisterOptions{Name: activities})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context, n int) (int, error) {
		ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: stepTime})
		return sum(n, func(one *int) error { return workflow.ExecuteLocalActivity(ctx, step).Get(ctx, one) })
	}, workflow.RegisterOptions{Name: localActivities})
	stop := make(chan any)
	go func() {
		<-ctx.Done()
		close(stop)
	}()
	if err := w.Run(stop); err != nil {
		return fmt.Errorf("run the worker: %w", err)
	}
	return nil
}

// sum makes n steps and adds up their results.
func sum(n int, step func(*int) error) (int, error) {
	total := 0
	for range n {
		one := 0
		if err := step(&one); err != nil {
			return 0, err
		}
		total += one
	}
	return total, nil
}
