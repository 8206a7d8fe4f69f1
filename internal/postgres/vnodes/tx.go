package vnodes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rows"
)

// Take receives a row of a result, values in Postgres's text form, nil for NULL, valid until it returns. When it
// returns full, the rest is passed over.
type Take func(fields []rows.Field, values [][]byte) (full bool, err error)

// Tx is a transaction. Statements are queued and go to the server together, with what begins and ends it.
type Tx struct {
	p        *Pool
	c        *conn
	ctx      context.Context // the transaction's whole life, which is within one call
	readOnly bool
	begin    string // the statement
	begun    bool
	queue    []queued
	broken   bool // the connection is not to be used again
	left     bool // a result was left in the middle, which is no error
}

type queued struct {
	stmt rows.Statement
	take Take
}

// StatementError tells which statement of a transaction failed.
type StatementError struct {
	// Statement counts those that were queued, from 0; a negative number is what begins, ends or cleans up.
	Statement int
	// Ending is set when the commit was on its way.
	Ending bool
	Err    error
}

// Error is the cause's.
func (e *StatementError) Error() string { return e.Err.Error() }

// Unwrap returns the cause: a *[postgres.Error], or what a [Take] returned.
func (e *StatementError) Unwrap() error { return e.Err }

// Ending tells whether an error of [Pool.Write] came while the transaction was being committed: then it may have been.
func Ending(err error) bool {
	var s *StatementError
	return errors.As(err, &s) && s.Ending
}

// Read runs statements in a READ ONLY transaction, in one exchange with the server.
func (p *Pool) Read(ctx context.Context, vnode string, f func(*Tx) error) error {
	return p.run(ctx, vnode, "BEGIN READ ONLY NOT DEFERRABLE", f)
}

// Write runs f in a transaction that may write, and commits what f queued when it returns nil. When the answer to the
// commit is lost, the error is of class Unavailable and nobody knows whether it happened.
func (p *Pool) Write(ctx context.Context, vnode string, f func(*Tx) error) error {
	return p.run(ctx, vnode, "BEGIN READ WRITE NOT DEFERRABLE", f)
}

// WriteLedger is [Pool.Write] for the tables of the ledger, which nothing else may change: it is DEFERRABLE, by which their
// guard knows it. f must run nothing of the application's.
func (p *Pool) WriteLedger(ctx context.Context, vnode string, f func(*Tx) error) error {
	return p.run(ctx, vnode, "BEGIN READ WRITE DEFERRABLE", f)
}

func (p *Pool) run(ctx context.Context, vnode, begin string, f func(*Tx) error) error {
	c, err := p.acquire(ctx, vnode)
	if err != nil {
		return err
	}
	if p.cfg.TimeLimit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.TimeLimit)
		defer cancel()
	}
	t := &Tx{p: p, c: c, ctx: ctx, begin: begin, readOnly: strings.HasPrefix(begin, "BEGIN READ ONLY")}
	defer func() {
		if r := recover(); r != nil { // the callers' fault; the place must not be lost
			p.discard(t, true)
			panic(r)
		}
	}()
	if err = f(t); err == nil {
		err = t.exchange(ctx, true)
	}
	if err != nil && t.begun && !t.broken && ctx.Err() == nil {
		t.rollback(ctx)
	}
	err = c.whose(err)
	if t.broken || ctx.Err() != nil || c.pg.IsClosed() || c.pg.TxStatus() != idle {
		p.discard(t, ctx.Err() != nil)
		return err
	}
	p.release(vnode, c)
	return err
}

// The states of a session that the server tells when it is ready: no transaction, a failed one.
const (
	idle   = 'I'
	failed = 'E'
)

// discard gives up a connection whose session may still be at work: it is closed, and terminated when it was cancelled
// and did not heed.
func (p *Pool) discard(t *Tx, cancelled bool) {
	p.ending.Go(func() {
		pid, vnode := t.c.pg.PID(), t.c.vnode
		heeded := !t.c.pg.IsClosed() && (t.c.pg.TxStatus() == idle || t.c.pg.TxStatus() == failed)
		t.c.close()
		if cancelled && !heeded && !t.left {
			p.terminate(vnode, pid)
		}
		p.release(vnode, nil)
	})
}

// Queue adds a statement; take receives its rows, nil when there are none to be looked at.
func (t *Tx) Queue(stmt rows.Statement, take Take) { t.queue = append(t.queue, queued{stmt, take}) }

// Flush sends what is queued and takes the results. After an error the transaction can only end.
func (t *Tx) Flush() error { return t.exchange(t.ctx, false) }

