package persistence

import (
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// exchange is a transaction in which one statement depends on what another one read.
type exchange struct {
	tx *vnodes.Tx
	// send sends what is queued and takes its results.
	send func() error
}

func (x exchange) ask(list ...ledgerstore.Ask) {
	for _, a := range list {
		x.tx.Queue(a.Statement, a.Take)
	}
}

func (x exchange) do(list []rows.Statement) {
	for _, s := range list {
		x.tx.Queue(s, nil)
	}
}

// read sends questions and takes the answers.
func (x exchange) read(list ...ledgerstore.Ask) error {
	x.ask(list...)
	return x.send()
}

// ledgerWrites tells whether an operation of the ledger changes anything.
func ledgerWrites(r *appv1.LedgerRequest) bool {
	switch r.GetOperation().(type) {
	case *appv1.LedgerRequest_PersistTransaction, *appv1.LedgerRequest_UpdateStatus, *appv1.LedgerRequest_IncrementRepairAttempts, *appv1.LedgerRequest_PersistSignatures,
		*appv1.LedgerRequest_PersistFiltered, *appv1.LedgerRequest_PersistGroupParameters:
		return true
	default:
		return false
	}
}

// ownReads tells whether a plan that reads has statements of the platform alone.
func (p *Plan) ownReads() bool {
	l := p.Request.GetLedger()
	return l != nil && l.GetQueryStates() == nil
}

// ledgerSubject names what an operation of the ledger is about, for messages.
func ledgerSubject(r *appv1.LedgerRequest) string {
	if q := r.GetQueryStates(); q != nil {
		return "query " + q.GetName()
	}
	return "the ledger"
}

// ledgerJob makes the job of an operation of the ledger. Its error is a *[rows.Problem].
func (p *Plan) ledgerJob(r *appv1.LedgerRequest) (*job, error) {
	switch op := r.GetOperation().(type) {
	case *appv1.LedgerRequest_PersistTransaction:
		return p.persistTransaction(op.PersistTransaction)
	case *appv1.LedgerRequest_UpdateStatus:
		return p.updateStatus(op.UpdateStatus)
	case *appv1.LedgerRequest_FindTransaction:
		return findTransaction(op.FindTransaction)
	case *appv1.LedgerRequest_FindStatuses:
		return findStatuses(op.FindStatuses)
	case *appv1.LedgerRequest_FindOfStatus:
		return findOfStatus(op.FindOfStatus)
	case *appv1.LedgerRequest_IncrementRepairAttempts:
		return incrementRepairAttempts(op.IncrementRepairAttempts)
	case *appv1.LedgerRequest_PersistSignatures:
		return persistSignatures(op.PersistSignatures)
	case *appv1.LedgerRequest_FindUnconsumedStates:
		o := op.FindUnconsumedStates
		states, ask, err := ledgerstore.Unconsumed(o.GetType(), o.GetLimit(), o.GetAfter())
		return statePage(states, ask, err)
	case *appv1.LedgerRequest_QueryStates:
		return p.queryStates(op.QueryStates)
	case *appv1.LedgerRequest_ResolveStates:
		return resolveStates(op.ResolveStates)
	case *appv1.LedgerRequest_PersistFiltered:
		return persistFiltered(op.PersistFiltered)
	case *appv1.LedgerRequest_FindFiltered:
		return findFiltered(op.FindFiltered)
	case *appv1.LedgerRequest_PersistGroupParameters:
		return persistGroupParameters(op.PersistGroupParameters.GetParameters())
	case *appv1.LedgerRequest_FindGroupParameters:
		return findGroupParameters(op.FindGroupParameters)
	default:
		return nil, &rows.Problem{ID: IDRequest, Type: TypePlatform, Message: "the request has no operation of the ledger that this version knows: its writer is newer; upgrade the persistence worker"}
	}
}

// result is what a job finishes with when its run made it.
func result[T proto.Message](m T) func() (proto.Message, error) {
	return func() (proto.Message, error) { return m, nil }
}

func noResult() (proto.Message, error) { return nil, nil }

func (p *Plan) persistTransaction(op *appv1.PersistTransaction) (*job, error) {
	tx, err := ledgerstore.ParseTransaction(op.GetTransaction())
	if err != nil {
		return nil, err
	}
	to, err := ledgerstore.ParseStatus(op.GetStatus())
	if err != nil {
		return nil, err
	}
	if err := tx.CheckVisible(op.GetVisible()); err != nil {
		return nil, err
	}
	signatures, err := ledgerstore.ParseSignatures(tx.ID(), op.GetSignatures())
	if err != nil {
		return nil, err
	}
	if n := len(op.GetTransaction()) + signatures.Size(); n > ledgerstore.MaxTransaction {
		return nil, tooLargeTransaction(n)
	}
	consumed, err := tx.ParseConsumed(to, op.GetConsumed())
	if err != nil {
		return nil, err
	}
	out := &appv1.PersistedTransaction{}
	return &job{finish: result(out), run: func(x exchange) error {
		facts, weight := &ledgerstore.Facts{}, int64(0)
		x.ask(facts.Lock()...)
		x.ask(facts.Of(tx.ID()), signatures.Weight(tx.ID(), &weight))
		if to == ledgerstore.Verified {
			x.ask(facts.Verifying(tx)...)
		}
		if len(consumed) > 0 {
			x.ask(facts.Elsewhere(consumed)...)
		}
		if err := x.send(); err != nil {
			return err
		}
		before := facts.Known
		move, err := before.Persist(to)
		if op.GetOnlyIfAbsent() {
			move, err = before.PersistIfAbsent(to)
		}
		if err != nil {
			return ledgerstore.Refused(tx.ID(), err)
		}
		out.Before, out.Status = before.Whole().Proto(), move.Next.Whole().Proto()
		if op.GetOnlyIfAbsent() && move.Held {
			return nil
		}
		if !move.Stores {
			if err := signatures.Fit(tx.ID(), weight); err != nil {
				return err
			}
		}
		// Visible outputs may be added to a verified transaction with a request that says less.
		if move.Next.Whole() == ledgerstore.Verified && to != ledgerstore.Verified {
			if err := x.read(facts.Verifying(tx)...); err != nil {
				return err
			}
		}
		statements, err := ledgerstore.Decide(facts, tx, move, op.GetVisible(), consumed, p.FlowID)
		if err != nil {
			return err
		}
		x.do(statements)
		x.do(signatures.Statements(tx.ID(), facts.Now))
		return x.send()
	}}, nil
}

func tooLargeTransaction(n int) *rows.Problem {
	p := ledgerstore.Malformed("the transaction with its signatures has %d bytes; at most %d can be stored: split it, or keep large data outside of states", n, ledgerstore.MaxTransaction)
	p.ID, p.Type = rows.IDTooLarge, rows.TypeTooLarge
	return p
}

func (p *Plan) updateStatus(op *appv1.UpdateTransactionStatus) (*job, error) {
	id, err := ledgerstore.ParseHash("id", op.GetId())
	if err != nil {
		return nil, err
	}
	to, err := ledgerstore.ParseStatus(op.GetStatus())
	if err != nil {
		return nil, err
	}
	return &job{finish: noResult, run: func(x exchange) error {
		facts, whole := &ledgerstore.Facts{}, &ledgerstore.Whole{}
		x.ask(facts.Lock()...)
		x.ask(facts.Of(id))
		if err := x.read(whole.Asks(id)...); err != nil {
			return err
		}
		if facts.Known.Whole() == ledgerstore.Absent {
			return missingTransaction(id, facts.Known)
		}
		move, err := facts.Known.Update(to)
		if err != nil {
			return ledgerstore.Refused(id, err)
		}
		encoded, err := whole.Transaction()
		if err != nil {
			return err
		}
		tx, err := ledgerstore.ParseTransaction(encoded)
		if err != nil {
			return err
		}
		if err := tx.CheckVisible(op.GetVisible()); err != nil {
			return err
		}
		if to == ledgerstore.Verified {
			if err := x.read(facts.Verifying(tx)...); err != nil {
				return err
			}
		}
		statements, err := ledgerstore.Decide(facts, tx, move, op.GetVisible(), nil, p.FlowID)
		if err != nil {
			return err
		}
		x.do(statements)
		return x.send()
	}}, nil
}

func missingTransaction(id ledger.Hash, k ledgerstore.Known) *rows.Problem {
	if k.Filtered {
		return ledgerstore.Missing("of transaction %s only proofs are in the vault; store it first", id)
	}
	return ledgerstore.Missing("transaction %s is not in the vault; store it first", id)
}

func incrementRepairAttempts(op *appv1.IncrementRepairAttempts) (*job, error) {
	id, err := ledgerstore.ParseHash("id", op.GetId())
	if err != nil {
		return nil, err
	}
	out := &appv1.RepairAttempts{}
	return &job{finish: result(out), run: func(x exchange) error {
		var n int64
		if err := x.read(ledgerstore.CountRepair(id, &n)); err != nil {
			return err
		}
		if n == 0 {
			return missingTransaction(id, ledgerstore.Known{})
		}
		out.Attempts = uint32(n)
		return nil
	}}, nil
}

func persistSignatures(op *appv1.PersistSignatures) (*job, error) {
	id, err := ledgerstore.ParseHash("id", op.GetId())
	if err != nil {
		return nil, err
	}
	signatures, err := ledgerstore.ParseSignatures(id, op.GetSignatures())
	if err != nil {
		return nil, err
	}
	return &job{finish: noResult, run: func(x exchange) error {
		facts, weight := &ledgerstore.Facts{}, int64(0)
		x.ask(facts.Lock()...)
		if err := x.read(facts.Of(id), signatures.Weight(id, &weight)); err != nil {
			return err
		}
		if facts.Known.Status == ledgerstore.Absent {
			return missingTransaction(id, facts.Known)
		}
		if err := signatures.Fit(id, weight); err != nil {
			return err
		}
		x.do(signatures.Statements(id, facts.Now))
		return x.send()
	}}, nil
}

func persistFiltered(op *appv1.PersistFilteredTransactions) (*job, error) {
	type signed struct {
		proof      *ledgerstore.Filtered
		signatures ledgerstore.Signatures
	}
	var all []signed
	size := 0
	for _, t := range op.GetTransactions() {
		proof, err := ledgerstore.ParseFiltered(t.GetFiltered())
		if err != nil {
			return nil, err
		}
		s, err := ledgerstore.ParseSignatures(proof.ID(), t.GetSignatures())
		if err != nil {
			return nil, err
		}
		if n := len(t.GetFiltered()) + s.Size(); n > ledgerstore.MaxTransaction {
			return nil, tooLargeTransaction(n)
		}
		size += len(t.GetFiltered()) + s.Size()
		all = append(all, signed{proof, s})
	}
	if size > rows.MaxBytes {
		return nil, &rows.Problem{ID: rows.IDTooLarge, Type: rows.TypeTooLarge, Message: "the proofs are too large together; send fewer at once"}
	}
	return &job{finish: noResult, run: func(x exchange) error {
		facts, known := &ledgerstore.Facts{}, map[ledger.Hash]*ledgerstore.FilteredFacts{}
		x.ask(facts.Lock()...)
		for _, t := range all {
			if known[t.proof.ID()] == nil {
				f := &ledgerstore.FilteredFacts{}
				known[t.proof.ID()] = f
				x.ask(f.Of(t.proof.ID())...)
			}
		}
		if err := x.send(); err != nil {
			return err
		}
		for _, t := range all {
			statements, err := ledgerstore.DecideFiltered(facts, known[t.proof.ID()], t.proof)
			if err != nil {
				return ledgerstore.Refused(t.proof.ID(), err)
			}
			x.do(statements)
			x.do(t.signatures.Statements(t.proof.ID(), facts.Now))
		}
		return x.send()
	}}, nil
}

func persistGroupParameters(g *appv1.SignedGroupParameters) (*job, error) {
	params := ledgerstore.GroupParameters{Parameters: g.GetParameters(), SignedBy: g.GetSignedBy(), Signature: g.GetSignature(), Scheme: g.GetScheme()}
	if err := params.Check(); err != nil {
		return nil, err
	}
	return &job{statements: []rows.Statement{params.Persist()}, finish: noResult}, nil
}
