package persistence_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/postgres/pgserver"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// coinApp asks the states that it keeps.
func coinApp() *cpiv1.Cpi {
	states := func(d *cpiv1.QueryDeclaration) *cpiv1.QueryDeclaration { d.States = true; return d }
	return app{queries: []*cpiv1.QueryDeclaration{
		states(query("of-owner", "WHERE visible_states.payload ->> 'owner' = :owner AND visible_states.consumed IS NULL", "owner text")),
		states(query("worth", "token_amount >= :least AND consumed IS NULL -- each", "least numeric")),
		states(query("spent", "consumed IS NOT NULL")),
		states(query("contains", "payload @> :part", "part json")),
		states(query("wrong", "no_such_column = 1")),
		states(query("counts", "count(*) > 1")),
		query("tables", "SELECT 1 AS one"),
	}}.cpi()
}

func newLedger(t *testing.T) *client {
	w := newWorld(t, "")
	return w.client(w.pool(vnodes.Config{}), w.vnode(1, coinApp()), coinApp())
}

// What is stored is found again, byte by byte, and nothing else.
func TestStoredTransaction(t *testing.T) {
	c := newLedger(t)
	issue := makeTx(t, "issue", nil, nil, coin("Coin", 5, "Alice"), coin("Coin", 7, "Bob"))
	pay := makeTx(t, "pay", []ledger.StateRef{issue.Output(0)}, []ledger.StateRef{issue.Output(1)}, coin("Coin", 5, "Bob"))
	find := func(tx *ledger.Transaction, resolve bool, statuses ...appv1.TransactionStatus) *appv1.FoundTransaction {
		out := &appv1.FoundTransaction{}
		c.ok(&appv1.FindTransaction{Id: bytesOf(tx.ID()), Statuses: statuses, Resolve: resolve}, out)
		return out
	}
	if found := find(issue, false); !proto.Equal(found, &appv1.FoundTransaction{}) {
		t.Errorf("found %v where nothing is", found)
	}
	if before, after := c.persisted(issue, unverified); before != none || after != unverified {
		t.Errorf("%s became %s", before, after)
	}
	want := &appv1.FoundTransaction{Status: unverified, Transaction: issue.Encode(), Signatures: [][]byte{sign(issue.ID(), "Alice")}}
	if found := find(issue, false); !proto.Equal(found, want) {
		t.Errorf("found %v", found)
	}
	if found := find(issue, false, verified, invalid); !proto.Equal(found, &appv1.FoundTransaction{Status: unverified}) {
		t.Errorf("found %v", found)
	}
	c.ok(&appv1.PersistSignatures{Id: bytesOf(issue.ID()), Signatures: [][]byte{sign(issue.ID(), "Bob"), sign(issue.ID(), "Alice"), sign(issue.ID(), "notary")}}, nil)
	want.Signatures = append(want.Signatures, sign(issue.ID(), "Bob"), sign(issue.ID(), "notary"))
	if found := find(issue, false, unverified); !proto.Equal(found, want) {
		t.Errorf("found %d signatures", len(found.GetSignatures()))
	}
	// States are resolved of verified transactions only.
	c.fails(&appv1.ResolveStates{Refs: protoRefs(issue.Output(0))}, "not-found", issue.Output(0).String(), "backchain")
	c.persisted(pay, unverified)
	c.fails(&appv1.FindTransaction{Id: bytesOf(pay.ID()), Resolve: true}, "not-found", issue.Output(0).String(), issue.Output(1).String())
	c.ok(&appv1.UpdateTransactionStatus{Id: bytesOf(issue.ID()), Status: verified}, nil)
	found := find(pay, true)
	if len(found.GetInputs()) != 1 || len(found.GetReferences()) != 1 || refOf(found.GetInputs()[0]) != issue.Output(0) || amountOf(t, found.GetReferences()[0]) != 7 {
		t.Errorf("resolved %v", found)
	}
	resolved := &appv1.ResolvedStates{}
	c.ok(&appv1.ResolveStates{Refs: protoRefs(issue.Output(1), issue.Output(0), issue.Output(1))}, resolved)
	if len(resolved.GetStates()) != 3 || refOf(resolved.GetStates()[1]) != issue.Output(0) || amountOf(t, resolved.GetStates()[2]) != 7 || resolved.GetStates()[0].GetNumber() != 0 {
		t.Errorf("resolved %v", resolved)
	}
	c.fails(&appv1.ResolveStates{Refs: protoRefs(issue.Output(2))}, "not-found", issue.Output(2).String())
	statuses := &appv1.TransactionStatuses{}
	c.ok(&appv1.FindTransactionStatuses{Ids: [][]byte{bytesOf(pay.ID()), bytesOf(issue.Output(0).Transaction), bytes.Repeat([]byte{1}, 32)}}, statuses)
	if s := statuses.GetTransactions(); len(s) != 3 || s[0].GetStatus() != unverified || s[1].GetStatus() != verified || s[2].GetStatus() != none || s[0].GetCreatedAtUs() == 0 {
		t.Errorf("statuses %v", statuses)
	}
	// Only what is there, and only if nothing is.
	out := &appv1.PersistedTransaction{}
	c.ok(&appv1.PersistTransaction{Transaction: pay.Encode(), Status: verified, OnlyIfAbsent: true}, out)
	if out.GetStatus() != unverified || c.status(pay).GetStatus() != unverified {
		t.Errorf("%v", out)
	}
	late := makeTx(t, "late", nil, nil, coin("Coin", 1, "Alice"))
	c.ok(&appv1.PersistTransaction{Transaction: late.Encode(), Status: draft, OnlyIfAbsent: true}, out)
	if out.GetStatus() != draft || out.GetBefore() != none {
		t.Errorf("%v", out)
	}
}

