package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// TxOptions say how a transaction runs. The zero value is read committed, writing, with the pool's time-outs.
type TxOptions struct {
	ReadOnly bool
	// Serializable makes the transaction run as if alone; it may then fail with class Retry more often.
	Serializable bool
	// Timeout bounds the whole transaction, from here; zero leaves it to the context.
	Timeout time.Duration
	// StatementTimeout and LockTimeout take the place of the pool's for this transaction.
	StatementTimeout, LockTimeout time.Duration
	// Retries is how often a transaction that the server broke off because of others (class Retry) is run again from
	// its start. Default 3; negative for none.
	Retries int
}

// Tx is a transaction.
type Tx struct{ tx pgx.Tx }

// InTx runs f in a transaction and commits when f returns nil. f may run several times and must do nothing outside of
// the transaction. When the commit's answer is lost nobody knows whether it happened: the error is of class
// Unavailable, and the caller finds out by what it wrote.
func (p *Pool) InTx(ctx context.Context, o TxOptions, f func(ctx context.Context, tx *Tx) error) error {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	retries := o.Retries
	if retries == 0 {
		retries = 3
	}
	for attempt := 0; ; attempt++ {
		err := p.runTx(ctx, o, f)
		if err == nil || ClassOf(err) != Retry || attempt >= retries || ctx.Err() != nil {
			return err
		}
	}
}

func (p *Pool) runTx(ctx context.Context, o TxOptions, f func(ctx context.Context, tx *Tx) error) (err error) {
	options := pgx.TxOptions{}
	if o.ReadOnly {
		options.AccessMode = pgx.ReadOnly
	}
	if o.Serializable {
		options.IsoLevel = pgx.Serializable
	}
	raw, err := p.pool.BeginTx(ctx, options)
	if err != nil {
		return classify("begin a transaction", err)
	}
	defer func() {
		if err == nil {
			return
		}
		// The context may be what ended it.
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if rerr := raw.Rollback(rctx); rerr != nil && !errors.Is(rerr, pgx.ErrTxClosed) {
			err = errors.Join(err, classify("roll a transaction back", rerr))
		}
	}()
	tx := &Tx{raw}
	for _, s := range []struct {
		name string
		d    time.Duration
	}{{"statement_timeout", o.StatementTimeout}, {"lock_timeout", o.LockTimeout}} {
		if s.d > 0 {
			if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL %s = %d", s.name, s.d.Milliseconds())); err != nil {
				return err
			}
		}
	}
	if err := f(ctx, tx); err != nil {
		return err
	}
	return classify("commit a transaction", raw.Commit(ctx))
}

// Exec is [Queryer]'s.
func (t *Tx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	return exec(ctx, t.tx, sql, args)
}

// Each is [Queryer]'s.
func (t *Tx) Each(ctx context.Context, f func(Row) error, sql string, args ...any) error {
	return each(ctx, t.tx, f, sql, args)
}

// One is [Queryer]'s.
func (t *Tx) One(ctx context.Context, dest []any, sql string, args ...any) error {
	return one(ctx, t.tx, dest, sql, args)
}

// Parse is [Pool.Parse]; the transaction goes on after an error.
func (t *Tx) Parse(ctx context.Context, sql string, types []uint32) error {
	if _, err := t.Exec(ctx, "SAVEPOINT parse"); err != nil {
		return err
	}
	err := parse(ctx, t.tx.Conn(), sql, types)
	if ctx.Err() != nil {
		return err
	}
	_, rerr := t.Exec(ctx, "ROLLBACK TO SAVEPOINT parse")
	return errors.Join(err, rerr)
}

// Script runs SQL that may hold several statements; it takes no arguments.
func (t *Tx) Script(ctx context.Context, what, sql string) error {
	results := t.tx.Conn().PgConn().Exec(ctx, sql)
	if _, err := results.ReadAll(); err != nil {
		return classify(what, err)
	}
	return nil
}

// Lock takes an advisory lock that ends with the transaction. The name is anything; it is hashed to the server's 64
// bits.
func (t *Tx) Lock(ctx context.Context, name string) error {
	_, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey(name))
	return err
}
