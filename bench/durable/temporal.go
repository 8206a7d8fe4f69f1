package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
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

// temporalSystem starts Temporal's development server on a file of SQLite, and a worker, and calls one of the workflows.
func temporalSystem(name string, sync bool) func(context.Context, bench, *system) error {
	return func(ctx context.Context, b bench, s *system) error {
		free, err := freeAddresses(1)
		if err != nil {
			return err
		}
		_, port, err := net.SplitHostPort(free[0])
		if err != nil {
			return fmt.Errorf("find a port: %w", err)
		}
		level := "normal"
		if sync {
			level = "full"
		}
		cmd := exec.Command(b.temporal, "-port", port, "-db-filename", filepath.Join(s.dir, "temporal.db"), "-sqlite-pragma", "journal_mode=wal", "-sqlite-pragma", "synchronous="+level)
		cmd.Dir = s.dir
		if _, err := s.start("temporal", cmd); err != nil {
			return err
		}
		var c client.Client
		err = s.until(ctx, "Temporal", func(ctx context.Context) bool {
			if !listening(ctx, free[0]) {
				return false
			}
			c, err = dialTemporal(ctx, free[0])
			return err == nil
		})
		if err != nil {
			return err
		}
		s.ends = append(s.ends, func() error { c.Close(); return nil })
		if _, err := s.start("worker", exec.Command(b.self, child{kind: childTemporal, address: free[0]}.args()...)); err != nil {
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

// dialTemporal connects when the server and its namespace are there.
func dialTemporal(ctx context.Context, address string) (client.Client, error) {
	quiet := log.NewStructuredLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	c, err := client.DialContext(ctx, client.Options{HostPort: address, Logger: quiet})
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal: %w", err)
	}
	if _, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: client.DefaultNamespace}); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to Temporal: %w", err)
	}
	return c, nil
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
