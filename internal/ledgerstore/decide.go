package ledgerstore

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/schemas"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// changes are what is told of a commit, in order, and the statements that make it.
type changes struct {
	facts      *Facts
	told       []*feedv1.Change
	statements []rows.Statement
}

// tell gives a change its number.
func (c *changes) tell(f *feedv1.Change) uint64 {
	c.told = append(c.told, f)
	return c.facts.Last + uint64(len(c.told))
}

func (c *changes) add(sql string, args ...rows.Arg) {
	c.statements = append(c.statements, rows.Statement{SQL: sql, Args: args})
}

// Decide makes the statements of a move, on facts that were read for it: for one that ends verified, [Facts.Verifying] too.
// visible are outputs that the virtual node keeps, beside those remembered; consumed are states that others have consumed, for
// which [Facts.Elsewhere] was read. Its error is a *[rows.Problem] where the request is at fault.
func Decide(f *Facts, tx *Transaction, m Move, visible []uint32, consumed []ConsumedState, flow string) ([]rows.Statement, error) {
	c := &changes{facts: f}
	verified := m.Next == Known{Status: Verified}
	if verified && m.Changes {
		if err := f.doubleSpend(tx); err != nil {
			return nil, err
		}
	}
	keep := union(f.Remembered, visible)
	id := tx.ID()
	number := f.Last
	if m.Changes {
		number = c.tell(&feedv1.Change{Change: &feedv1.Change_Transaction{Transaction: &feedv1.TransactionChange{Id: id[:], Status: feedStatus(m.Next.Status)}}})
	}
	switch {
	case m.Stores:
		c.store(tx, m.Next, keep, number)
	case m.Changes:
		c.add("UPDATE fl_transaction SET status = $2, visible = $3, updated = $4, number = $5 WHERE id = $1",
			blob(id[:]), word(string(rune(m.Next.Status))), numbers(keep), moment(f.Now), numberArg(number))
	case len(keep) > len(f.Remembered):
		c.add("UPDATE fl_transaction SET visible = $2 WHERE id = $1", blob(id[:]), numbers(keep))
	}
	if verified && m.Changes {
		c.consume(tx)
	}
	if verified {
		c.create(tx, keep)
	}
	c.elsewhere(tx, consumed)
	if err := c.finish(flow); err != nil {
		return nil, err
	}
	return c.statements, nil
}

func numberArg(n uint64) rows.Arg { return number(n) }

// union is all of both, each once, in order.
func union(a, b []uint32) []uint32 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func feedStatus(s Status) feedv1.TransactionStatus {
	switch s {
	case Unverified:
		return feedv1.TransactionStatus_TRANSACTION_STATUS_UNVERIFIED
	case Verified:
		return feedv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED
	case Invalid:
		return feedv1.TransactionStatus_TRANSACTION_STATUS_INVALID
	case Draft:
		return feedv1.TransactionStatus_TRANSACTION_STATUS_DRAFT
	default:
		return feedv1.TransactionStatus_TRANSACTION_STATUS_UNSPECIFIED
	}
}

// doubleSpend refuses a transaction whose inputs another verified one consumes: a vault in which both were verified could
// not say what is owned.
func (f *Facts) doubleSpend(tx *Transaction) error {
	if len(f.spent) == 0 {
		return nil
	}
	refs := slices.SortedFunc(maps.Keys(f.spent), ledger.StateRef.Compare)
	var list []string
	for _, r := range refs[:min(len(refs), 10)] {
		list = append(list, fmt.Sprintf("%s by %s", r, f.spent[r]))
	}
	return problem(IDDoubleSpend, TypeDoubleSpend, "transaction %s cannot be verified: of its inputs %d are consumed by other verified transactions (%s); its notary signed twice, or it is not the notary's signature",
		tx.ID(), len(refs), strings.Join(list, ", "))
}