// A state is consumed exactly when a verified transaction consumes it, whichever of the two came first.
func TestConsumption(t *testing.T) {
	c := newLedger(t)
	issue := makeTx(t, "issue", nil, nil, coin("Coin", 5, "Alice"), coin("Coin", 7, "Bob"), coin("Coin", 11, "Alice"))
	pay := makeTx(t, "pay", []ledger.StateRef{issue.Output(0), issue.Output(2)}, nil, coin("Coin", 16, "Bob"))
	refs := func() string {
		var out []string
		for _, s := range c.unconsumed("Coin", 0) {
			out = append(out, fmt.Sprint(amountOf(t, s)))
		}
		return strings.Join(out, " ")
	}
	// The payment comes first, as of a chain that is learned backwards; its output is visible only with the second request.
	c.persisted(pay, unverified, 0)
	if got := refs(); got != "" {
		t.Errorf("before anything is verified: %s", got)
	}
	c.ok(&appv1.UpdateTransactionStatus{Id: bytesOf(pay.ID()), Status: verified}, nil)
	if got := refs(); got != "16" {
		t.Errorf("the payment alone: %s", got)
	}
	c.persisted(issue, verified, 0, 1)
	if got := refs(); got != "16 7" {
		t.Errorf("with what it spends: %s", got)
	}
	c.persisted(issue, verified, 2)
	if got := refs(); got != "16 7" {
		t.Errorf("an output that is kept later: %s", got)
	}
	page := &appv1.StatePage{}
	c.ok(&appv1.QueryStates{Name: "spent"}, page)
	if len(page.GetStates()) != 2 || refOf(page.GetStates()[1]) != issue.Output(2) || !bytes.Equal(page.GetStates()[0].GetConsumedBy(), bytesOf(pay.ID())) || page.GetStates()[0].GetConsumedAtUs() == 0 {
		t.Errorf("spent: %v", page)
	}
	// A second transaction that spends the same.
	thief := makeTx(t, "thief", []ledger.StateRef{issue.Output(1), issue.Output(2)}, nil, coin("Coin", 18, "Eve"))
	c.persisted(thief, unverified, 0)
	c.fails(&appv1.UpdateTransactionStatus{Id: bytesOf(thief.ID()), Status: verified}, "double-spend", issue.Output(2).String()+" by "+pay.ID().String())
	c.fails(&appv1.PersistTransaction{Transaction: thief.Encode(), Status: verified}, "double-spend", thief.ID().String())
	if c.status(thief).GetStatus() != unverified || refs() != "16 7" {
		t.Errorf("after a double spend: %s, %s", c.status(thief), refs())
	}
	c.ok(&appv1.UpdateTransactionStatus{Id: bytesOf(thief.ID()), Status: invalid}, nil)
	c.fails(&appv1.PersistTransaction{Transaction: thief.Encode(), Status: verified}, "illegal-status", "invalid and cannot become verified")
	c.fails(&appv1.UpdateTransactionStatus{Id: bytesOf(pay.ID()), Status: invalid}, "illegal-status", "verified and cannot become invalid")
	told(t, c, []string{
		"U " + short(pay), "V " + short(pay), "+" + short(pay) + ":0", "V " + short(issue), "+" + short(issue) + ":0", "-" + short(issue) + ":0 by " + short(pay), "+" + short(issue) + ":1",
		"+" + short(issue) + ":2", "-" + short(issue) + ":2 by " + short(pay), "U " + short(thief), "I " + short(thief),
	})
}

