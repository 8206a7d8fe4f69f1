package persistence

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/schemas"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// Store is what the groups need of the databases of virtual nodes; [Vault] is the real one.
type Store interface {
	// Do runs a plan. What the application did wrong is in the reply; an error asks for the plan to be run again.
	Do(ctx context.Context, p *Plan) Result
	// Changes reads what the outbox holds after a number, in order, at most limit.
	Changes(ctx context.Context, vnode string, after uint64, limit int) (Changes, error)
	// Told deletes changes up to a number: they were told.
	Told(ctx context.Context, vnode string, upTo uint64) error
	// Forget deletes answers that were given before a time.
	Forget(ctx context.Context, vnode string, before time.Time) error
	// Ping tells whether the server can be reached, by logging in for the virtual node.
	Ping(ctx context.Context, vnode string) error
}

// Changes are rows of an outbox.
type Changes struct {
	Rows []CapturedChange
	// Last is the number of the last change that was made, told or not.
	Last uint64
}

// CapturedChange is a row of an outbox.
type CapturedChange struct {
	Number        uint64
	CommittedAtUs int64
	FlowID        string
	Shape         string
	// Operation is 1 for created, 2 for changed, 3 for removed.
	Operation int32
	// Key and Columns are JSON objects; no Columns for a row that was removed.
	Key, Columns []byte
	// Ledger is a change of the ledger instead, a [feedv1.Change] of which only the change itself is set.
	Ledger []byte
}

// Vault keeps the data of virtual nodes in Postgres.
type Vault struct{ pool *vnodes.Pool }

// NewVault makes a Vault.
func NewVault(p *vnodes.Pool) *Vault { return &Vault{p} }

// Do is [Store]'s.
func (v *Vault) Do(ctx context.Context, p *Plan) Result {
	const attempts = 3
	for n := 1; ; n++ {
		r := v.once(ctx, p)
		if r.Err == nil || n == attempts || ctx.Err() != nil || postgres.ClassOf(r.Err) != postgres.Retry {
			return r
		}
	}
}

func (v *Vault) once(ctx context.Context, p *Plan) Result {
	if p.Writes {
		return v.write(ctx, p)
	}
	var j *job
	read := v.pool.Read
	if p.ownReads() {
		read = v.pool.ReadOwn
	}
	err := read(ctx, p.Vnode, func(tx *vnodes.Tx) (err error) {
		if j, err = p.job(); err != nil {
			return err
		}
		if j.run != nil {
			return j.run(exchange{tx, tx.Flush})
		}
		j.queue(tx)
		return nil
	})
	if err != nil {
		return p.failed(ctx, err)
	}
	r, err := j.reply()
	if err != nil {
		return p.failed(ctx, err)
	}
	return Result{Reply: r}
}

func (j *job) queue(tx *vnodes.Tx) {
	for _, s := range j.statements {
		tx.Queue(s, j.take)
	}
}

func (j *job) reply() (*rpcv1.Reply, error) {
	m, err := j.finish()
	if err != nil {
		return nil, err
	}
	return resultReply(m)
}

// failed makes the result of a plan that failed and changed nothing.
func (p *Plan) failed(ctx context.Context, err error) Result {
	if ctx.Err() != nil { // the batch's time is over, which is not the statement's fault
		return Result{Err: err}
	}
	if problem := p.problem(err); problem != nil {
		return Result{Reply: errorReply(problem)}
	}
	if errors.Is(err, context.DeadlineExceeded) && p.isQuery() {
		return Result{Reply: errorReply(&rows.Problem{ID: IDTimeout, Type: TypeTimeout,
			Message: p.subject() + ": the statement took too long and was cancelled; make it faster, or ask for less. Nothing was changed"})}
	}
	return Result{Err: err}
}

// errRepeated ends a transaction whose request was answered before.
var errRepeated = errors.New("the request was answered before")

