package flowtest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// tables are what a member's database holds of the ledger, by the rules of the platform's persistence worker.
type tables struct {
	transactions map[ledger.Hash]*stored
	states       map[ledger.StateRef]*kept
	parameters   map[ledger.Hash]wire.SignedGroupParameters
	// last is the number of the last change.
	last uint64
}

// stored is a transaction. One of which there are only proofs has no tx and the status of a verified one.
type stored struct {
	tx         *ledger.Transaction
	status     vault.Status
	createdUs  int64
	attempts   uint32
	visible    []uint32
	signatures []ledger.Signature
	proofs     [][]byte
	shown      map[uint32]shown // by output
}

// shown is an output and the proof that shows it.
type shown struct {
	state  ledger.State
	notary ledger.Notary
	proof  int
}

// kept is a state of the virtual node.
type kept struct {
	number                  uint64
	createdUs, consumedAtUs int64
	consumedBy              ledger.Hash
}

// whole is the status of the whole transaction.
func (s *stored) whole() vault.Status {
	if s == nil || s.tx == nil {
		return vault.Absent
	}
	return s.status
}

// ledgerTables are the member's.
func (m *Member) ledgerTables() *tables {
	if m.ledger == nil {
		m.ledger = &tables{transactions: map[ledger.Hash]*stored{}, states: map[ledger.StateRef]*kept{}, parameters: map[ledger.Hash]wire.SignedGroupParameters{}}
	}
	return m.ledger
}

func invalid(format string, args ...any) error {
	return flow.Errorf(flow.ErrInvalidArgument.Type, format, args...)
}

func badTransaction(format string, args ...any) error {
	return flow.Errorf(flow.ErrInvalidTransaction.Type, format, args...)
}

func absent(id ledger.Hash) error {
	return flow.Errorf(flow.ErrNotFound.Type, "transaction %s is not in the vault; store it first", id)
}

// answerLedger answers an operation on the ledger's tables.
func (m *Member) answerLedger(o *wire.LedgerRequest) wire.Answer {
	result, err := m.askLedger(o.Operation)
	var e *flow.Error
	switch {
	case errors.As(err, &e):
		return fault(e.Type, e.Message)
	case err != nil:
		return fault("query-failed", err.Error())
	case result == nil:
		return wire.Result(nil)
	}
	return wire.Result(result)
}

// askLedger does an operation. The result is nil for those without.
func (m *Member) askLedger(o wire.LedgerOperation) (wire.Message, error) {
	t, nowUs := m.ledgerTables(), m.net.now.UnixMicro()
	switch o := o.(type) {
	case *wire.PersistTransaction:
		return t.persist(o, nowUs)
	case *wire.UpdateTransactionStatus:
		return nil, t.update(o, nowUs)
	case *wire.FindTransaction:
		return t.find(o)
	case *wire.FindTransactionStatuses:
		return t.statuses(o)
	case *wire.FindTransactionsOfStatus:
		return t.ofStatus(o)
	case *wire.IncrementRepairAttempts:
		id, err := hashOf("id", o.ID)
		if err != nil {
			return nil, err
		}
		s := t.transactions[id]
		if s.whole() == vault.Absent {
			return nil, absent(id)
		}
		s.attempts++
		return &wire.RepairAttempts{Attempts: s.attempts}, nil
	case *wire.PersistSignatures:
		return nil, t.addSignatures(o)
	case *wire.FindUnconsumedStates:
		if o.Type == "" {
			return nil, invalid("type: it is empty")
		}
		return t.page("states of type "+o.Type, o.Limit, o.After, func(s vault.State) bool { return s.State.Type == o.Type && s.ConsumedAt.IsZero() })
	case *wire.QueryStates:
		return m.queryStates(t, o)
	case *wire.ResolveStates:
		states, err := t.resolve(o.Refs)
		return &wire.ResolvedStates{States: states}, err
	case *wire.PersistFilteredTransactions:
		return nil, t.persistFiltered(o, nowUs)
	case *wire.FindFilteredTransactions:
		return t.findFiltered(o)
	case *wire.PersistGroupParameters:
		p := o.Parameters
		if p == nil || len(p.Parameters) == 0 || len(p.SignedBy) == 0 || len(p.Signature) == 0 || p.Scheme == "" {
			return nil, badTransaction("field parameters: its parameters, key, signature or scheme is empty; give all four")
		}
		if _, ok := t.parameters[sha256.Sum256(p.Parameters)]; !ok {
			t.parameters[sha256.Sum256(p.Parameters)] = *p
		}
		return nil, nil
	case *wire.FindGroupParameters:
		id, err := hashOf("hash", o.Hash)
		p := t.parameters[id]
		return &p, err
	default:
		return nil, flow.Errorf("unsupported", "the test network does not know this operation on the ledger")
	}
}