func short(tx *ledger.Transaction) string { return tx.ID().String()[:8] }

// told compares what the feed tells, in order and without gaps.
func told(t *testing.T, c *client, want []string) {
	t.Helper()
	var got []string
	for n, e := range changesOf(c) {
		if e.Change.GetNumber() != uint64(n)+1 || e.Change.GetFlowId() != flow || e.Change.GetCommittedAtUs() == 0 {
			t.Errorf("change %d: %v", n+1, e.Change)
		}
		got = append(got, changeText(e.Change))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the feed tells\n%q\nwant\n%q", got, want)
	}
}

func changeText(c *feedv1.Change) string {
	hex := func(b []byte) string { return fmt.Sprintf("%X", b)[:8] }
	if x := c.GetTransaction(); x != nil {
		return strings.TrimPrefix(x.GetStatus().String(), "TRANSACTION_STATUS_")[:1] + " " + hex(x.GetId())
	}
	s := c.GetState()
	ref := fmt.Sprintf("%s:%d", hex(s.GetRef().GetTransaction()), s.GetRef().GetIndex())
	if s.GetOperation() == feedv1.StateOperation_STATE_OPERATION_CONSUMED {
		return "-" + ref + " by " + hex(s.GetConsumedBy())
	}
	return "+" + ref
}

// Proofs stand for transactions that are not there, give way to them, and are found again.
func TestFilteredTransactions(t *testing.T) {
	c := newLedger(t)
	issue := makeTx(t, "issue", nil, nil, coin("Coin", 5, "Alice"), coin("Coin", 7, "Bob"), coin("Coin", 9, "Bob"))
	show := func(indexes ...int) []byte {
		f, err := issue.Filter(ledger.ForOutputs(indexes...))
		if err != nil {
			t.Fatal(err)
		}
		return f.Encode()
	}
	persist := func(proof []byte) *appv1.PersistFilteredTransactions {
		return &appv1.PersistFilteredTransactions{Transactions: []*appv1.SignedFilteredTransaction{{Filtered: proof, Signatures: [][]byte{sign(issue.ID(), "notary")}}}}
	}
	find := func(indexes ...int) *appv1.FoundFilteredTransactions {
		var refs []ledger.StateRef
		for _, i := range indexes {
			refs = append(refs, issue.Output(i))
		}
		out := &appv1.FoundFilteredTransactions{}
		c.ok(&appv1.FindFilteredTransactions{Refs: protoRefs(refs...)}, out)
		return out
	}
	if out := find(0); len(out.GetTransactions()) != 0 || len(out.GetMissing()) != 1 {
		t.Errorf("found %v", out)
	}
	c.ok(persist(show(0)), nil)
	c.ok(persist(show(0, 1)), nil)
	c.ok(persist(show(1)), nil) // shows nothing new
	if s := c.status(issue); s.GetStatus() != none || !s.GetFiltered() {
		t.Errorf("proofs alone: %v", s)
	}
	if out := find(0, 1, 2); len(out.GetTransactions()) != 2 || !bytes.Equal(out.GetTransactions()[1].GetFiltered(), show(0, 1)) || len(out.GetMissing()) != 1 || out.GetMissing()[0].GetIndex() != 2 ||
		!bytes.Equal(out.GetTransactions()[0].GetSignatures()[0], sign(issue.ID(), "notary")) {
		t.Errorf("found %v", out)
	}
	resolved := &appv1.ResolvedStates{}
	c.ok(&appv1.ResolveStates{Refs: protoRefs(issue.Output(0), issue.Output(1))}, resolved)
	if amountOf(t, resolved.GetStates()[1]) != 7 {
		t.Errorf("resolved %v", resolved)
	}
	c.fails(&appv1.ResolveStates{Refs: protoRefs(issue.Output(2))}, "not-found")
	found := &appv1.FoundTransaction{}
	c.ok(&appv1.FindTransaction{Id: bytesOf(issue.ID())}, found)
	if found.GetStatus() != none || found.GetTransaction() != nil {
		t.Errorf("found %v", found)
	}
	c.fails(&appv1.UpdateTransactionStatus{Id: bytesOf(issue.ID()), Status: invalid}, "not-found", "only proofs")
	c.fails(&appv1.PersistTransaction{Transaction: issue.Encode(), Status: invalid}, "illegal-status", "its notary signed it")
	if got := c.unconsumed("Coin", 0); len(got) != 0 {
		t.Errorf("proofs made states: %v", got)
	}
	// The transaction comes: first unverified, with the proofs beside it.
	if before, after := c.persisted(issue, unverified, 1); before != none || after != unverified {
		t.Errorf("%s became %s", before, after)
	}
	c.ok(&appv1.ResolveStates{Refs: protoRefs(issue.Output(1))}, resolved)
	c.fails(&appv1.ResolveStates{Refs: protoRefs(issue.Output(2))}, "not-found")
	c.ok(&appv1.UpdateTransactionStatus{Id: bytesOf(issue.ID()), Status: verified}, nil)
	if got := c.unconsumed("Coin", 0); len(got) != 1 || amountOf(t, got[0]) != 7 {
		t.Errorf("states %v", got)
	}
	out := find(2, 0)
	if len(out.GetTransactions()) != 1 || !bytes.Equal(out.GetTransactions()[0].GetFiltered(), show(0, 2)) || len(out.GetTransactions()[0].GetSignatures()) != 2 {
		t.Errorf("the whole transaction proves %v", out)
	}
	c.ok(&appv1.FindTransaction{Id: bytesOf(issue.ID())}, found)
	if !bytes.Equal(found.GetTransaction(), issue.Encode()) {
		t.Error("the transaction that came over proofs is another one")
	}
	// What is known to be invalid is not proven.
	bad := makeTx(t, "bad", nil, nil, coin("Coin", 1, "Eve"))
	c.persisted(bad, invalid)
	f, err := bad.Filter(ledger.ForOutputs(0))
	if err != nil {
		t.Fatal(err)
	}
	c.fails(&appv1.PersistFilteredTransactions{Transactions: []*appv1.SignedFilteredTransaction{{Filtered: f.Encode()}}}, "illegal-status", bad.ID().String())
	// A proof without the notary is of no use.
	if f, err = issue.Filter(map[ledger.Group]ledger.Show{ledger.GroupOutputs: {Count: true}}); err != nil {
		t.Fatal(err)
	}
	c.fails(persist(f.Encode()), "invalid-transaction", "show it")
}