func (v *Vault) write(ctx context.Context, p *Plan) Result {
	var first []byte
	var reply *rpcv1.Reply
	begin := v.pool.Write
	if p.Request.GetLedger() != nil {
		begin = v.pool.WriteLedger
	}
	err := begin(ctx, p.Vnode, func(tx *vnodes.Tx) error {
		j, err := p.job()
		if err != nil {
			return err
		}
		tx.Queue(p.lookup(), takeAnswer(&first))
		if p.Feeds && p.Request.GetLedger() == nil {
			// A flow's id was checked to be one; SET takes no arguments. The ledger's changes name their flow themselves.
			tx.Queue(rows.Statement{SQL: "SET LOCAL fairlead.flow = '" + p.FlowID + "'"}, nil)
		}
		send := func() error {
			err := tx.Flush()
			if first != nil {
				return errRepeated
			}
			return err
		}
		if j.run != nil {
			err = j.run(exchange{tx, send})
		} else {
			j.queue(tx)
			err = send()
		}
		if err != nil {
			return err
		}
		if reply, err = j.reply(); err != nil {
			return err
		}
		remember, err := p.remember(reply, p.ids())
		if err != nil {
			return err
		}
		tx.Queue(remember, nil)
		return nil
	})
	switch {
	case errors.Is(err, errRepeated):
		return repeated(first)
	case err == nil:
		return Result{Reply: reply}
	case vnodes.Ending(err) && !refused(err), ctx.Err() != nil:
		return Result{Err: err} // it may have been committed: look again
	case postgres.Breaks(err, "fl_request_pkey"):
		return v.firstAnswer(ctx, p, nil) // another process was quicker
	}
	r := p.failed(ctx, err)
	if r.Err != nil {
		return r
	}
	// The error is an answer too: a request that comes again must not succeed behind the flow's back.
	return v.firstAnswer(ctx, p, r.Reply)
}

// refused tells whether the server itself said no to what was sent last.
func refused(err error) bool {
	var e *postgres.Error
	return errors.As(err, &e) && e.Code != "" && e.Class != postgres.Unavailable
}

// firstAnswer remembers an answer unless there is one, and returns the one that counts.
func (v *Vault) firstAnswer(ctx context.Context, p *Plan, reply *rpcv1.Reply) Result {
	var first []byte
	err := v.pool.Write(ctx, p.Vnode, func(tx *vnodes.Tx) error {
		if reply != nil {
			remember, err := p.remember(reply, p.ids()[:1])
			if err != nil {
				return err
			}
			remember.SQL += " ON CONFLICT (id) DO NOTHING"
			tx.Queue(remember, nil)
		}
		tx.Queue(p.lookup(), takeAnswer(&first))
		return nil
	})
	switch {
	case err != nil:
		return Result{Err: err}
	case first == nil && reply == nil:
		return Result{Err: errors.New("the answer that another process remembered is gone")}
	case first == nil:
		return Result{Reply: reply}
	}
	r := repeated(first)
	r.Repeated = reply == nil || !proto.Equal(r.Reply, reply)
	return r
}

func repeated(first []byte) Result {
	r := &rpcv1.Reply{}
	if err := proto.Unmarshal(first, r); err != nil {
		return Result{Err: fmt.Errorf("the answer that was remembered cannot be read: %w", err)}
	}
	return Result{Reply: r, Repeated: true}
}

// ids are those under which the answer is remembered, the request's first.
func (p *Plan) ids() []string {
	ids := []string{"r:" + p.RequestID}
	if p.DedupID != "" {
		ids = append(ids, "d:"+p.DedupID)
	}
	return ids
}

const oidText = 25

func textArg(s string) rows.Arg { return rows.Arg{OID: oidText, Text: []byte(s)} }

