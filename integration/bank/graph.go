package bank

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
)

// errNotYet is what a flaky transfer fails with.
var errNotYet = errors.New("not yet")

// Graph is the bank as a processor group. exit ends the process; it is how the poison [Exits] works.
func Graph(exit func()) *engine.Graph {
	b := teller{exit: exit}
	return engine.Define(Group,
		engine.Input(Transfers, JSON[Transfer]{}, engine.Typed(b.transfer)),
		engine.Loop(JSON[credit]{}, engine.Typed(b.arrive)),
		engine.Store(History),
		goka.Persist(JSON[Account]{}),
		goka.Output(Entries, JSON[Entry]{}),
		goka.Output(Audits, JSON[Answer]{}),
	)
}

type teller struct{ exit func() }

func (b teller) transfer(ctx engine.Context, t *Transfer) error {
	switch t.Kind {
	case Audit:
		return audit(ctx, t)
	case Flaky:
		if now := ctx.Now().UnixMicro(); now < t.NotBeforeUs {
			ctx.Emit(Entries, t.From, &Entry{ID: t.ID, Side: "never", Account: t.From}) // must be dropped
			return engine.Retry(time.Duration(t.NotBeforeUs-now)*time.Microsecond/2+time.Millisecond, errNotYet)
		}
	case Exits:
		b.exit()
	case Plain, Delayed, Panics, Refused, Huge, Garbage:
	}
	book(ctx, t.From, t.ID, Debit, -t.Amount)
	switch t.Kind {
	case Panics:
		panic("poison " + t.ID)
	case Refused:
		return engine.Poison("poison %s", t.ID)
	case Huge:
		ctx.Emit(Entries, t.From, &Entry{ID: t.ID, Side: strings.Repeat("x", engine.MaxRecordBytes), Account: t.From})
	case Delayed:
		ctx.SetTimer(t.ID, ctx.Now().Add(50*time.Millisecond), &credit{ID: t.ID, To: t.To, Amount: t.Amount})
		return nil
	case Plain, Flaky, Audit, Garbage, Exits:
	}
	ctx.Loopback(t.To, &credit{ID: t.ID, To: t.To, Amount: t.Amount, Released: true})
	return nil
}

func (b teller) arrive(ctx engine.Context, c *credit) error {
	if !c.Released { // a timer fired under the sender's key
		released := *c
		released.Released = true
		ctx.Loopback(c.To, &released)
		return nil
	}
	book(ctx, c.To, c.ID, Credit, c.Amount)
	return nil
}

// book writes one entry: table, store, output.
func book(ctx engine.Context, account, id, side string, delta int64) {
	row := Account{}
	if v, ok := ctx.Value().(*Account); ok {
		row = *v
	}
	row.Balance += delta
	row.Seq++
	ctx.SetValue(&row)
	e := &Entry{ID: id, Side: side, Account: account, Delta: delta, Balance: row.Balance, Seq: row.Seq}
	raw, err := json.Marshal(e)
	if err != nil {
		ctx.Fail(fmt.Errorf("encode entry: %w", err))
	}
	ctx.Store(History).Set([]byte(historyKey(account, id, side)), raw)
	ctx.Emit(Entries, account, e)
}

func audit(ctx engine.Context, t *Transfer) error {
	a := &Answer{ID: t.ID, Account: t.From}
	if v, ok := ctx.Value().(*Account); ok {
		a.Known, a.Row = true, *v
	}
	for _, raw := range ctx.Store(History).Scan([]byte(t.From + "/")) {
		e := &Entry{}
		if err := json.Unmarshal(raw, e); err != nil {
			return engine.Poison("store row of %s: %w", t.From, err)
		}
		a.Entries++
		a.Sum += e.Delta
	}
	ctx.Emit(Audits, t.From, a)
	return nil
}