// What cannot be right is refused, by its field.
func TestLedgerRefuses(t *testing.T) {
	c := newLedger(t)
	tx := makeTx(t, "issue", nil, nil, coin("Coin", 5, "Alice"))
	other := makeTx(t, "other", nil, nil, coin("Coin", 5, "Alice"))
	id := bytesOf(tx.ID())
	for _, x := range []struct {
		op    proto.Message
		kind  string
		words []string
	}{
		{&appv1.PersistTransaction{Transaction: tx.Encode()}, "invalid-transaction", []string{"field status"}},
		{&appv1.PersistTransaction{Transaction: append(tx.Encode(), 0), Status: verified}, "invalid-transaction", []string{"field transaction"}},
		{&appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified, Visible: []uint32{0, 1}}, "invalid-transaction", []string{"field visible", "output 1"}},
		{&appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified, Signatures: [][]byte{sign(other.ID(), "Alice")}}, "invalid-transaction", []string{"signature 0"}},
		{&appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified, Signatures: [][]byte{{1}}}, "invalid-transaction", []string{"signature 0"}},
		{&appv1.PersistTransaction{Transaction: make([]byte, rows.MaxBytes), Status: verified}, "too-large", []string{"split it"}},
		{&appv1.UpdateTransactionStatus{Id: id[1:], Status: verified}, "invalid-transaction", []string{"field id has 31 bytes"}},
		{&appv1.UpdateTransactionStatus{Id: id, Status: verified}, "not-found", []string{tx.ID().String()}},
		{&appv1.UpdateTransactionStatus{Id: id, Status: 9}, "invalid-transaction", []string{"field status is 9"}},
		{&appv1.PersistSignatures{Id: id}, "not-found", []string{tx.ID().String()}},
		{&appv1.IncrementRepairAttempts{Id: id}, "not-found", []string{tx.ID().String()}},
		{&appv1.FindTransactionStatuses{Ids: [][]byte{id, nil}}, "invalid-transaction", []string{"field ids"}},
		{&appv1.FindTransactionsOfStatus{}, "invalid-transaction", []string{"field status"}},
		{&appv1.FindUnconsumedStates{}, "invalid-transaction", []string{"field type"}},
		{&appv1.FindUnconsumedStates{Type: "Coin", After: []byte(`{"of":"states of type Note","after":1,"until":2}`)}, "invalid-page", []string{"begin without it"}},
		{&appv1.QueryStates{Name: "none"}, "not-declared", []string{"of-owner"}},
		{&appv1.QueryStates{Name: "of-owner", Parameters: []byte(`{}`)}, "invalid-row", []string{`"owner" is not given`}},
		{&appv1.QueryStates{Name: "wrong"}, "query-failed", []string{"no_such_column"}},
		{&appv1.QueryStates{Name: "counts"}, "query-failed", []string{"aggregate"}},
		{&appv1.ResolveStates{Refs: protoRefs(ledger.StateRef{Index: 1 << 31})}, "not-found", []string{":2147483648"}},
		{&appv1.PersistGroupParameters{}, "invalid-transaction", []string{"field parameters"}},
		{&appv1.FindGroupParameters{}, "invalid-transaction", []string{"field hash has 0 bytes"}},
	} {
		c.fails(x.op, x.kind, x.words...)
	}
	if got := changesOf(c); len(got) != 0 {
		t.Errorf("what was refused is told: %v", got)
	}
}

