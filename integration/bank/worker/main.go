// Command worker is one process of the bank's group; the integration test builds it, and kills it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/integration/bank"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	brokers := flag.String("brokers", "", "bootstrap addresses, comma separated")
	prefix := flag.String("prefix", "", "prefix of topics and groups")
	instance := flag.String("instance", "", "stable name of this replica")
	dir := flag.String("dir", "", "directory of local storage")
	sessions := flag.Int("sessions", 2, "members of the group in this process")
	session := flag.Duration("session-timeout", 6*time.Second, "after how long the group goes on without a silent member")
	transaction := flag.Duration("transaction-timeout", 10*time.Second, "after how long the transaction of a silent member is aborted")
	batch := flag.Int("batch", 256, "input records of a transaction at most")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	db, err := engine.OpenPebble(*dir)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := db.Close(); err == nil {
			err = cerr
		}
	}()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("instance", *instance, "pid", os.Getpid())
	e, err := engine.New(engine.Config{
		Brokers: strings.Split(*brokers, ","), Prefix: *prefix, InstanceID: *instance, Sessions: *sessions, DB: db,
		LeaveOnStop: true, Log: log, Build: "integration", MaxBatch: *batch,
		SessionTimeout: *session, TransactionTimeout: *transaction, HeartbeatInterval: *session / 10,
		RebalanceTimeout: 3 * *session, FetchMaxWait: 500 * time.Millisecond,
	}, bank.Graph(func() { os.Exit(bank.ExitCode) }))
	if err != nil {
		return err
	}
	log.Info("started")
	err = e.Run(ctx)
	log.Info("stopped", "error", err)
	return err
}
