package flowtest_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/signature"
)

// The flows that the tests of the network run.

type account struct {
	ID      int64        `json:"id"`
	Owner   string       `json:"owner"`
	Balance flow.Decimal `json:"balance"`
	Seen    *time.Time   `json:"seen,omitempty"`
}

const (
	accounts = flow.Table[account]("accounts")
	byOwner  = flow.Query[account]("by-owner")
)

// task is the argument of the flows below: what they do is in What.
type task struct {
	To   []string `json:"to"`
	What string   `json:"what"`
	N    int      `json:"n"`
}

func registerFlows() {
	flow.Register("talk", talk)
	flow.Responder("echo", echo, flow.Versions(2, 1))
	flow.Responder("broken", func(*flow.Context, *flow.Session) error { return flow.Errorf("no-funds", "nothing left") })
	flow.Responder("late", func(ctx *flow.Context, s *flow.Session) error {
		return errors.Join(ctx.Sleep(time.Hour), s.Send("late"))
	})
	flow.Responder("later", func(ctx *flow.Context, _ *flow.Session) error {
		return errors.Join(ctx.Sleep(time.Minute), flow.Errorf("no-funds", "nothing left"))
	})
	flow.Responder("deaf", func(ctx *flow.Context, s *flow.Session) error { return errors.Join(s.Send("bye"), s.Close()) })
	flow.Register("rows", rows)
	flow.Register("sign", sign)
	flow.Register("notarise", notarise)
	flow.Register("ledger", func(ctx *flow.Context, name string) (any, error) { return ledgerTests[name](ctx) })
	flow.Register("lookup", func(ctx *flow.Context, in task) (any, error) {
		all, err := ctx.Members()
		if err != nil {
			return nil, err
		}
		one, err := ctx.Member(in.To[0])
		if err != nil {
			return nil, err
		}
		same, err := ctx.MemberByKey(one.LedgerKeys[0])
		return []any{len(all), one.X500Name, same.X500Name}, err
	})
	flow.Register("emit", func(ctx *flow.Context, in task) (any, error) {
		if err := ctx.EmitJSON("payments", "k", in, flow.Header{Name: "a", Value: "b"}, flow.Header{Name: "fl-x"}); err != nil {
			return nil, err
		}
		return nil, ctx.Emit("absent", nil, nil)
	})
	flow.Register("together", func(ctx *flow.Context, in task) (any, error) {
		s, err := ctx.OpenSession(in.To[0], "echo")
		if err != nil {
			return nil, err
		}
		keys, answer := flow.KeysCall("LEDGER"), flow.ReceiveCall[string](s)
		err = flow.All(ctx, flow.Timer(time.Second), answer, flow.SendCall(s, "hi"), keys, accounts.PersistCall(account{ID: 1, Owner: "x"}))
		return []any{answer.Value(), len(keys.Value())}, err
	})
	flow.Register("different", func(ctx *flow.Context, _ task) (any, error) {
		different++
		return nil, ctx.Sleep(time.Duration(different) * time.Second)
	})
	flow.Register("different-end", func(*flow.Context, task) (any, error) {
		different++
		return different, nil
	})
}

// different is what flows must not use.
var different int