// A payload that jsonb cannot hold keeps nobody from storing its transaction.
func TestOddPayloads(t *testing.T) {
	c := newLedger(t)
	var outputs []ledger.State
	for _, p := range []string{`"\u0000"`, `{"a":"\ud800"}`, `1e999999`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), `{"a":1,"a":2}`, `"\ud83d\ude00"`, ` {"owner" : "Ann"} `} {
		s := coin("Odd", 1, "Ann")
		s.Payload = []byte(p)
		outputs = append(outputs, s)
	}
	tx := makeTx(t, "odd", nil, nil, outputs...)
	c.persisted(tx, verified, 0, 1, 2, 3, 4, 5, 6)
	if got := c.unconsumed("Odd", 2); len(got) != len(outputs) {
		t.Errorf("%d of %d states", len(got), len(outputs))
	}
	page := &appv1.StatePage{}
	c.ok(&appv1.QueryStates{Name: "of-owner", Parameters: []byte(`{"owner":"Ann"}`)}, page)
	if len(page.GetStates()) != 1 || refOf(page.GetStates()[0]) != tx.Output(6) {
		t.Errorf("asked by payload: %v", page)
	}
	c.ok(&appv1.QueryStates{Name: "contains", Parameters: []byte(`{"part":{"a":2}}`)}, page)
	if len(page.GetStates()) != 1 || refOf(page.GetStates()[0]) != tx.Output(4) {
		t.Errorf("asked by part: %v", page)
	}
}

// Whatever is added to a transaction, it can be handed back.
func TestLargeTransaction(t *testing.T) {
	c := newLedger(t)
	big := coin("Big", 1, "Ann")
	big.Payload = []byte(`{"owner":"Ann","text":"` + strings.Repeat("x", 440<<10) + `"}`)
	tx := makeTx(t, "big", nil, nil, big)
	if before, after := c.persisted(tx, verified, 0); before != none || after != verified {
		t.Errorf("%s became %s", before, after)
	}
	var signatures [][]byte
	for n := range 400 {
		signatures = append(signatures, sign(tx.ID(), fmt.Sprint("signer ", n)))
	}
	c.ok(&appv1.PersistSignatures{Id: bytesOf(tx.ID()), Signatures: signatures[:100]}, nil)
	c.ok(&appv1.PersistSignatures{Id: bytesOf(tx.ID()), Signatures: signatures[:300]}, nil) // those that are there count once
	c.fails(&appv1.PersistSignatures{Id: bytesOf(tx.ID()), Signatures: signatures[100:]}, "too-large", "leave out")
	c.fails(&appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified, Signatures: signatures[100:]}, "too-large")
	found := &appv1.FoundTransaction{}
	c.ok(&appv1.FindTransaction{Id: bytesOf(tx.ID()), Resolve: true}, found)
	if !bytes.Equal(found.GetTransaction(), tx.Encode()) || len(found.GetSignatures()) != 301 {
		t.Errorf("found %d bytes and %d signatures", len(found.GetTransaction()), len(found.GetSignatures()))
	}
	if got := c.unconsumed("Big", 10); len(got) != 1 || len(got[0].GetOutput()) < 440<<10 {
		t.Errorf("%d states", len(got))
	}
	for n := range 2 { // two do not fit into a page
		other := makeTx(t, fmt.Sprint("big", n), nil, nil, big)
		c.persisted(other, verified, 0)
	}
	if got := c.unconsumed("Big", 10); len(got) != 3 {
		t.Errorf("%d states", len(got))
	}
	c.fails(&appv1.ResolveStates{Refs: protoRefs(tx.Output(0), tx.Output(0))}, "too-large", "fewer at once")
}