func (t *tables) persist(o *wire.PersistTransaction, nowUs int64) (wire.Message, error) {
	tx, err := ledger.Decode(o.Transaction)
	if err != nil {
		return nil, invalid("transaction: %s", err)
	}
	if err := checkVisible(tx, o.Visible, invalid); err != nil {
		return nil, err
	}
	to, err := statusOf(o.Status)
	if err != nil {
		return nil, err
	}
	signatures, err := signaturesOf(tx.ID(), o.Signatures)
	if err != nil {
		return nil, err
	}
	n := len(o.Transaction)
	for _, s := range o.Signatures {
		n += len(s)
	}
	if n > ledger.MaxStored {
		return nil, flow.Errorf("too-large", "the transaction with its signatures has %d bytes; at most %d can be stored: split it, or keep large data outside of states", n, ledger.MaxStored)
	}
	id := tx.ID()
	s := t.transactions[id]
	before := s.whole()
	if o.OnlyIfAbsent && before != vault.Absent {
		return &wire.PersistedTransaction{Status: int32(before), Before: int32(before)}, nil
	}
	next, ok := move(s, to)
	if !ok {
		return nil, illegal(id, before, to)
	}
	elsewhere, err := elsewhereOf(tx, to, o.Consumed)
	if err != nil {
		return nil, err
	}
	if err := t.become(tx, s, next, o.Visible, nowUs); err != nil {
		return nil, err
	}
	t.transactions[id].sign(signatures)
	t.consumedBy(tx.Content().Notary.Name, elsewhere, nowUs)
	return &wire.PersistedTransaction{Status: int32(next), Before: int32(before)}, nil
}

func (t *tables) update(o *wire.UpdateTransactionStatus, nowUs int64) error {
	id, err := hashOf("id", o.ID)
	if err != nil {
		return err
	}
	to, err := statusOf(o.Status)
	if err != nil {
		return err
	}
	s := t.transactions[id]
	if s.whole() == vault.Absent {
		return absent(id)
	}
	next, ok := move(s, to)
	if !ok || next != to {
		return illegal(id, s.status, to)
	}
	if err := checkVisible(s.tx, o.Visible, badTransaction); err != nil {
		return err
	}
	return t.become(s.tx, s, next, o.Visible, nowUs)
}

// move is what a transaction becomes that comes with a status; one that is further stays what it is.
func move(s *stored, to vault.Status) (next vault.Status, ok bool) {
	from := s.whole()
	switch {
	case from == vault.Absent:
		return to, s == nil || to != vault.Invalid // what a notary signed is not invalid
	case from == vault.Draft && (to == vault.Unverified || to == vault.Verified), from == vault.Unverified && (to == vault.Verified || to == vault.Invalid):
		return to, true
	case from == vault.Draft && to == vault.Invalid, from == vault.Verified && to == vault.Invalid, from == vault.Invalid && to == vault.Verified:
		return from, false
	}
	return from, true
}

func illegal(id ledger.Hash, from, to vault.Status) error {
	return flow.Errorf(vault.ErrIllegalStatus.Type, "transaction %s: it is %s and cannot become %s", id, cmp.Or(from.String(), "verified, and only proofs are there,"), to)
}

