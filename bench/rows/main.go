// Command rows measures what rows cost: requests of one row each, one after the other and side by side, against rows that
// travel together, on a private Postgres with the sandbox's bounds. It prints ratios of one run.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	"github.com/fairleadio/fairlead/processors/persistence"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench rows:", err)
		os.Exit(1)
	}
}

const (
	vnode    = "00000000BE0C"
	flow     = "00000000-0000-4000-8000-000000000000"
	duration = 5 * time.Second
	together = 500
)

// bench is one virtual node with two tables that differ in whether their changes are told.
type bench struct {
	vault  *persistence.Vault
	schema *rows.Schema
	mu     sync.Mutex
	id     int
}

func run() (err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bench-rows")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	server, err := pgserver.Start(ctx, pgserver.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() {
		if serr := server.Stop(ctx); err == nil {
			err = serr
		}
	}()
	b, done, err := prepare(ctx, server.URL("postgres"))
	if err != nil {
		return err
	}
	defer done()
	base := 0.0
	for _, c := range []struct {
		name, table string
		clients, n  int
	}{
		{"one row a request, one client", "plain", 1, 1}, {"one row a request, four clients", "plain", 4, 1},
		{"one row a request, four clients, with feed", "fed", 4, 1},
		{"500 rows a request, one client", "plain", 1, together}, {"500 rows a request, one client, with feed", "fed", 1, together},
	} {
		rate, err := b.measure(ctx, c.table, c.clients, c.n)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if base == 0 {
			base = rate
		}
		fmt.Printf("%-44s %9.0f rows/s  %6.1f x\n", c.name, rate, rate/base)
	}
	return nil
}

func prepare(ctx context.Context, url string) (*bench, func(), error) {
	columns := []*cpiv1.ColumnDeclaration{{Name: "id", Type: "bigint"}, {Name: "owner", Type: "text"}, {Name: "balance", Type: "numeric"}}
	schema, err := rows.Compile([]*cpiv1.TableDeclaration{
		{Name: "plain", Columns: columns, PrimaryKey: []string{"id"}}, {Name: "fed", Columns: columns, PrimaryKey: []string{"id"}, Feed: true},
	}, nil)
	if err != nil {
		return nil, nil, err
	}
	admin, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return nil, nil, err
	}
	v := vaultdb.New(admin, "bench-x")
	ddl, dml, names := rand.Text(), rand.Text(), v.Names(vnode)
	if err := v.Harden(ctx); err != nil {
		return nil, nil, err
	}
	if err := v.Provide(ctx, vnode, "bench", ddl, dml); err != nil {
		return nil, nil, err
	}
	if _, err := v.Platform(ctx, vnode); err != nil {
		return nil, nil, err
	}
	owner, err := v.Connect(ctx, vaultdb.Target{Schema: names.Schema, User: names.DDL, Password: ddl})
	if err != nil {
		return nil, nil, err
	}
	defer owner.Close()
	if err := vaultdb.Prepare(ctx, owner, names.Schema, names.DML); err != nil {
		return nil, nil, err
	}
	for _, t := range []string{"plain", "fed"} {
		if _, err := owner.Exec(ctx, "CREATE TABLE "+t+" (id bigint PRIMARY KEY, owner text, balance numeric)"); err != nil {
			return nil, nil, err
		}
	}
	if err := vaultdb.Feed(ctx, owner, names.Schema, schema); err != nil {
		return nil, nil, err
	}
	login := vnodes.Login{URL: url, User: names.DML, Password: dml, Schema: names.Schema}
	pool := vnodes.NewPool(vnodes.Config{Login: func(context.Context, string) (vnodes.Login, error) { return login, nil }})
	return &bench{vault: persistence.NewVault(pool), schema: schema}, func() { pool.Close(); admin.Close() }, nil
}

// measure persists rows for a while and returns how many a second.
func (b *bench) measure(ctx context.Context, table string, clients, n int) (float64, error) {
	began, total := time.Now(), 0
	var failed error
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for time.Since(began) < duration {
				err := b.persist(ctx, table, n)
				b.mu.Lock()
				total += n
				if err != nil {
					failed = err
				}
				stop := failed != nil
				b.mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	running.Wait()
	return float64(total) / time.Since(began).Seconds(), failed
}

func (b *bench) persist(ctx context.Context, table string, n int) error {
	b.mu.Lock()
	first := b.id
	b.id += n
	b.mu.Unlock()
	op := &appv1.PersistRows{Table: table}
	for i := range n {
		op.Rows = append(op.Rows, fmt.Appendf(nil, `{"id":%d,"owner":"somebody","balance":"12.50"}`, first+i))
	}
	effects := persistence.Step(persistence.State{Vnode: &vnodev1.VirtualNode{}, Schema: b.schema, Replies: []string{topics.FlowRepliesPersistence}},
		persistence.Asked{Meta: persistence.Meta{Key: flow, RequestID: fmt.Sprint(first)}, Request: &persistencev1.Request{
			Vnode: vnode, FlowId: flow, Operation: &persistencev1.Request_Persist{Persist: op},
		}})
	plan, ok := effects[0].(persistence.Run)
	if !ok {
		return fmt.Errorf("the step asks for %T", effects[0])
	}
	r := b.vault.Do(ctx, plan.Plan)
	if r.Err != nil {
		return r.Err
	}
	if e := r.Reply.GetError(); e != nil {
		return fmt.Errorf("%s", e.GetMessage())
	}
	return nil
}