// Which transactions need repair, and how often it was tried.
func TestRepairAttempts(t *testing.T) {
	c := newLedger(t)
	a, b := makeTx(t, "a", nil, nil, coin("Coin", 1, "A")), makeTx(t, "b", nil, nil, coin("Coin", 1, "A"))
	c.persisted(a, unverified)
	c.persisted(b, unverified)
	of := func(op *appv1.FindTransactionsOfStatus) string {
		out := &appv1.TransactionStatuses{}
		c.ok(op, out)
		var s []string
		for _, k := range out.GetTransactions() {
			s = append(s, fmt.Sprintf("%X/%d", k.GetId()[:4], k.GetRepairAttempts()))
		}
		return strings.Join(s, " ")
	}
	all := &appv1.FindTransactionsOfStatus{Status: unverified}
	if got, want := of(all), short(a)+"/0 "+short(b)+"/0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	attempts := &appv1.RepairAttempts{}
	r := c.do("again", &appv1.IncrementRepairAttempts{Id: bytesOf(a.ID())})
	again := c.do("again", &appv1.IncrementRepairAttempts{Id: bytesOf(a.ID())})
	if err := proto.Unmarshal(again.Reply.GetResult(), attempts); err != nil || attempts.GetAttempts() != 1 || !again.Repeated || !proto.Equal(r.Reply, again.Reply) {
		t.Errorf("the same request twice: %v", attempts)
	}
	c.ok(&appv1.IncrementRepairAttempts{Id: bytesOf(a.ID())}, attempts)
	if attempts.GetAttempts() != 2 {
		t.Errorf("%d attempts", attempts.GetAttempts())
	}
	if got, want := of(all), short(b)+"/0 "+short(a)+"/2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	created := c.status(b).GetCreatedAtUs()
	if got := of(&appv1.FindTransactionsOfStatus{Status: unverified, FromUs: created, UntilUs: created + 1}); got != short(b)+"/0" {
		t.Errorf("within a moment: %s", got)
	}
	if got := of(&appv1.FindTransactionsOfStatus{Status: unverified, UntilUs: created}); got != short(a)+"/2" {
		t.Errorf("before: %s", got)
	}
	if got := of(&appv1.FindTransactionsOfStatus{Status: unverified, Limit: 1}); got != short(b)+"/0" {
		t.Errorf("one: %s", got)
	}
}

// A schema of before there was a ledger goes on with its tables and its feed, and says what it lacks.
func TestSchemaWithoutLedger(t *testing.T) {
	w := newWorld(t, "")
	a := itemApp()
	h := w.vnode(1, a.cpi(), itemTable)
	pgtest.Script(t, w.url, "", "", strings.ReplaceAll(`DROP TABLE s.fl_transaction, s.fl_metadata, s.fl_component, s.fl_source, s.fl_state, s.fl_signature, s.fl_filtered, s.fl_filtered_output, s.fl_group_parameters;
		DROP FUNCTION s.fl_guard() CASCADE; ALTER TABLE s.fl_outbox DROP COLUMN change`, "s.fl_", w.logins[h].Schema+".fl_"))
	c := w.client(w.pool(vnodes.Config{}), h, a.cpi())
	tx := makeTx(t, "issue", nil, nil, coin("Coin", 5, "Alice"))
	c.fails(&appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified}, "unavailable", h, "The database worker makes them when it starts")
	c.fails(&appv1.FindUnconsumedStates{Type: "Coin"}, "unavailable", "The database worker makes them when it starts")
	c.ok(&appv1.PersistRows{Table: "item", Rows: objects(`{"id":1,"v":"a"}`)}, nil)
	if got := changesOf(c); len(got) != 1 || got[0].Change.GetRow().GetTable() != "item" {
		t.Errorf("told %v", got)
	}
}

// Parameters of the group are kept by their hash, the first that came.
func TestGroupParameters(t *testing.T) {
	c := newLedger(t)
	first := &appv1.SignedGroupParameters{Parameters: []byte("p"), SignedBy: []byte("k"), Signature: []byte("s"), Scheme: "EdDSA"}
	second := proto.CloneOf(first)
	second.Signature = []byte("t")
	hash := sha256.Sum256([]byte("p"))
	got := &appv1.SignedGroupParameters{}
	c.ok(&appv1.FindGroupParameters{Hash: hash[:]}, got)
	if !proto.Equal(got, &appv1.SignedGroupParameters{}) {
		t.Errorf("found %v where nothing is", got)
	}
	c.ok(&appv1.PersistGroupParameters{Parameters: first}, nil)
	c.ok(&appv1.PersistGroupParameters{Parameters: second}, nil)
	c.ok(&appv1.FindGroupParameters{Hash: hash[:]}, got)
	if !proto.Equal(got, first) {
		t.Errorf("found %v", got)
	}
}