// become gives a transaction a status and makes what follows from it.
func (t *tables) become(tx *ledger.Transaction, s *stored, next vault.Status, visible []uint32, nowUs int64) error {
	id, changes := tx.ID(), s.whole() != next
	if next == vault.Verified && changes {
		if err := t.doubleSpend(tx); err != nil {
			return err
		}
	}
	switch {
	case s == nil:
		s = &stored{createdUs: nowUs, shown: map[uint32]shown{}}
		t.transactions[id] = s
	case s.tx == nil:
		s.createdUs = cmp.Or(s.createdUs, nowUs)
	}
	s.tx, s.status = tx, next
	s.visible = append(s.visible, visible...)
	slices.Sort(s.visible)
	s.visible = slices.Compact(s.visible)
	if changes {
		t.last++
	}
	if next != vault.Verified {
		return nil
	}
	if changes {
		for _, ref := range tx.Content().Inputs {
			if k := t.states[ref]; k != nil && k.consumedAtUs == 0 {
				t.last++
				k.consumedAtUs, k.consumedBy = nowUs, id
			}
		}
	}
	for _, i := range s.visible {
		ref := tx.Output(int(i))
		if t.states[ref] != nil {
			continue
		}
		t.last++
		k := &kept{number: t.last, createdUs: nowUs}
		if by, spent := t.spender(ref); spent {
			t.last++
			k.consumedAtUs, k.consumedBy = nowUs, by
		}
		t.states[ref] = k
	}
	return nil
}

// spender is the verified transaction that consumes a state.
func (t *tables) spender(ref ledger.StateRef) (ledger.Hash, bool) {
	for id, s := range t.transactions {
		if s.whole() == vault.Verified && slices.Contains(s.tx.Content().Inputs, ref) {
			return id, true
		}
	}
	return ledger.Hash{}, false
}

func (t *tables) doubleSpend(tx *ledger.Transaction) error {
	for _, ref := range tx.Content().Inputs {
		if by, spent := t.spender(ref); spent && by != tx.ID() {
			return flow.Errorf(vault.ErrDoubleSpend.Type, "transaction %s cannot be verified: its input %s is consumed by the verified transaction %s", tx.ID(), ref, by)
		}
	}
	return nil
}

// sign adds signatures, one for each key.
func (s *stored) sign(all []ledger.Signature) {
	for _, x := range all {
		if !slices.ContainsFunc(s.signatures, func(have ledger.Signature) bool { return bytes.Equal(have.By, x.By) }) {
			s.signatures = append(s.signatures, x)
		}
	}
}

func (s *stored) encodedSignatures() [][]byte {
	var out [][]byte
	for _, x := range s.signatures {
		out = append(out, x.Encode())
	}
	return out
}

