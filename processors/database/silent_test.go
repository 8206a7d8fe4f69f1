package database

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// silent is a server that takes every login and then says nothing.
func silent(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sessions sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		sessions.Wait()
	})
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer func() { _ = c.Close() }()
				b := pgproto3.NewBackend(c, c)
				m, err := b.ReceiveStartupMessage()
				if _, cancels := m.(*pgproto3.CancelRequest); cancels || err != nil {
					return
				}
				b.Send(&pgproto3.AuthenticationOk{})
				b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
				b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				if b.Flush() != nil {
					return
				}
				for {
					m, err := b.Receive()
					if _, ends := m.(*pgproto3.Terminate); ends || err != nil {
						return
					}
				}
			})
		}
	})
	return "postgres://" + l.Addr().String() + "/x?sslmode=disable"
}

// A database that takes the login and says nothing is refused after a while, whatever is done with it.
func TestSilentDatabase(t *testing.T) {
	w, err := NewWorker(Config{CallerTimeout: 200 * time.Millisecond}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	w.vaults = vaultdb.New(nil, "x")
	target := &vaultdb.Target{Address: silent(t), Schema: "s", User: "u"}
	ask := func(ctx context.Context, p *postgres.Pool) error { return p.Ping(ctx) }
	for what, f := range map[string]func() error{
		"look":    func() error { return w.with(t.Context(), target, ask) },
		"migrate": func() error { return w.within(t.Context(), time.Hour, target, ask) },
		"transaction": func() error {
			return w.with(t.Context(), target, func(ctx context.Context, p *postgres.Pool) error {
				return p.InTx(ctx, postgres.TxOptions{}, func(context.Context, *postgres.Tx) error { return nil })
			})
		},
	} {
		var r *refusal
		if err := f(); !errors.As(err, &r) || r.err.GetId() != ErrConnections || !strings.Contains(err.Error(), "did not answer within 200ms") {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.Close()
}
