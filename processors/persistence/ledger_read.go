package persistence

import (
	"slices"

	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/internal/rows"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"google.golang.org/protobuf/proto"
)

func findTransaction(op *appv1.FindTransaction) (*job, error) {
	id, err := ledgerstore.ParseHash("id", op.GetId())
	if err != nil {
		return nil, err
	}
	out := &appv1.FoundTransaction{}
	return &job{finish: fitting(out), run: func(x exchange) error {
		whole := &ledgerstore.Whole{}
		if err := x.read(whole.Asks(id)...); err != nil {
			return err
		}
		out.Status = whole.Known.Whole().Proto()
		if whole.Known.Whole() == ledgerstore.Absent || len(op.GetStatuses()) > 0 && !slices.Contains(op.GetStatuses(), out.GetStatus()) {
			return nil
		}
		var err error
		if out.Transaction, err = whole.Transaction(); err != nil {
			return err
		}
		out.Signatures = whole.Signatures
		if !op.GetResolve() {
			return nil
		}
		tx, err := ledger.Decode(out.GetTransaction())
		if err != nil {
			return err
		}
		refs := slices.Concat(tx.Content().Inputs, tx.Content().References)
		states, ask := ledgerstore.Resolve(refs)
		if err := x.read(ask); err != nil {
			return err
		}
		all, err := states.Resolved(refs)
		if err != nil {
			return err
		}
		n := len(tx.Content().Inputs)
		out.Inputs, out.References = all[:n], all[n:]
		return nil
	}}, nil
}

// fitting refuses a result that a flow cannot be given.
func fitting(m proto.Message) func() (proto.Message, error) {
	return func() (proto.Message, error) {
		if n := proto.Size(m); n > rows.MaxBytes {
			return nil, &rows.Problem{ID: rows.IDTooLarge, Type: rows.TypeTooLarge,
				Message: "what was asked for has more bytes than a flow can be given at once; ask for less: find a transaction without its states, and resolve these in parts"}
		}
		return m, nil
	}
}

func parseIDs(list [][]byte) ([]ledger.Hash, error) {
	if len(list) > ledgerstore.MaxRefs {
		return nil, &rows.Problem{ID: rows.IDTooLarge, Type: rows.TypeTooLarge, Message: "field ids names too many transactions; ask for at most 10,000 at once"}
	}
	out := make([]ledger.Hash, len(list))
	for i, b := range list {
		id, err := ledgerstore.ParseHash("ids", b)
		if err != nil {
			return nil, err
		}
		out[i] = id
	}
	return out, nil
}

func findStatuses(op *appv1.FindTransactionStatuses) (*job, error) {
	ids, err := parseIDs(op.GetIds())
	if err != nil {
		return nil, err
	}
	out := &appv1.TransactionStatuses{}
	return &job{finish: fitting(out), run: func(x exchange) error {
		statuses := ledgerstore.StatusesOf(ids)
		if err := x.read(statuses.Asks()...); err != nil {
			return err
		}
		out.Transactions = statuses.All()
		return nil
	}}, nil
}

func findOfStatus(op *appv1.FindTransactionsOfStatus) (*job, error) {
	status, err := ledgerstore.ParseStatus(op.GetStatus())
	if err != nil {
		return nil, err
	}
	out := &appv1.TransactionStatuses{}
	return &job{finish: fitting(out), run: func(x exchange) error {
		out.Transactions = nil
		return x.read(ledgerstore.OfStatus(status, op.GetFromUs(), op.GetUntilUs(), op.GetLimit(), &out.Transactions))
	}}, nil
}

func resolveStates(op *appv1.ResolveStates) (*job, error) {
	refs, err := ledgerstore.ParseRefs("refs", op.GetRefs())
	if err != nil {
		return nil, err
	}
	out := &appv1.ResolvedStates{}
	return &job{finish: fitting(out), run: func(x exchange) error {
		states, ask := ledgerstore.Resolve(refs)
		if err := x.read(ask); err != nil {
			return err
		}
		out.States, err = states.Resolved(refs)
		return err
	}}, nil
}

func (p *Plan) queryStates(op *appv1.QueryStates) (*job, error) {
	q, err := p.schema.StateQuery(op.GetName())
	if err != nil {
		return nil, err
	}
	condition, args, err := q.Condition(op.GetParameters())
	if err != nil {
		return nil, err
	}
	states, ask, err := ledgerstore.Page("query "+op.GetName(), condition, args, op.GetLimit(), op.GetAfter())
	return statePage(states, ask, err)
}

func statePage(states *ledgerstore.States, ask ledgerstore.Ask, err error) (*job, error) {
	if err != nil {
		return nil, err
	}
	return &job{statements: []rows.Statement{ask.Statement}, take: ask.Take, finish: func() (proto.Message, error) { return states.Page(), nil }}, nil
}

func findFiltered(op *appv1.FindFilteredTransactions) (*job, error) {
	refs, err := ledgerstore.ParseRefs("refs", op.GetRefs())
	if err != nil {
		return nil, err
	}
	if ids, _ := ledgerstore.ProofsOf(refs); len(ids) > maxProven {
		return nil, &rows.Problem{ID: rows.IDTooLarge, Type: rows.TypeTooLarge, Message: "field refs names states of too many transactions; ask for those of at most 200 at once"}
	}
	out := &appv1.FoundFilteredTransactions{}
	return &job{finish: fitting(out), run: func(x exchange) error {
		ids, proofs := ledgerstore.ProofsOf(refs)
		for _, id := range ids {
			x.ask(proofs[id].Asks(id)...)
		}
		if err := x.send(); err != nil {
			return err
		}
		for _, id := range ids {
			list, missing, err := proofs[id].Proven()
			if err != nil {
				return err
			}
			for _, b := range list {
				out.Transactions = append(out.Transactions, &appv1.SignedFilteredTransaction{Filtered: b, Signatures: proofs[id].Signatures})
			}
			for _, i := range missing {
				out.Missing = append(out.Missing, &ledgerv1.StateRef{Transaction: id[:], Index: i})
			}
		}
		return nil
	}}, nil
}

// maxProven bounds the transactions whose parts are proven in one request: each is read whole.
const maxProven = 200

func findGroupParameters(op *appv1.FindGroupParameters) (*job, error) {
	hash, err := ledgerstore.ParseHash("hash", op.GetHash())
	if err != nil {
		return nil, err
	}
	out := &appv1.SignedGroupParameters{}
	return &job{finish: result(out), run: func(x exchange) error {
		var g ledgerstore.GroupParameters
		if err := x.read(g.Find(hash)); err != nil {
			return err
		}
		out.Parameters, out.SignedBy, out.Signature, out.Scheme = g.Parameters, g.SignedBy, g.Signature, g.Scheme
		return nil
	}}, nil
}