// store makes the statements that insert a whole transaction, also over proofs of it.
func (c *changes) store(tx *Transaction, k Known, visible []uint32, number uint64) {
	id, salt, m := tx.ID(), tx.Salt(), tx.Content().Metadata
	hash := c.metadata(tx.metadata(), m)
	c.add("INSERT INTO fl_transaction (id, status, salt, metadata_hash, visible, created, updated, number) VALUES ($1, $2, $3, $4, $5, $6, $6, $7) "+
		"ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, is_filtered = false, salt = EXCLUDED.salt, visible = EXCLUDED.visible, updated = EXCLUDED.updated, number = EXCLUDED.number",
		blob(id[:]), word(string(rune(k.Status))), blob(salt[:]), blob(hash[:]), numbers(visible), moment(c.facts.Now), numberArg(number))
	c.components(id, tx.components())
	var groups, leaves []int
	var refs []ledger.StateRef
	for n, list := range [][]ledger.StateRef{tx.Content().Inputs, tx.Content().References} {
		for i, r := range list {
			groups, leaves, refs = append(groups, int(ledger.GroupInputs)+n), append(leaves, i), append(refs, r)
		}
	}
	if len(refs) > 0 {
		ids, indexes := refArrays(refs)
		c.add("INSERT INTO fl_source (transaction_id, group_index, leaf_index, source_id, source_index) SELECT $1, g, l, s, i FROM unnest($2, $3, $4, $5) AS u(g, l, s, i) ON CONFLICT DO NOTHING",
			blob(id[:]), numbers(groups), numbers(leaves), ids, indexes)
	}
}

func (c *changes) metadata(content []byte, m ledger.Metadata) ledger.Hash {
	hash := sha256.Sum256(content)
	c.add("INSERT INTO fl_metadata (hash, content, group_parameters) VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING", blob(hash[:]), blob(content), blob(m.GroupParameters[:]))
	return hash
}

func (c *changes) components(id ledger.Hash, list []component) {
	groups, leaves, contents := make([]int, len(list)), make([]int, len(list)), make([][]byte, len(list))
	for i, x := range list {
		groups[i], leaves[i], contents[i] = int(x.group), x.index, x.bytes
		if x.bytes == nil {
			contents[i] = []byte{} // a component without fields, not none
		}
	}
	c.add("INSERT INTO fl_component (transaction_id, group_index, leaf_index, content) SELECT $1, g, l, c FROM unnest($2, $3, $4) AS u(g, l, c) ON CONFLICT DO NOTHING",
		blob(id[:]), numbers(groups), numbers(leaves), blobs(contents))
}

// consume marks the inputs that are states here.
func (c *changes) consume(tx *Transaction) {
	var list []ConsumedState
	for _, r := range tx.Content().Inputs {
		list = append(list, ConsumedState{r, tx.ID()})
	}
	c.mark(list)
}

// elsewhere marks states that others have consumed. One whose consumer is here and not invalid is left to it: it marks the state
// when it is verified. One of another notary is left, too: an invalid transaction may name whatever states its author likes, and a
// notary of theirs.
func (c *changes) elsewhere(tx *Transaction, list []ConsumedState) {
	c.mark(slices.DeleteFunc(slices.Clone(list), func(s ConsumedState) bool {
		return c.facts.open[s.By] || c.facts.held[s.Ref].notary != tx.Content().Notary.Name
	}))
}

