package vnodes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
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
	own      bool // see [Pool.WriteLedger]
	queue    []queued
	broken   bool // the connection is not to be used again
	left     bool // a result was left in the middle, which is no error
}

type queued struct {
	stmt rows.Statement
	take Take
	// prepares tells that the result of preparing it comes before its own.
	prepares bool
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
	return p.run(ctx, vnode, Tx{begin: beginRead, readOnly: true}, f)
}

// ReadOwn is [Pool.Read] for the platform's own statements, which are prepared: see [Pool.WriteLedger].
func (p *Pool) ReadOwn(ctx context.Context, vnode string, f func(*Tx) error) error {
	return p.run(ctx, vnode, Tx{begin: beginRead, readOnly: true, own: true}, f)
}

const beginRead = "BEGIN READ ONLY NOT DEFERRABLE"

// Write runs f in a transaction that may write, and commits what f queued when it returns nil. When the answer to the
// commit is lost, the error is of class Unavailable and nobody knows whether it happened.
func (p *Pool) Write(ctx context.Context, vnode string, f func(*Tx) error) error {
	return p.run(ctx, vnode, Tx{begin: "BEGIN READ WRITE NOT DEFERRABLE"}, f)
}

// WriteLedger is [Pool.Write] for the tables of the ledger, which nothing else may change: it is DEFERRABLE, by which their
// guard knows it. f must run nothing of the application's, and no statement whose text differs from call to call: the
// session is not cleaned up behind it, and keeps its statements prepared, which spares the server most of their planning.
func (p *Pool) WriteLedger(ctx context.Context, vnode string, f func(*Tx) error) error {
	return p.run(ctx, vnode, Tx{begin: "BEGIN READ WRITE DEFERRABLE", own: true}, f)
}

func (p *Pool) run(ctx context.Context, vnode string, kind Tx, f func(*Tx) error) error {
	c, err := p.acquire(ctx, vnode)
	if err != nil {
		return err
	}
	if p.cfg.TimeLimit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.TimeLimit)
		defer cancel()
	}
	t := &kind
	t.p, t.c, t.ctx = p, c, ctx
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
func (t *Tx) Queue(stmt rows.Statement, take Take) {
	t.queue = append(t.queue, queued{stmt: stmt, take: take})
}

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
	for i := range queue {
		if t.own {
			queue[i].prepares = t.c.sendPrepared(pl, queue[i].stmt)
		} else {
			send(pl, queue[i].stmt)
		}
	}
	if end {
		send(pl, rows.Statement{SQL: "COMMIT"})
	}
	pl.SendPipelineSync()
	discards := end && !t.own
	if discards {
		t.c.prepared = nil
		// It frees what the statements left in the session, also when they tried to end the transaction themselves.
		send(pl, rows.Statement{SQL: "DISCARD ALL"})
		pl.SendPipelineSync()
	}
	err := pl.Flush()
	if err == nil {
		err = t.results(pl, queue, begin, end, discards)
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

// maxPrepared bounds the statements that a connection keeps prepared; the platform has some fifty.
const maxPrepared = 200

// sendPrepared sends a statement that the session keeps. It tells whether it is prepared for this: then that has a result
// of its own, before the statement's. Where anything fails, the session is cleaned up or closed, and keeps none.
func (c *conn) sendPrepared(pl *pgconn.Pipeline, s rows.Statement) (prepares bool) {
	values, types := make([][]byte, len(s.Args)), make([]uint32, len(s.Args))
	key := make([]byte, 0, len(s.SQL)+5*len(s.Args))
	key = append(key, s.SQL...)
	for i, a := range s.Args {
		values[i], types[i] = a.Text, a.OID
		key = binary.BigEndian.AppendUint32(append(key, 0), a.OID)
	}
	name, ok := c.prepared[string(key)]
	if !ok {
		if len(c.prepared) >= maxPrepared {
			pl.SendQueryParams(s.SQL, values, types, nil, nil)
			return false
		}
		if c.prepared == nil {
			c.prepared = map[string]string{}
		}
		name = "fl_" + strconv.Itoa(len(c.prepared))
		c.prepared[string(key)] = name
		pl.SendPrepare(name, s.SQL, types)
	}
	pl.SendQueryPrepared(name, values, nil, nil)
	return !ok
}

// commit is the number of the statement that commits.
const commit = -2

// results takes the results of an exchange, in order. It returns the first error and drains the rest.
func (t *Tx) results(pl *pgconn.Pipeline, queue []queued, begin, end, discards bool) error {
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
	prepare := func(n int) bool {
		r, err := pl.GetResults()
		if _, ok := r.(*pgconn.StatementDescription); !ok && err == nil {
			err = fmt.Errorf("the driver returned %T where a prepared statement was expected", r)
		}
		note(n, err)
		return err == nil
	}
	ok := !begin || take(-1, nil)
	for n := 0; ok && n < len(queue); n++ {
		ok = (!queue[n].prepares || prepare(n)) && take(n, queue[n].take)
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
	if discards && ok {
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
	t.c.prepared = nil
	err := pl.Flush()
	if err == nil {
		err = t.results(pl, nil, true, false, false)
	}
	if err == nil {
		err = t.results(pl, nil, true, false, false)
	}
	if cerr := pl.Close(); err != nil || cerr != nil {
		t.broken = true
	}
}
