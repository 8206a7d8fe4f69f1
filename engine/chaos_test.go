package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// plug is a process's network: pulling it is as good as killing the process, for Kafka.
type plug struct {
	mu     sync.Mutex
	pulled bool
	conns  []net.Conn
}

func (p *plug) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pulled {
		return nil, errors.Join(errors.New("unplugged"), c.Close())
	}
	p.conns = append(p.conns, c)
	return c, nil
}

func (p *plug) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pulled = true
	for _, c := range p.conns {
		_ = c.Close() // the peer sees what it would see of a killed process
	}
}

// transfers moves amounts: a debit here, a credit through the loop; the table keeps balances, the store every id.
func transfers() *engine.Graph {
	book := func(ctx engine.Context, id string, amount int) {
		balance := 0
		if v, ok := ctx.Value().(string); ok {
			balance, _ = strconv.Atoi(v)
		}
		ctx.SetValue(strconv.Itoa(balance + amount))
		ctx.Store("ids").Set([]byte(id), []byte(strconv.Itoa(amount)))
		ctx.Emit("booked", ctx.Key(), id)
	}
	return engine.Define("bank",
		engine.Input("transfers", text, engine.Typed(func(ctx engine.Context, msg string) error {
			var id, to string
			var amount int
			if _, err := fmt.Sscanf(msg, "%s %s %d", &id, &to, &amount); err != nil {
				return engine.Poison("transfer %q: %w", msg, err)
			}
			book(ctx, id+"-debit", -amount)
			ctx.Loopback(to, fmt.Sprintf("%s %d", id, amount))
			return nil
		})),
		engine.Loop(text, engine.Typed(func(ctx engine.Context, msg string) error {
			var id string
			var amount int
			if _, err := fmt.Sscanf(msg, "%s %d", &id, &amount); err != nil {
				return engine.Poison("credit %q: %w", msg, err)
			}
			book(ctx, id+"-credit", amount)
			return nil
		})),
		engine.Store("ids"), goka.Persist(text), goka.Output("booked", text))
}

// TestEachTransferHasOneEffect stops, unplugs and restarts three instances at random while transfers keep coming.
func TestEachTransferHasOneEffect(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	c := enginetest.NewCluster(t)
	c.Prefix = "chaos-"
	c.CreateTopics(t, 4, transfers())
	type instance struct {
		e    *enginetest.Engine
		plug *plug
		db   engine.DB
	}
	boot := func(n int, db engine.DB) *instance {
		p := &plug{}
		cfg := c.Config(t)
		if db == nil {
			db = cfg.DB
		}
		cfg.DB = db
		cfg.Sessions = 2
		cfg.InstanceID = strconv.Itoa(n)
		cfg.TransactionTimeout, cfg.EndTimeout = 2*time.Second, 2*time.Second
		cfg.Outside.Dial = p.dial
		return &instance{enginetest.Launch(t, cfg, transfers()), p, db}
	}
	insts := make([]*instance, 3)
	for i := range insts {
		insts[i] = boot(i, nil)
	}
	const accounts, total = 20, 600
	want := map[string]int{}
	for i := range total {
		from, to, amount := "a"+strconv.Itoa(rng.IntN(accounts)), "a"+strconv.Itoa(rng.IntN(accounts)), 1+rng.IntN(9)
		want[from] -= amount
		want[to] += amount
		c.Produce(t, "transfers", from, fmt.Sprintf("t%d %s %d", i, to, amount), text)
		if i%60 == 59 {
			n := rng.IntN(len(insts))
			in := insts[n]
			db := in.db
			switch rng.IntN(3) {
			case 0: // a clean stop
				if err := in.e.Stop(); err != nil {
					t.Fatalf("stop: %v", err)
				}
			case 1: // killed
				in.plug.pull()
				_ = in.e.Stop() // what a killed process says, nobody hears
			case 2: // killed, and its disk is lost
				in.plug.pull()
				_ = in.e.Stop()
				db = nil
			}
			insts[n] = boot(n, db)
		}
	}
	booked := c.ConsumeUntil(t, "booked", func(r []*kgoRecord) bool { return len(r) >= 2*total })
	c.Drained(t, transfers())
	seen := map[string]int{}
	for _, r := range c.Consume(t, "booked", len(booked)) {
		seen[string(r.Value)]++
	}
	for i := range total {
		for _, side := range []string{"debit", "credit"} {
			if n := seen[fmt.Sprintf("t%d-%s", i, side)]; n != 1 {
				t.Errorf("%s of transfer %d was booked %d times", side, i, n)
			}
		}
	}
	table := c.Fold(t, "bank-table")
	for a, sum := range want {
		if got, _ := strconv.Atoi(string(table[a])); got != sum {
			t.Errorf("account %s holds %d, want %d", a, got, sum)
		}
	}
	if ids := c.Fold(t, "bank-store-ids"); len(ids) != 2*total {
		t.Errorf("store holds %d rows, want %d", len(ids), 2*total)
	}
}

func (p *plug) isPulled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pulled
}