// echo answers what it gets until the other side closes.
func echo(ctx *flow.Context, s *flow.Session) error {
	info, err := s.Info()
	if err != nil {
		return err
	}
	if greeting, ok := ctx.Property("greeting"); ok {
		if err := s.Send(fmt.Sprintf("%s v%d %s", greeting, info.Version, info.Properties["greeting"])); err != nil {
			return err
		}
	}
	for {
		message, err := s.ReceiveBytes()
		if errors.Is(err, flow.ErrSessionClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.SendBytes(message); err != nil && !errors.Is(err, flow.ErrSessionClosed) {
			return err
		}
	}
}

func talk(ctx *flow.Context, in task) (any, error) {
	protocol, what, _ := strings.Cut(in.What, " ")
	switch what {
	case "properties":
		if err := ctx.SetProperty("greeting", "hello"); err != nil {
			return nil, err
		}
		if err := ctx.SetProperty("corda.x", "y"); !errors.Is(err, flow.ErrInvalidArgument) {
			return nil, fmt.Errorf("a property of the platform was set: %w", err)
		}
		if err := ctx.SetProperty("greeting", "other"); !errors.Is(err, flow.ErrInvalidArgument) {
			return nil, fmt.Errorf("a property was changed: %w", err)
		}
	case "nobody":
		_, err := ctx.OpenSession("Bob", protocol)
		return nil, err
	}
	var options []flow.SessionOption
	if protocol == "echo" {
		options = append(options, flow.ProtocolVersions(3, 2), flow.SessionTimeout(10*time.Minute))
	}
	s, err := ctx.OpenSession(in.To[0], protocol, options...)
	if err != nil {
		return nil, err
	}
	switch what {
	case "properties":
		info, err := s.Info()
		if err != nil {
			return nil, err
		}
		first, err := flow.Receive[string](s)
		return []any{first, info.Version, s.Counterparty(), s.Protocol()}, err
	case "large":
		big := []byte(strings.Repeat("x", in.N))
		answer, err := s.SendAndReceiveBytes(big)
		return len(answer), errors.Join(err, s.Close(), s.Close())
	case "all":
		var sessions []*flow.Session
		for range in.N {
			s, err := ctx.OpenSession(in.To[0], protocol)
			if err != nil {
				return nil, err
			}
			sessions = append(sessions, s)
		}
		if err := flow.SendAll(ctx, in, sessions...); err != nil {
			return nil, err
		}
		answers, err := flow.ReceiveAll[task](ctx, sessions...)
		return len(answers), err
	case "misfit":
		if err := s.Send(map[string]int{"other": 1}); err != nil {
			return nil, err
		}
		return flow.Receive[task](s)
	case "closed":
		if err := s.Close(); err != nil {
			return nil, err
		}
		_, err := flow.Receive[string](s)
		return nil, err
	case "twice":
		first, err := flow.SendAndReceive[string](s, "x")
		if err != nil {
			return nil, err
		}
		_, err = flow.Receive[string](s)
		return first, err
	case "tolerate":
		s.TolerateFailure()
		s.TolerateFailure() // again changes nothing
		return nil, s.Send("x")
	case "leave": // its end closes
		return nil, s.Send("x")
	}
	return flow.SendAndReceive[any](s, "x")
}

func rows(ctx *flow.Context, in task) (any, error) {
	at := ctx.Now()
	switch in.What {
	case "exists":
		if err := accounts.Persist(ctx, account{ID: 1}); err != nil {
			return nil, err
		}
		return nil, accounts.Persist(ctx, account{ID: 2, Owner: "y"}, account{ID: 1})
	case "undeclared":
		return nil, flow.Table[account]("absent").Persist(ctx, account{})
	case "column":
		return nil, flow.Table[map[string]any]("accounts").Persist(ctx, map[string]any{"id": 1, "colour": "red"})
	case "null":
		return nil, flow.Table[map[string]any]("accounts").Persist(ctx, map[string]any{"id": 1})
	case "key":
		return nil, accounts.Remove(ctx, flow.RowKey{"owner": "x"})
	case "type":
		return nil, flow.Table[map[string]any]("accounts").Persist(ctx, map[string]any{"id": "one"})
	case "absent":
		return accounts.Find(ctx, flow.RowKey{"id": 9})
	case "query":
		return byOwner.List(ctx, map[string]string{"owner": "x"}, flow.PageSize(2), flow.Offset(1))
	}
	if err := accounts.PersistOnce(ctx, "first", account{ID: 3, Owner: "x", Balance: "12.50"}, account{ID: 9223372036854775807, Owner: "y", Balance: "0.1"}); err != nil {
		return nil, err
	}
	if err := accounts.PersistOnce(ctx, "first", account{ID: 3, Owner: "again"}); err != nil {
		return nil, err
	}
	type seen struct {
		ID   int64     `json:"id"`
		Seen time.Time `json:"seen"`
	}
	if _, err := flow.Table[seen]("accounts").Merge(ctx, seen{3, at}); err != nil {
		return nil, err
	}
	merged, err := accounts.Merge(ctx, account{ID: 4, Owner: "z", Balance: "-1"})
	if err != nil || len(merged) != 1 || merged[0].Owner != "z" {
		return nil, fmt.Errorf("merge: %v, %w", merged, err)
	}
	found, err := accounts.FindMany(ctx, flow.RowKey{"id": 3}, account{ID: 5})
	if err != nil || len(found) != 2 || found[1] != nil || !found[0].Seen.Equal(at) || found[0].Balance != "12.50" {
		return nil, fmt.Errorf("find: %v, %w", found, err)
	}
	if err := accounts.Remove(ctx, flow.RowKey{"id": 4}, flow.RowKey{"id": 77}); err != nil {
		return nil, err
	}
	var ids []int64
	for row, err := range accounts.FindAll(ctx) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, row.ID)
	}
	page, err := accounts.FindPage(ctx, 1, nil)
	if err != nil {
		return nil, err
	}
	next, err := accounts.FindPage(ctx, 1, page.Next)
	return []any{ids, len(page.Rows), next.Rows[0].ID, len(next.Next)}, err
}

func sign(ctx *flow.Context, in task) (any, error) {
	keys, err := ctx.Keys("LEDGER")
	if err != nil {
		return nil, err
	}
	s, err := ctx.Sign([]byte("data"), keys[0].PublicKey)
	if err != nil {
		return nil, err
	}
	me, err := ctx.Member(ctx.Identity().X500Name)
	if err != nil {
		return nil, err
	}
	mine, err := ctx.MyKeys(keys[0].PublicKey, []byte("other"))
	if err != nil || len(mine) != 1 || mine[0].ID != signature.KeyID(keys[0].PublicKey) {
		return nil, fmt.Errorf("my keys: %v, %w", mine, err)
	}
	if err := signature.Verify([]byte("data"), s, me); err != nil {
		return nil, err
	}
	if in.What == "other" {
		_, err = ctx.Sign([]byte("data"), []byte("other"))
	}
	return s.KeyID, err
}