func (t *tables) find(o *wire.FindTransaction) (wire.Message, error) {
	id, err := hashOf("id", o.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range o.Statuses {
		if _, err := statusOf(s); err != nil {
			return nil, err
		}
	}
	s := t.transactions[id]
	out := &wire.FoundTransaction{Status: int32(s.whole())}
	if s.whole() == vault.Absent || len(o.Statuses) > 0 && !slices.Contains(o.Statuses, out.Status) {
		return out, nil
	}
	out.Transaction, out.Signatures = s.tx.Encode(), s.encodedSignatures()
	if !o.Resolve {
		return out, nil
	}
	if out.Inputs, err = t.resolve(refsOf(s.tx.Content().Inputs)); err != nil {
		return nil, err
	}
	out.References, err = t.resolve(refsOf(s.tx.Content().References))
	return out, err
}

func (t *tables) known(id ledger.Hash) wire.KnownTransaction {
	s := t.transactions[id]
	if s == nil {
		return wire.KnownTransaction{ID: id[:]}
	}
	return wire.KnownTransaction{ID: id[:], Status: int32(s.whole()), Filtered: s.tx == nil, CreatedAtUS: s.createdUs, RepairAttempts: s.attempts}
}

func (t *tables) statuses(o *wire.FindTransactionStatuses) (wire.Message, error) {
	out := &wire.TransactionStatuses{}
	for i, b := range o.IDs {
		id, err := hashOf("ids: "+strconv.Itoa(i), b)
		if err != nil {
			return nil, err
		}
		out.Transactions = append(out.Transactions, t.known(id))
	}
	return out, nil
}

func (t *tables) ofStatus(o *wire.FindTransactionsOfStatus) (wire.Message, error) {
	want, err := statusOf(o.Status)
	if err != nil {
		return nil, err
	}
	out := &wire.TransactionStatuses{}
	for id, s := range t.transactions {
		if s.whole() == want && s.createdUs >= o.FromUS && (o.UntilUS == 0 || s.createdUs < o.UntilUS) {
			out.Transactions = append(out.Transactions, t.known(id))
		}
	}
	slices.SortFunc(out.Transactions, func(a, b wire.KnownTransaction) int {
		return cmp.Or(cmp.Compare(a.RepairAttempts, b.RepairAttempts), cmp.Compare(a.CreatedAtUS, b.CreatedAtUS), bytes.Compare(a.ID, b.ID))
	})
	limit := min(cmp.Or(int(o.Limit), 100), 10_000)
	out.Transactions = out.Transactions[:min(limit, len(out.Transactions))]
	return out, nil
}

func (t *tables) addSignatures(o *wire.PersistSignatures) error {
	id, err := hashOf("id", o.ID)
	if err != nil {
		return err
	}
	all, err := signaturesOf(id, o.Signatures)
	if err != nil {
		return err
	}
	s := t.transactions[id]
	if s == nil {
		return absent(id)
	}
	s.sign(all)
	return nil
}

// state reads a state: of a verified transaction, or one that a proof shows.
func (t *tables) state(ref ledger.StateRef) (vault.State, bool) {
	s := t.transactions[ref.Transaction]
	out := vault.State{Ref: ref}
	switch {
	case s == nil || s.status == vault.Invalid:
		return out, false
	case s.whole() == vault.Verified && int64(ref.Index) < int64(len(s.tx.Content().Outputs)):
		out.State, out.Notary = s.tx.Content().Outputs[ref.Index], s.tx.Content().Notary
	default:
		x, ok := s.shown[ref.Index]
		if !ok {
			return out, false
		}
		out.State, out.Notary = x.state, x.notary
	}
	if k := t.states[ref]; k != nil {
		out.Number, out.CreatedAt, out.ConsumedBy = k.number, time.UnixMicro(k.createdUs).UTC(), k.consumedBy
		if k.consumedAtUs != 0 {
			out.ConsumedAt = time.UnixMicro(k.consumedAtUs).UTC()
		}
	}
	return out, true
}

func (t *tables) resolve(refs []wire.StateRef) ([]wire.LedgerState, error) {
	var out []wire.LedgerState
	var missing []string
	for i, r := range refs {
		id, err := hashOf("refs: "+strconv.Itoa(i), r.Transaction)
		if err != nil {
			return nil, err
		}
		ref := ledger.StateRef{Transaction: id, Index: r.Index}
		s, ok := t.state(ref)
		if !ok {
			missing = append(missing, ref.String())
			continue
		}
		out = append(out, wireState(s))
	}
	if len(missing) > 0 {
		return nil, flow.Errorf(flow.ErrNotFound.Type, "states %s are not in the vault, or not of a verified transaction; resolve the backchain first", strings.Join(missing, ", "))
	}
	return out, nil
}

// place is where a page begins.
type place struct {
	Of           string
	After, Until uint64
}

// page reads a page of the member's states that fulfil a condition.
func (t *tables) page(of string, limit uint32, after []byte, fits func(vault.State) bool) (wire.Message, error) {
	at := place{Of: of, Until: t.last}
	if len(after) > 0 {
		if err := json.Unmarshal(after, &at); err != nil || at.Of != of {
			return nil, flow.Errorf("invalid-page", "after is not what a page of %s returned as next; begin without it", of)
		}
	}
	n := min(cmp.Or(int(limit), 1000), 10_000)
	out := &wire.StatePage{}
	for _, s := range t.kept() {
		if s.Number <= at.After || s.Number > at.Until || !fits(s) {
			continue
		}
		if len(out.States) == n {
			at.After = out.States[n-1].Number
			next, err := json.Marshal(at)
			out.Next = next
			return out, err
		}
		out.States = append(out.States, wireState(s))
	}
	return out, nil
}

// kept are the member's states in the order of their numbers.
func (t *tables) kept() []vault.State {
	var out []vault.State
	for ref := range t.states {
		if s, ok := t.state(ref); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b vault.State) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

func (m *Member) queryStates(t *tables, o *wire.QueryStates) (wire.Message, error) {
	q := m.net.settings.stateQueries[o.Query]
	if q == nil {
		return nil, flow.Errorf(flow.ErrNotDeclared.Type, "query %q of states has no answer; give the network a flowtest.StateQuery (it has %q)", o.Query, slices.Sorted(maps.Keys(m.net.settings.stateQueries)))
	}
	parameters := o.Parameters
	if len(parameters) == 0 {
		parameters = []byte("{}")
	}
	fits, err := q(m, parameters)
	if err != nil {
		return nil, err
	}
	return t.page("query "+o.Query, o.Limit, o.After, fits)
}

func hashOf(field string, b []byte) (ledger.Hash, error) {
	if len(b) != len(ledger.Hash{}) {
		return ledger.Hash{}, invalid("%s: it has %d bytes, a SHA-256 has %d", field, len(b), len(ledger.Hash{}))
	}
	return ledger.Hash(b), nil
}

func statusOf(s int32) (vault.Status, error) {
	if s < int32(vault.Unverified) || s > int32(vault.Draft) {
		return vault.Absent, invalid("status: %d is none of unverified, verified, invalid and draft", s)
	}
	return vault.Status(s), nil
}

func checkVisible(tx *ledger.Transaction, visible []uint32, wrong func(string, ...any) error) error {
	for _, i := range visible {
		if n := len(tx.Content().Outputs); int64(i) >= int64(n) {
			return wrong("visible: output %d is named, the transaction has %d", i, n)
		}
	}
	return nil
}

func signaturesOf(id ledger.Hash, all [][]byte) ([]ledger.Signature, error) {
	var out []ledger.Signature
	for i, b := range all {
		s, err := ledger.DecodeSignature(b)
		if err != nil {
			return nil, invalid("signatures: %d: %s", i, err)
		}
		if err := s.Verify(id); err != nil {
			return nil, badTransaction("signature %d of transaction %s: %s; store only signatures that were checked", i, id, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func refsOf(all []ledger.StateRef) []wire.StateRef {
	out := make([]wire.StateRef, len(all))
	for i := range all {
		out[i] = wire.StateRef{Transaction: all[i].Transaction[:], Index: all[i].Index}
	}
	return out
}

func wireState(s vault.State) wire.LedgerState {
	info, content := s.State.Components()
	out := wire.LedgerState{Ref: &wire.StateRef{Transaction: s.Ref.Transaction[:], Index: s.Ref.Index}, Info: info, Output: content, Notary: s.Notary.Encode(), Number: s.Number}
	if !s.CreatedAt.IsZero() {
		out.CreatedAtUS = s.CreatedAt.UnixMicro()
	}
	if !s.ConsumedAt.IsZero() {
		out.ConsumedAtUS, out.ConsumedBy = s.ConsumedAt.UnixMicro(), s.ConsumedBy[:]
	}
	return out
}

// TransactionStatus is what the member knows of a transaction.
func (m *Member) TransactionStatus(id ledger.Hash) vault.Status {
	return m.ledgerTables().transactions[id].whole()
}

// States are the states that the member keeps, consumed ones too, in the order in which they became known.
func (m *Member) States() []vault.State { return m.ledgerTables().kept() }

// StateQuery answers a declared query of states by a function, which tells whether a state that the member keeps fulfils
// its condition. Parameters come in as JSON of the request, decoded into P.
func StateQuery[P any](name string, fits func(m *Member, parameters P, s vault.State) bool) Option {
	return func(s *settings) {
		s.stateQueries[name] = func(m *Member, raw json.RawMessage) (func(vault.State) bool, error) {
			var p P
			if err := json.Unmarshal(raw, &p); err != nil {
				return nil, flow.Errorf(flow.ErrInvalidRow.Type, "query %s: the parameters do not fit: %s", name, err)
			}
			return func(s vault.State) bool { return fits(m, p, s) }, nil
		}
	}
}
