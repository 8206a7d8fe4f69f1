package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/integration/notary/rules"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/processors/uniqueness"
)

// sqlLoad is one kind of transactions in Postgres, in numbers.
type sqlLoad struct {
	Inputs int `json:"inputs"`
	// Clients ask at once; Together is how many transactions are asked for in one statement and one commit.
	Clients  int `json:"clients"`
	Together int `json:"together"`
	// Lazy commits do not wait for the disk.
	Lazy      bool    `json:"lazy,omitempty"`
	PerSecond float64 `json:"transactionsPerSecond"`
	// Server is processor time of the server for each transaction, microseconds.
	Server float64 `json:"serverMicros"`
	// Millis is how long a statement and its commit took.
	Millis measure.Percentiles `json:"latencyMs"`
}

func (l sqlLoad) title() string {
	s := fmt.Sprintf("Postgres, %d inputs, %d clients, %d in a commit", l.Inputs, l.Clients, l.Together)
	if l.Lazy {
		s += ", not waiting for the disk"
	}
	return s
}

// Bounds of a batch in SQL: transactions and states.
const (
	batchTransactions = 500
	batchStates       = 20_000
	manyClients       = 8
)

func sqlLoads() (out []sqlLoad) {
	for _, k := range []int{1, 2, 10, 100, 1000} {
		out = append(out, sqlLoad{Inputs: k, Clients: 1, Together: max(1, min(batchTransactions, batchStates/k))})
		out = append(out, sqlLoad{Inputs: k, Clients: manyClients, Together: 1})
		if k == 2 {
			out = append(out, sqlLoad{Inputs: k, Clients: manyClients, Together: 1, Lazy: true})
		}
	}
	return out
}

// sqlTime is how long each load in Postgres lasts.
const sqlTime = 3 * time.Second

// inPostgres measures the rules in SQL.
func inPostgres(ctx context.Context, o options, dir string, all *results) (err error) {
	server, err := pgserver.Start(ctx, pgserver.Options{Dir: dir, Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	for n, l := range sqlLoads() {
		if !o.loads.MatchString(l.title()) {
			continue
		}
		name := fmt.Sprintf("notary_%d", n)
		if err := server.Ensure(ctx, name); err != nil {
			return err
		}
		lasts := max(time.Second/2, time.Duration(float64(sqlTime)*min(1, o.scale)))
		if err := errors.Join(makeRules(ctx, server.URL(name), name), l.run(ctx, server.URL(name), lasts)); err != nil {
			if ctx.Err() != nil {
				return err
			}
			all.note(l.title(), err)
			continue
		}
		fmt.Printf("%-72s %9.0f tx/s   server %7.1f µs of processor per transaction\n", l.title(), l.PerSecond, l.Server)
		all.SQL = append(all.SQL, l)
	}
	return nil
}

// makeRules makes the tables and functions in a database of its own. States are looked up by their keys alone: the planner
// cannot know how many an array has, and would sooner or later read whole tables for some thousand rows. Nor shall it plan anew
// for each transaction, as it does for few inputs, because it takes an array that it has not seen for a longer one.
func makeRules(ctx context.Context, url, name string) error {
	db, err := postgres.Open(ctx, postgres.Config{URL: url, MaxConns: 1})
	if err != nil {
		return err
	}
	defer db.Close()
	statements := rules.Statements()
	for _, setting := range []string{"enable_seqscan = off", "enable_hashjoin = off", "enable_mergejoin = off", "plan_cache_mode = force_generic_plan"} {
		statements = append(statements, "ALTER DATABASE "+postgres.Identifier(name)+" SET "+setting)
	}
	for _, statement := range statements {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// run measures one load.
func (l *sqlLoad) run(ctx context.Context, url string, lasts time.Duration) error {
	db, err := postgres.Open(ctx, postgres.Config{URL: url, MaxConns: l.Clients})
	if err != nil {
		return err
	}
	defer db.Close()
	c := chains(1, l.Inputs)[0]
	for n := 0; n < c.issuances(); n += batchTransactions {
		if err := askTogether(ctx, db, c, n, min(n+batchTransactions, c.issuances())); err != nil {
			return fmt.Errorf("issue: %w", err)
		}
	}
	// Some that consume, or the planner would learn that nothing is ever spent.
	first := c.issuances() + max(5, min(batchTransactions, 5000/l.Inputs))
	if err := askTogether(ctx, db, c, c.issuances(), first); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	// As autovacuum would have done by now.
	if _, err := db.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return fmt.Errorf("collect statistics: %w", err)
	}
	before, err := serverTime()
	if err != nil {
		return err
	}
	var next atomic.Int64
	next.Store(int64(first))
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	var took []time.Duration
	for range l.Clients {
		wg.Go(func() {
			mine, err := l.client(ctx, db, c, &next, began.Add(lasts))
			mu.Lock()
			defer mu.Unlock()
			took, errs = append(took, mine...), append(errs, err)
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	after, err := serverTime()
	if err != nil {
		return err
	}
	n := int(next.Load()) - first
	l.PerSecond, l.Server, l.Millis = float64(n)/elapsed.Seconds(), micros(before, after, n), measure.PercentilesOf(took)
	return nil
}

// client asks until it is time to stop.
func (l *sqlLoad) client(ctx context.Context, db *postgres.Pool, c chain, next *atomic.Int64, until time.Time) (took []time.Duration, err error) {
	conn, err := db.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	if l.Lazy {
		if _, err := conn.Exec(ctx, "SET synchronous_commit = off"); err != nil {
			return nil, err
		}
	}
	for time.Now().Before(until) {
		n := int(next.Add(int64(l.Together))) - l.Together
		began := time.Now()
		if l.Together == 1 {
			err = askOne(ctx, conn, c, n)
		} else {
			err = askTogether(ctx, conn, c, n, n+l.Together)
		}
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// asker runs a statement that returns one row.
type asker interface {
	One(ctx context.Context, dest []any, sql string, args ...any) error
}

func askOne(ctx context.Context, db asker, c chain, n int) error {
	var got string
	if err := db.One(ctx, []any{&got}, rules.Ask, rules.Arguments(c.request(n), time.Now().UnixNano())...); err != nil {
		return err
	}
	return accepted(n, got)
}

func askTogether(ctx context.Context, db asker, c chain, from, to int) error {
	requests := make([]uniqueness.Request, 0, to-from)
	for n := from; n < to; n++ {
		requests = append(requests, c.request(n))
	}
	asks, err := rules.Batch(requests)
	if err != nil {
		return err
	}
	var got []string
	if err := db.One(ctx, []any{&got}, rules.AskMany, asks, int64(forever), time.Now().UnixNano()); err != nil {
		return err
	}
	if len(got) != len(requests) {
		return fmt.Errorf("%d transactions have %d answers", len(requests), len(got))
	}
	for i, answer := range got {
		if err := accepted(from+i, answer); err != nil {
			return err
		}
	}
	return nil
}

func accepted(n int, answer string) error {
	if !strings.HasPrefix(answer, "accepted at ") {
		return fmt.Errorf("transaction %d is answered %.200q, where nothing speaks against it", n, answer)
	}
	return nil
}

// serverTime is the processor time of the servers that this process has started.
func serverTime() (time.Duration, error) {
	all, err := measure.Snapshot()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, p := range all.Children(os.Getpid()) {
		if p.Name != "java" {
			sum += all.Tree(p.PID)
		}
	}
	return sum, nil
}
