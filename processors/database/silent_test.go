package database

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// A database that takes the login and says nothing is refused after a while, whatever is done with it.
func TestSilentDatabase(t *testing.T) {
	w, err := NewWorker(Config{CallerTimeout: 200 * time.Millisecond}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	w.vaults = vaultdb.New(nil, "x")
	target := &vaultdb.Target{Address: "postgres://" + pgtest.Falter(t, "").Address + "/x?sslmode=disable", Schema: "s", User: "u"}
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
