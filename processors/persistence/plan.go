package persistence

import (
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
)

// Plan is what a request does in its virtual node's database.
type Plan struct {
	Vnode  string
	FlowID string
	// RequestID is remembered with the answer, and so is DedupID, which the application gave.
	RequestID, DedupID string
	// Writes tells whether it changes anything.
	Writes bool
	// Feeds tells whether the virtual node has tables whose changes are told.
	Feeds   bool
	Request *persistencev1.Request
	schema  *rows.Schema
}

// job is one run of a plan: its statements, what takes their rows, and the result that comes of them.
type job struct {
	statements []rows.Statement
	take       vnodes.Take
	finish     func() (proto.Message, error)
	// run takes the place of statements where one depends on what another one read.
	run func(exchange) error
}

// newPlan checks a request against the declarations. Its error is a *[rows.Problem].
func newPlan(m Meta, r *persistencev1.Request, schema *rows.Schema) (*Plan, error) {
	p := &Plan{Vnode: r.GetVnode(), FlowID: r.GetFlowId(), RequestID: m.RequestID, Request: r, schema: schema, Feeds: len(schema.Feeds()) > 0}
	switch op := r.GetOperation().(type) {
	case *persistencev1.Request_Persist:
		p.Writes, p.DedupID = true, op.Persist.GetDedupId()
		if len(p.DedupID) > maxDedupID {
			return nil, &rows.Problem{ID: rows.IDRow, Type: rows.TypeRow, Message: "dedup_id is longer than 200 bytes; give a shorter one, such as a hash"}
		}
	case *persistencev1.Request_Merge, *persistencev1.Request_Remove:
		p.Writes = true
	case *persistencev1.Request_Query:
		q, err := schema.Query(op.Query.GetName())
		if err != nil {
			return nil, err
		}
		p.Writes = q.Writes()
	case *persistencev1.Request_Ledger:
		p.Writes = ledgerWrites(op.Ledger)
		p.Feeds = p.Feeds || p.Writes
	}
	return p, p.check()
}

// check finds what is wrong with the request. It makes no statements where they are large: a request that waits for a
// connection should not hold them. Its error is a *[rows.Problem].
func (p *Plan) check() error {
	table := func(name string, f func(*rows.Table) error) error {
		t, err := p.schema.Table(name)
		if err != nil {
			return err
		}
		return f(t)
	}
	switch op := p.Request.GetOperation().(type) {
	case *persistencev1.Request_Persist:
		return table(op.Persist.GetTable(), func(t *rows.Table) error { return t.Check(op.Persist.GetRows(), true) })
	case *persistencev1.Request_Merge:
		return table(op.Merge.GetTable(), func(t *rows.Table) error { return t.Check(op.Merge.GetRows(), false) })
	case *persistencev1.Request_Remove:
		return table(op.Remove.GetTable(), func(t *rows.Table) error { return t.CheckKeys(op.Remove.GetKeys()) })
	case *persistencev1.Request_Find:
		return table(op.Find.GetTable(), func(t *rows.Table) error { return t.CheckKeys(op.Find.GetKeys()) })
	default:
		_, err := p.job()
		return err
	}
}

// maxDedupID bounds an id that an application gives, in bytes.
const maxDedupID = 200

// job makes the statements, for one run that has its connection. Its error is a *[rows.Problem].
func (p *Plan) job() (*job, error) {
	switch op := p.Request.GetOperation().(type) {
	case *persistencev1.Request_Persist:
		t, err := p.schema.Table(op.Persist.GetTable())
		if err != nil {
			return nil, err
		}
		statements, inserts, err := t.Persist(op.Persist.GetRows())
		if err != nil {
			return nil, err
		}
		return &job{statements: statements, take: inserts.Add, finish: func() (proto.Message, error) { return nil, inserts.Check() }}, nil
	case *persistencev1.Request_Merge:
		t, err := p.schema.Table(op.Merge.GetTable())
		if err != nil {
			return nil, err
		}
		statements, err := t.Merge(op.Merge.GetRows())
		if err != nil {
			return nil, err
		}
		merged := t.Merged()
		return &job{statements: statements, take: merged.Add, finish: func() (proto.Message, error) {
			all, _ := merged.Rows()
			return &appv1.Rows{Rows: all}, nil
		}}, nil
	case *persistencev1.Request_Remove:
		t, err := p.schema.Table(op.Remove.GetTable())
		if err != nil {
			return nil, err
		}
		statements, err := t.Remove(op.Remove.GetKeys())
		if err != nil {
			return nil, err
		}
		return &job{statements: statements, take: nil, finish: func() (proto.Message, error) { return nil, nil }}, nil
	case *persistencev1.Request_Find:
		t, err := p.schema.Table(op.Find.GetTable())
		if err != nil {
			return nil, err
		}
		statements, found, err := t.Find(op.Find.GetKeys())
		if err != nil {
			return nil, err
		}
		return &job{statements: statements, take: found.Add, finish: func() (proto.Message, error) { return &appv1.Rows{Rows: found.Rows()}, nil }}, nil
	case *persistencev1.Request_FindAll:
		t, err := p.schema.Table(op.FindAll.GetTable())
		if err != nil {
			return nil, err
		}
		statement, page, err := t.FindAll(op.FindAll.GetLimit(), op.FindAll.GetAfter())
		if err != nil {
			return nil, err
		}
		return pageJob(statement, page), nil
	case *persistencev1.Request_Query:
		q, err := p.schema.Query(op.Query.GetName())
		if err != nil {
			return nil, err
		}
		statement, page, err := q.Run(op.Query.GetParameters(), op.Query.GetLimit(), op.Query.GetAfter(), op.Query.GetOffset())
		if err != nil {
			return nil, err
		}
		return pageJob(statement, page), nil
	case *persistencev1.Request_Ledger:
		return p.ledgerJob(op.Ledger)
	case *persistencev1.Request_Tokens:
		return tokensJob(op.Tokens)
	default:
		return nil, &rows.Problem{ID: IDRequest, Type: TypePlatform, Message: "the request has no operation that this version knows: its writer is newer; upgrade the persistence worker"}
	}
}

func pageJob(s rows.Statement, page *rows.Page) *job {
	return &job{statements: []rows.Statement{s}, take: page.Add, finish: func() (proto.Message, error) {
		all, next := page.Rows()
		return &appv1.Page{Rows: all, Next: next}, nil
	}}
}

// subject names what a request is about, for messages.
func (p *Plan) subject() string {
	switch op := p.Request.GetOperation().(type) {
	case *persistencev1.Request_Persist:
		return "table " + op.Persist.GetTable()
	case *persistencev1.Request_Merge:
		return "table " + op.Merge.GetTable()
	case *persistencev1.Request_Remove:
		return "table " + op.Remove.GetTable()
	case *persistencev1.Request_Find:
		return "table " + op.Find.GetTable()
	case *persistencev1.Request_FindAll:
		return "table " + op.FindAll.GetTable()
	case *persistencev1.Request_Query:
		return "query " + op.Query.GetName()
	case *persistencev1.Request_Ledger:
		return ledgerSubject(op.Ledger)
	case *persistencev1.Request_Tokens:
		return "token selection"
	default:
		return "the request"
	}
}

// isQuery tells whether the application's own SQL runs.
func (p *Plan) isQuery() bool {
	_, ok := p.Request.GetOperation().(*persistencev1.Request_Query)
	return ok || p.Request.GetLedger().GetQueryStates() != nil
}