// The ledger's tables are out of reach of the application's SQL for writing: by name, by text that becomes SQL, as the
// data's role and as the owner of the application's tables, in queries of tables and of states.
func TestLedgerIsOutOfReach(t *testing.T) {
	w := newWorld(t, "")
	const attempt = `CREATE FUNCTION attempt(sql text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; RETURN 'done'; END $$;
CREATE FUNCTION attempt_as_owner(sql text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE sql; RETURN 'done'; END $$;`
	byState := query("by-state", "attempt(:sql) IS NOT NULL", "sql text")
	byState.States = true
	a := app{queries: []*cpiv1.QueryDeclaration{
		query("read", "SELECT attempt(:sql) AS r", "sql text"), query("read_as_owner", "SELECT attempt_as_owner(:sql) AS r", "sql text"),
		writing(query("write", "SELECT attempt(:sql) AS r", "sql text")), writing(query("write_as_owner", "SELECT attempt_as_owner(:sql) AS r", "sql text")), byState,
	}}
	h := w.vnode(1, a.cpi(), attempt)
	pool := w.pool(vnodes.Config{})
	c := w.client(pool, h, a.cpi())
	tx := makeTx(t, "issue", nil, nil, coin("Coin", 5, "Alice"))
	c.persisted(tx, verified, 0)
	c.ok(&appv1.PersistGroupParameters{Parameters: &appv1.SignedGroupParameters{Parameters: []byte("p"), SignedBy: []byte("k"), Signature: []byte("s"), Scheme: "EdDSA"}}, nil)
	schema := w.logins[h].Schema
	count := func() (text string) {
		err := w.admin.One(t.Context(), []any{&text}, strings.ReplaceAll(`SELECT concat_ws(' ', (SELECT count(*) FROM s.fl_metadata), (SELECT string_agg(status, '') FROM s.fl_transaction), (SELECT count(*) FROM s.fl_component),
			(SELECT count(*) FROM s.fl_source), (SELECT count(*) FROM s.fl_state WHERE consumed IS NULL), (SELECT count(*) FROM s.fl_signature), (SELECT count(*) FROM s.fl_filtered),
			(SELECT count(*) FROM s.fl_group_parameters), (SELECT count(*) FROM s.fl_outbox WHERE change IS NOT NULL))`, " s.", " "+schema+"."))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := count()
	statements := []string{
		"INSERT INTO fl_outbox (number, committed_at, shape, operation, row_key, change) VALUES (100, now(), '', 0, '{}', 'x')", "UPDATE fl_outbox SET change = 'x'",
		"DROP TRIGGER fl_guard ON fl_state", "ALTER TABLE fl_state DISABLE TRIGGER ALL", "ALTER TABLE fl_state DISABLE TRIGGER fl_guard", "DROP TABLE fl_state", "TRUNCATE fl_state",
		"CREATE OR REPLACE FUNCTION fl_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "DROP FUNCTION fl_guard() CASCADE", "SET TRANSACTION DEFERRABLE", "SET transaction_deferrable = on",
		"SET LOCAL transaction_deferrable = on", "SET session_replication_role = replica", "CREATE RULE r AS ON UPDATE TO fl_state DO INSTEAD NOTHING",
	}
	for _, table := range []string{"fl_metadata", "fl_transaction", "fl_component", "fl_source", "fl_state", "fl_signature", "fl_filtered", "fl_filtered_output", "fl_group_parameters"} {
		statements = append(statements, "DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM "+table+" LIMIT 0", "WITH d AS (DELETE FROM "+table+" RETURNING 1) SELECT count(*) FROM d")
	}
	statements = append(statements, "UPDATE fl_state SET consumed = NULL", "UPDATE fl_transaction SET status = 'I'", "WITH s AS (SELECT attempt('SET LOCAL default_transaction_deferrable = on')) UPDATE fl_state SET type = 'x' FROM s")
	for _, sql := range statements {
		for _, q := range []string{"read", "read_as_owner", "write", "write_as_owner"} {
			r := c.do("", &appv1.NamedQuery{Name: q, Parameters: parameter(sql)})
			if r.Err != nil || r.Reply.GetError() == nil {
				t.Errorf("%s: %s was not refused: %v", q, sql, r.Err)
			}
			if changes := strings.Contains(sql, "DELETE FROM") || strings.HasPrefix(sql, "INSERT") || strings.HasPrefix(sql, "UPDATE fl_state"); q == "write" && changes && !strings.Contains(r.Reply.GetError().GetMessage(), "only the platform changes it") {
				t.Errorf("%s: %s was refused for another reason: %v", q, sql, r.Reply.GetError())
			}
		}
		if r := c.do("", &appv1.QueryStates{Name: "by-state", Parameters: parameter(sql)}); r.Err != nil || r.Reply.GetError() == nil {
			t.Errorf("by-state: %s was not refused: %v", sql, r.Err)
		}
		if _, err := rows.Compile(nil, []*cpiv1.QueryDeclaration{{Name: "q", Sql: sql, Writes: true}}); err == nil {
			t.Errorf("%s can be declared", sql)
		}
	}
	// What the role is given for later sessions changes nothing either.
	c.do("", &appv1.NamedQuery{Name: "write", Parameters: parameter("ALTER ROLE CURRENT_USER SET default_transaction_deferrable = on")})
	fresh := w.client(w.pool(vnodes.Config{}), h, a.cpi())
	if e := fresh.do("settings", &appv1.NamedQuery{Name: "write", Parameters: parameter("UPDATE fl_state SET type = 'x'")}).Reply.GetError(); e == nil || !strings.Contains(e.GetMessage(), "only the platform changes it") {
		t.Errorf("after a change of the role's settings: %v", e)
	}
	if after := count(); after != before {
		t.Errorf("the ledger was %s and is %s", before, after)
	}
	// And it goes on.
	c.persisted(makeTx(t, "pay", []ledger.StateRef{tx.Output(0)}, nil, coin("Coin", 5, "Bob")), verified, 0)
	if got := c.unconsumed("Coin", 0); len(got) != 1 {
		t.Errorf("states %v", got)
	}
}

// Requests and changes on their way through Kafka, each request twice, while the process is restarted and Postgres killed:
// each has one effect and one answer, and the feed tells each change once.
func TestLedgerThroughKafka(t *testing.T) {
	server := pgtest.Server(t, pgserver.Options{})
	w := newWorld(t, server.URL("postgres"))
	h := w.vnode(1, itemApp().cpi(), itemTable)
	s := newSite(t, w, []string{h})
	s.start("a")
	codec := schemas.Codec[*persistencev1.Request]()
	const each = 40
	var want []string
	var input []ledger.StateRef
	for n := range each {
		tx := makeTx(t, fmt.Sprint("k", n), input, nil, coin("Coin", 5, "Ann"))
		r := request(h, &appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified, Visible: []uint32{0}})
		for range 2 {
			s.c.Produce(t, topics.PersistenceRequests, r.GetFlowId(), r, codec, engine.HeaderRequest, fmt.Sprint("k", n))
		}
		want = append(want, "V "+short(tx))
		if n > 0 {
			want = append(want, fmt.Sprintf("-%X:0 by %s", input[0].Transaction[:4], short(tx)))
		}
		want = append(want, "+"+short(tx)+":0")
		input = []ledger.StateRef{tx.Output(0)}
		switch n {
		case each / 4, 3 * each / 4:
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		case each / 2:
			s.stop()
			s.start("a")
		}
		s.c.Consume(t, topics.FlowRepliesPersistence, 2*(n+1)) // a flow asks for more when it has its answers
	}
	answers := map[string]*rpcv1.Reply{}
	for _, r := range s.c.Consume(t, topics.FlowRepliesPersistence, 2*each) {
		m := &rpcv1.Reply{}
		if err := proto.Unmarshal(r.Value, m); err != nil || m.GetError() != nil {
			t.Fatal(err, m.GetError())
		}
		for _, x := range r.Headers {
			if x.Key == engine.HeaderRequest {
				if first := answers[string(x.Value)]; first != nil && !proto.Equal(first, m) {
					t.Errorf("%s was answered with %v, then with %v", x.Value, first, m)
				}
				answers[string(x.Value)] = m
			}
		}
	}
	if len(answers) != each {
		t.Errorf("%d of %d requests were answered", len(answers), each)
	}
	got := make([]string, len(want))
	for _, r := range s.c.ConsumeUntil(t, "feed", func(r []*kgo.Record) bool { return len(r) >= len(want) }) {
		m := &feedv1.Change{}
		if err := proto.Unmarshal(r.Value, m); err != nil || m.GetNumber() == 0 || m.GetNumber() > uint64(len(want)) || got[m.GetNumber()-1] != "" {
			t.Fatalf("change %d: %v", m.GetNumber(), err)
		}
		if key := string(r.Key); !strings.HasPrefix(key, "transaction SHA-256:") && !strings.HasPrefix(key, "state SHA-256:") {
			t.Errorf("key %q", key)
		}
		got[m.GetNumber()-1] = changeText(m)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the feed tells\n%q\nwant\n%q", got, want)
	}
}