// mark marks those of some states that are states here.
func (c *changes) mark(list []ConsumedState) {
	var refs []ledger.StateRef
	var consumers [][]byte
	for _, s := range list {
		h, ok := c.facts.held[s.Ref]
		if !ok || slices.Contains(refs, s.Ref) {
			continue
		}
		refs, consumers = append(refs, s.Ref), append(consumers, s.By[:])
		c.tell(&feedv1.Change{Change: &feedv1.Change_State{State: &feedv1.StateChange{
			Operation: feedv1.StateOperation_STATE_OPERATION_CONSUMED, Ref: refOf(s.Ref), Type: h.kind, TypeVersion: h.version, Contract: h.contract, Notary: h.notary, Token: h.token, ConsumedBy: s.By[:],
		}}})
	}
	if len(refs) == 0 {
		return
	}
	ids, indexes := refArrays(refs)
	c.add("UPDATE fl_state AS s SET consumed = $4, consumed_by = r.by FROM unnest($1, $2, $3) AS r(id, index, by) WHERE s.transaction_id = r.id AND s.leaf_index = r.index AND s.consumed IS NULL",
		ids, indexes, blobs(consumers), moment(c.facts.Now))
}

// create makes states of the visible outputs that are none yet; those that a verified transaction consumes are consumed
// at once.
func (c *changes) create(tx *Transaction, visible []uint32) {
	id, notary := tx.ID(), tx.Content().Notary.Name
	var s states
	for _, i := range visible {
		if c.facts.there[i] {
			continue
		}
		out := tx.Content().Outputs[i]
		told := &feedv1.StateChange{
			Operation: feedv1.StateOperation_STATE_OPERATION_CREATED, Ref: refOf(ledger.StateRef{Transaction: id, Index: i}), Type: out.Type, TypeVersion: out.TypeVersion,
			Contract: out.Contract, Notary: notary, Payload: out.Payload, Token: tokenOf(out),
		}
		n := c.tell(&feedv1.Change{Change: &feedv1.Change_State{State: told}})
		by, spent := c.facts.spenders[i]
		s.add(i, n, out, notary, by, spent)
		if spent {
			c.tell(&feedv1.Change{Change: &feedv1.Change_State{State: &feedv1.StateChange{
				Operation: feedv1.StateOperation_STATE_OPERATION_CONSUMED, Ref: told.GetRef(), Type: out.Type, TypeVersion: out.TypeVersion,
				Contract: out.Contract, Notary: notary, Token: told.GetToken(), ConsumedBy: by[:],
			}}})
		}
	}
	if len(s.leaves) == 0 {
		return
	}
	c.add("INSERT INTO fl_state (transaction_id, leaf_index, number, type, type_version, contract, encumbrance, notary, payload, "+
		"token_pool, token_type, token_symbol, token_issuer, token_amount, token_owner, token_tag, token_priority, created, consumed, consumed_by) "+
		"SELECT $1, leaf, number, type, version, contract, encumbrance, $2, payload::jsonb, pool, token_type, symbol, issuer, amount::numeric, owner, tag, priority::numeric, $3, "+
		"CASE WHEN by IS NOT NULL THEN $3 END, by "+
		"FROM unnest($4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) "+
		"AS u(leaf, number, type, version, contract, encumbrance, payload, pool, token_type, symbol, issuer, amount, owner, tag, priority, by)",
		blob(id[:]), word(notary), moment(c.facts.Now),
		numbers(s.leaves), numbers(s.numbers), words(s.types), numbers(s.versions), words(s.contracts), words(s.encumbrances), words(s.payloads),
		blobs(s.pools), words(s.tokenTypes), words(s.symbols), blobs(s.issuers), words(s.amounts), blobs(s.owners), words(s.tags), words(s.priorities), blobs(s.consumers))
}

// token is what a state is worth, nil when that is nothing. A token's type is the name of its contract: only that looks at
// what its states are worth. What another contract's state says of itself is nobody's word, and would stand in the way of
// payments for ever.
func token(s ledger.State) *ledger.Token {
	if s.Token == nil || s.Token.Type != s.Contract {
		return nil
	}
	return s.Token
}

func tokenOf(s ledger.State) *ledgerv1.Token {
	t := token(s)
	if t == nil {
		return nil
	}
	return &ledgerv1.Token{Type: t.Type, Symbol: t.Symbol, Issuer: hashOrNone(t.Issuer), Amount: t.Amount, Owner: hashOrNone(t.Owner), Tag: t.Tag, Priority: t.Priority}
}