func (p *Plan) lookup() rows.Statement {
	ids := p.ids()
	s := rows.Statement{SQL: "SELECT answer FROM fl_request WHERE id = $1", Args: []rows.Arg{textArg(ids[0])}}
	if len(ids) > 1 {
		// The request's own answer counts before that of another with the same dedup_id.
		s.SQL = "SELECT answer FROM fl_request WHERE id IN ($1, $2) ORDER BY id = $1 DESC LIMIT 1"
		s.Args = append(s.Args, textArg(ids[1]))
	}
	return s
}

func (p *Plan) remember(reply *rpcv1.Reply, ids []string) (rows.Statement, error) {
	answer, err := schemas.Marshal(reply)
	if err != nil {
		return rows.Statement{}, err
	}
	s := rows.Statement{SQL: "INSERT INTO fl_request (id, answer) VALUES ($1, $2)", Args: []rows.Arg{textArg(ids[0]), bytesArg(answer)}}
	if len(ids) > 1 {
		s.SQL += ", ($3, $2)"
		s.Args = append(s.Args, textArg(ids[1]))
	}
	return s, nil
}

// Changes is [Store]'s.
func (v *Vault) Changes(ctx context.Context, vnode string, after uint64, limit int) (Changes, error) {
	var out Changes
	size := 0
	err := v.pool.ReadOwn(ctx, vnode, func(tx *vnodes.Tx) error {
		// The counter is read first: what it counts is visible to the second statement.
		tx.Queue(rows.Statement{SQL: "SELECT last FROM fl_counter"}, func(_ []rows.Field, values [][]byte) (bool, error) {
			n, err := strconv.ParseUint(string(values[0]), 10, 64)
			out.Last = n
			return false, err
		})
		// Not the column itself: a virtual node whose schema was made before there was a ledger has none until it is upgraded.
		// Rows of tables are not made JSON for it: they are large.
		tx.Queue(rows.Statement{
			SQL: "SELECT number, (extract(epoch FROM committed_at) * 1000000)::bigint, flow_id, shape, operation, to_json(row_key), to_json(row_columns), " +
				"CASE WHEN operation = 0 THEN to_jsonb(o) ->> 'change' END " +
				"FROM fl_outbox AS o WHERE number > $1 ORDER BY number LIMIT $2",
			Args: []rows.Arg{numberArg(after), numberArg(uint64(limit))},
		}, func(_ []rows.Field, values [][]byte) (bool, error) {
			c, err := capturedChange(values)
			if err != nil {
				return false, err
			}
			if size += len(c.Shape) + len(c.Key) + len(c.Columns) + len(c.Ledger); size > maxFeedBytes && len(out.Rows) > 0 {
				return true, nil
			}
			out.Rows = append(out.Rows, c)
			return false, nil
		})
		return nil
	})
	return out, err
}

// maxFeedBytes bounds the rows that one step reads.
const maxFeedBytes = 4 << 20

// Told is [Store]'s.
func (v *Vault) Told(ctx context.Context, vnode string, upTo uint64) error {
	return v.pool.Write(ctx, vnode, func(tx *vnodes.Tx) error {
		tx.Queue(rows.Statement{SQL: "DELETE FROM fl_outbox WHERE number <= $1", Args: []rows.Arg{numberArg(upTo)}}, nil)
		return nil
	})
}

// Forget is [Store]'s.
func (v *Vault) Forget(ctx context.Context, vnode string, before time.Time) error {
	return v.pool.Write(ctx, vnode, func(tx *vnodes.Tx) error {
		tx.Queue(rows.Statement{
			SQL:  "DELETE FROM fl_request WHERE id IN (SELECT id FROM fl_request WHERE created_at < $1 ORDER BY created_at LIMIT 10000)",
			Args: []rows.Arg{{OID: oidTimestamptz, Text: []byte(before.UTC().Format(time.RFC3339Nano))}},
		}, nil)
		return nil
	})
}

// Ping is [Store]'s.
func (v *Vault) Ping(ctx context.Context, vnode string) error {
	return v.pool.Ping(ctx, vnode)
}