// exchange sends what is queued, and what ends the transaction when this is the end.
func (t *Tx) exchange(ctx context.Context, end bool) error {
	queue := t.queue
	t.queue = nil
	pl := t.c.pg.StartPipeline(ctx)
	begin := !t.begun
	if begin {
		send(pl, rows.Statement{SQL: t.begin})
		t.begun = true
	}
	for _, q := range queue {
		send(pl, q.stmt)
	}
	if end {
		send(pl, rows.Statement{SQL: "COMMIT"})
	}
	pl.SendPipelineSync()
	if end {
		// It frees what the statements left in the session, also when they tried to end the transaction themselves.
		send(pl, rows.Statement{SQL: "DISCARD ALL"})
		pl.SendPipelineSync()
	}
	err := pl.Flush()
	if err == nil {
		err = t.results(pl, queue, begin, end)
	}
	if errors.As(err, new(leftError)) {
		t.broken, t.left = true, true
		t.c.close()    // before the pipeline, which would read the result to its end
		_ = pl.Close() // it tells that the connection is closed
		if t.readOnly && ctx.Err() == nil {
			return nil
		}
		return &StatementError{-1, end, postgres.Classify("read a result of the virtual node", err)}
	}
	if cerr := pl.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if err != nil {
		return t.failed(ctx, end, err)
	}
	return nil
}

// leftError ends a result that is not worth being read to its end.
type leftError struct{}

func (leftError) Error() string { return "the result is too large to be read to its end" }

func send(pl *pgconn.Pipeline, s rows.Statement) {
	values, types := make([][]byte, len(s.Args)), make([]uint32, len(s.Args))
	for i, a := range s.Args {
		values[i], types[i] = a.Text, a.OID
	}
	pl.SendQueryParams(s.SQL, values, types, nil, nil)
}

// commit is the number of the statement that commits.
const commit = -2

// results takes the results of an exchange, in order. It returns the first error and drains the rest.
func (t *Tx) results(pl *pgconn.Pipeline, queue []queued, begin, end bool) error {
	var first error
	note := func(n int, err error) {
		if first == nil && err != nil {
			first = &StatementError{n, end, err}
		}
	}
	left := func() bool { return errors.As(first, new(leftError)) }
	take := func(n int, f Take) bool {
		r, err := pl.GetResults()
		if err != nil {
			note(n, err)
			return false
		}
		reader, ok := r.(*pgconn.ResultReader)
		if !ok {
			note(n, fmt.Errorf("the driver returned %T where a result was expected", r))
			return false
		}
		note(n, t.read(reader, f, n == commit))
		return first == nil
	}
	ok := !begin || take(-1, nil)
	for n := 0; ok && n < len(queue); n++ {
		ok = take(n, queue[n].take)
	}
	if ok && end {
		ok = take(commit, nil)
	}
	if left() {
		return first
	}
	// After an error the server skips to the next sync.
	if _, err := pl.GetResults(); err != nil {
		note(-1, err)
	}
	if end && ok {
		if take(-1, nil) {
			if _, err := pl.GetResults(); err != nil {
				note(-1, err)
			}
		} else {
			t.broken = true
		}
	}
	return first
}

// read takes the rows of one result.
func (t *Tx) read(r *pgconn.ResultReader, take Take, committing bool) error {
	var fields []rows.Field
	for _, f := range r.FieldDescriptions() {
		fields = append(fields, rows.Field{Name: f.Name, OID: f.DataTypeOID})
	}
	var failed error
	full, passed := false, 0
	for r.NextRow() {
		if take == nil || failed != nil || full {
			for _, v := range r.Values() {
				passed += len(v)
			}
			if passed > maxPassed {
				if failed != nil {
					t.broken = true
					return failed
				}
				return leftError{}
			}
			continue
		}
		full, failed = take(fields, r.Values())
	}
	tag, err := r.Close()
	if err != nil {
		return err
	}
	if committing && tag.String() != "COMMIT" {
		return fmt.Errorf("the server answered %q to COMMIT", tag)
	}
	return failed
}

// maxPassed is how much of a result is read without being wanted; beyond it the connection is given up, which is
// cheaper.
const maxPassed = 8 << 20

// failed classifies the error of an exchange.
func (t *Tx) failed(ctx context.Context, end bool, err error) error {
	at := -1
	var s *StatementError
	if errors.As(err, &s) {
		at, err = s.Statement, s.Err
	}
	var large *pgproto3.ExceededMaxBodyLenErr
	switch {
	case errors.As(err, &large):
		t.broken = true
		return &StatementError{at, end, &rows.Problem{ID: rows.IDTooLarge, Type: rows.TypeTooLarge,
			Message: fmt.Sprintf("one row of the result has more than %d bytes; select fewer columns", maxMessage)}}
	case errors.As(err, new(*rows.Problem)):
		return &StatementError{at, end, err}
	case ctx.Err() != nil:
		t.broken = true
		return &StatementError{at, end, postgres.Classify("run a statement of the virtual node", ctx.Err())}
	}
	if t.c.pg.IsClosed() {
		t.broken = true
	}
	return &StatementError{at, end, postgres.Classify("run a statement of the virtual node", err)}
}

// rollback ends a transaction that failed, and cleans the session up.
func (t *Tx) rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	pl := t.c.pg.StartPipeline(ctx)
	send(pl, rows.Statement{SQL: "ROLLBACK"})
	pl.SendPipelineSync()
	send(pl, rows.Statement{SQL: "DISCARD ALL"})
	pl.SendPipelineSync()
	err := pl.Flush()
	if err == nil {
		err = t.results(pl, []queued{}, true, false)
	}
	if err == nil {
		err = t.results(pl, []queued{}, true, false)
	}
	if cerr := pl.Close(); err != nil || cerr != nil {
		t.broken = true
	}
}