func hashOrNone(h ledger.Hash) []byte {
	if h == (ledger.Hash{}) {
		return nil
	}
	return h[:]
}

// states are the columns of rows of fl_state.
type states struct {
	leaves, versions                                                                         []uint32
	numbers                                                                                  []uint64
	types, contracts, encumbrances, payloads, tokenTypes, symbols, amounts, tags, priorities []*string
	pools, issuers, owners, consumers                                                        [][]byte
}

func (s *states) add(leaf uint32, number uint64, out ledger.State, notary string, by ledger.Hash, spent bool) {
	s.leaves, s.numbers = append(s.leaves, leaf), append(s.numbers, number)
	s.types, s.versions, s.contracts = append(s.types, &out.Type), append(s.versions, out.TypeVersion), append(s.contracts, &out.Contract)
	s.encumbrances = append(s.encumbrances, textOrNone(out.Encumbrance))
	payload := string(out.Payload)
	if Queryable(out.Payload) {
		s.payloads = append(s.payloads, &payload)
	} else {
		s.payloads = append(s.payloads, nil)
	}
	t := token(out)
	if t == nil {
		t = &ledger.Token{}
		s.pools, s.tokenTypes, s.symbols, s.amounts = append(s.pools, nil), append(s.tokenTypes, nil), append(s.symbols, nil), append(s.amounts, nil)
	} else {
		pool := TokenPool(t.Type, t.Issuer, notary, t.Symbol)
		s.pools, s.tokenTypes, s.symbols, s.amounts = append(s.pools, pool[:]), append(s.tokenTypes, &t.Type), append(s.symbols, &t.Symbol), append(s.amounts, &t.Amount)
	}
	s.issuers, s.owners, s.tags = append(s.issuers, hashOrNone(t.Issuer)), append(s.owners, hashOrNone(t.Owner)), append(s.tags, textOrNone(t.Tag))
	priority := ""
	if t.Priority > 0 {
		priority = strconv.FormatUint(t.Priority, 10)
	}
	s.priorities = append(s.priorities, textOrNone(priority))
	var consumer []byte
	if spent {
		consumer = by[:]
	}
	s.consumers = append(s.consumers, consumer)
}

func textOrNone(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// TokenPool is what fl_state.token_pool holds: SHA-256 over type, issuer, notary and symbol, each after its length in
// eight bytes.
func TokenPool(kind string, issuer ledger.Hash, notary, symbol string) ledger.Hash {
	h := sha256.New()
	for _, s := range []string{kind, string(issuer[:]), notary, symbol} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	return ledger.Hash(h.Sum(nil))
}

// finish writes what is told, and the counter.
func (c *changes) finish(flow string) error {
	if len(c.told) == 0 {
		return nil
	}
	n, encoded := make([]uint64, len(c.told)), make([][]byte, len(c.told))
	for i, t := range c.told {
		b, err := schemas.Marshal(t)
		if err != nil {
			return err
		}
		n[i], encoded[i] = c.facts.Last+uint64(i)+1, b
	}
	c.add("INSERT INTO fl_outbox (number, committed_at, flow_id, shape, operation, row_key, change) SELECT n, $1, $2, '', 0, '{}', c FROM unnest($3, $4) AS u(n, c)",
		moment(c.facts.Now), word(flow), numbers(n), blobs(encoded))
	c.add("UPDATE fl_counter SET last = $1", numberArg(c.facts.Last+uint64(len(c.told))))
	return nil
}

// Refused turns the error of a move into a *[rows.Problem].
func Refused(id ledger.Hash, err error) error {
	var wrong *IllegalMoveError
	if !errors.As(err, &wrong) {
		return err
	}
	return problem(IDStatus, TypeStatus, "transaction %s: %v", id, wrong)
}
