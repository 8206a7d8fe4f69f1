package persistence_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// modelTx is a transaction in the naive model: a letter, - for none, and sets.
type modelTx struct {
	tx       *ledger.Transaction
	status   byte
	filtered bool
	visible  map[uint32]bool
	proven   map[uint32]bool
}

type ledgerModel []*modelTx

// Moves by letters: from and to.
const (
	legalMoves  = " -U -V -I -D DU DV UV UI "
	behindMoves = " UU UD VU VV VD IU II ID DD "
)

func letter(s appv1.TransactionStatus) byte {
	return "-UVID"[s]
}

func (m ledgerModel) doubleSpend(tx *modelTx) bool {
	for _, o := range m {
		if o == tx || o.status != 'V' {
			continue
		}
		for _, r := range tx.tx.Content().Inputs {
			if slices.Contains(o.tx.Content().Inputs, r) {
				return true
			}
		}
	}
	return false
}

// move returns the word of the error that is expected.
func (m ledgerModel) move(tx *modelTx, to byte, visible []uint32) string {
	pair := " " + string(tx.status) + string(to) + " "
	switch {
	case strings.Contains(legalMoves, pair):
		if to == 'V' && m.doubleSpend(tx) {
			return "double-spend"
		}
		if tx.status == '-' {
			tx.visible = map[uint32]bool{}
		}
		tx.status, tx.filtered = to, false
	case !strings.Contains(behindMoves, pair):
		return "illegal-status"
	}
	for _, i := range visible {
		tx.visible[i] = true
	}
	return ""
}

func (m ledgerModel) apply(n int, op proto.Message) string {
	tx := m[n]
	switch op := op.(type) {
	case *appv1.PersistTransaction:
		to := letter(op.GetStatus())
		switch {
		case op.GetOnlyIfAbsent() && tx.status != '-':
			return ""
		case tx.filtered && to == 'I':
			return "illegal-status"
		}
		return m.move(tx, to, op.GetVisible())
	case *appv1.UpdateTransactionStatus:
		to := letter(op.GetStatus())
		if tx.status == '-' {
			return "not-found"
		}
		if tx.status != to && !strings.Contains(legalMoves, " "+string(tx.status)+string(to)+" ") {
			return "illegal-status"
		}
		return m.move(tx, to, op.GetVisible())
	case *appv1.PersistFilteredTransactions:
		if tx.status == 'I' {
			return "illegal-status"
		}
		if tx.status == '-' {
			tx.filtered = true
		}
		for i := range tx.tx.Content().Outputs {
			tx.proven[uint32(i)] = tx.proven[uint32(i)] || shows(op, i)
		}
		return ""
	default:
		return ""
	}
}

func shows(op *appv1.PersistFilteredTransactions, i int) bool {
	f, err := ledger.DecodeFiltered(op.GetTransactions()[0].GetFiltered())
	if err != nil {
		return false
	}
	_, err = f.Output(i)
	return err == nil
}

// unconsumed are the states that must be there, by reference, with what they are worth.
func (m ledgerModel) unconsumed() map[ledger.StateRef]int {
	out := map[ledger.StateRef]int{}
	for _, tx := range m {
		for i := range tx.visible {
			if n := 0; tx.status == 'V' {
				_, _ = fmt.Sscan(tx.tx.Content().Outputs[i].Token.Amount, &n) // amounts are numbers
				out[tx.tx.Output(int(i))] = n
			}
		}
	}
	for _, tx := range m {
		for _, r := range tx.tx.Content().Inputs {
			if tx.status == 'V' {
				delete(out, r)
			}
		}
	}
	return out
}

// graph makes transactions that issue, spend, spend the same again, and spend what comes from each other.
func graph(t testing.TB, kind string, n int, pick func(limit int) int) ledgerModel {
	var m ledgerModel
	var outs []ledger.StateRef
	for i := range n {
		var inputs []ledger.StateRef
		for range min(len(outs), pick(3)) {
			if r := outs[pick(len(outs))]; !slices.Contains(inputs, r) {
				inputs = append(inputs, r)
			}
		}
		var outputs []ledger.State
		for j := range 1 + pick(3) {
			outputs = append(outputs, coin(kind, 1+10*i+j, "Ann"))
		}
		tx := makeTx(t, fmt.Sprint(kind, i), inputs, nil, outputs...)
		m = append(m, &modelTx{tx: tx, status: '-', visible: map[uint32]bool{}, proven: map[uint32]bool{}})
		for j := range outputs {
			outs = append(outs, tx.Output(j))
		}
	}
	return m
}

// operation makes a random one on a transaction.
func operation(t testing.TB, tx *ledger.Transaction, pick func(limit int) int) proto.Message {
	n := len(tx.Content().Outputs)
	var visible []uint32
	var show []int
	for i := range n {
		if pick(3) > 0 {
			visible, show = append(visible, uint32(i)), append(show, i)
		}
	}
	// V and U more often than what ends a chain.
	status := []appv1.TransactionStatus{unverified, unverified, verified, verified, verified, invalid, draft}[pick(7)]
	switch pick(6) {
	case 0, 1, 2:
		return &appv1.PersistTransaction{Transaction: tx.Encode(), Status: status, Visible: visible, OnlyIfAbsent: pick(4) == 0}
	case 3, 4:
		return &appv1.UpdateTransactionStatus{Id: bytesOf(tx.ID()), Status: status, Visible: visible}
	default:
		f, err := tx.Filter(ledger.ForOutputs(show...))
		if err != nil {
			t.Fatal(err)
		}
		return &appv1.PersistFilteredTransactions{Transactions: []*appv1.SignedFilteredTransaction{{Filtered: f.Encode()}}}
	}
}

// Whatever comes in whatever order, some of it twice: the answers, the statuses, the states and their sum are those of a
// model that computes everything anew.
func TestLedgerModel(t *testing.T) {
	c := newLedger(t)
	var kinds []string
	words := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(limit int) int { return rapid.IntRange(0, limit-1).Draw(rt, "pick") }
		kind := fmt.Sprintf("K%d", len(kinds))
		kinds = append(kinds, kind)
		m := graph(t, kind, 2+pick(5), pick)
		type sent struct {
			id    string
			op    proto.Message
			reply proto.Message
		}
		var before []sent
		for n := range 1 + pick(30) {
			if len(before) > 0 && pick(4) == 0 {
				s := before[pick(len(before))]
				if r := c.do(s.id, s.op); r.Err != nil || !r.Repeated || !proto.Equal(r.Reply, s.reply) {
					rt.Fatalf("%s again: %v", s.id, r)
				}
				continue
			}
			at := pick(len(m))
			op := operation(t, m[at].tx, pick)
			want := m.apply(at, op)
			id := fmt.Sprintf("%s-%d", kind, n)
			r := c.do(id, op)
			if r.Err != nil || r.Reply.GetError().GetType() != want {
				rt.Fatalf("%T %v: %v %v, want %q", op, op, r.Err, r.Reply.GetError(), want)
			}
			words[want]++
			before = append(before, sent{id, op, r.Reply})
		}
		for _, tx := range m {
			s := c.status(tx.tx)
			if letter(s.GetStatus()) != tx.status || s.GetFiltered() != tx.filtered {
				rt.Fatalf("transaction %s is %v, want %c %v", tx.tx.ID(), s, tx.status, tx.filtered)
			}
			for i := range tx.tx.Content().Outputs {
				want := tx.status == 'V' || tx.status != 'I' && tx.proven[uint32(i)]
				r := c.do("", &appv1.ResolveStates{Refs: protoRefs(tx.tx.Output(i))})
				if (r.Reply.GetError() == nil) != want {
					rt.Fatalf("output %d of a transaction %c can be resolved: %v", i, tx.status, r.Reply.GetError())
				}
			}
		}
		compareStates(rt, c, kind, m.unconsumed(), uint32(1+pick(5)))
	})
	compareFeed(t, c, kinds)
	t.Logf("%d interleavings; answers by word: %v", len(kinds), words)
	for _, w := range []string{"", "illegal-status", "not-found"} { // double spends are rarer, and certain in TestLedgerConcurrently
		if words[w] == 0 {
			t.Errorf("no request was answered with %q", w)
		}
	}
}

type failer interface{ Fatalf(string, ...any) }

func compareStates(t failer, c *client, kind string, want map[ledger.StateRef]int, limit uint32) {
	got, sum, wanted := map[ledger.StateRef]int{}, 0, 0
	for _, s := range c.unconsumed(kind, limit) {
		if _, twice := got[refOf(s)]; twice {
			t.Fatalf("state %s comes twice", refOf(s))
		}
		got[refOf(s)] = amountOf(c.t, s)
		sum += got[refOf(s)]
	}
	for _, n := range want {
		wanted += n
	}
	if !maps.Equal(got, want) || sum != wanted {
		t.Fatalf("%s: unconsumed are %v (%d), want %v (%d)", kind, got, sum, want, wanted)
	}
}

// compareFeed builds the unconsumed states from what is told, and compares them with the table's.
func compareFeed(t *testing.T, c *client, kinds []string) {
	t.Helper()
	built, status := map[string]map[ledger.StateRef]bool{}, map[string]feedv1.TransactionStatus{}
	for _, k := range kinds {
		built[k] = map[ledger.StateRef]bool{}
	}
	for n, e := range changesOf(c) {
		if e.Change.GetNumber() != uint64(n)+1 {
			t.Fatalf("change %d has the number %d", n+1, e.Change.GetNumber())
		}
		switch x := e.Change.GetChange().(type) {
		case *feedv1.Change_Transaction:
			id := string(x.Transaction.GetId())
			if s := status[id]; s == x.Transaction.GetStatus() || s == feedv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED || s == feedv1.TransactionStatus_TRANSACTION_STATUS_INVALID {
				t.Errorf("transaction %X goes from %s to %s", id, s, x.Transaction.GetStatus())
			}
			status[id] = x.Transaction.GetStatus()
		case *feedv1.Change_State:
			s := x.State
			ref := ledger.StateRef{Transaction: ledger.Hash(s.GetRef().GetTransaction()), Index: s.GetRef().GetIndex()}
			there := built[s.GetType()][ref]
			if created := s.GetOperation() == feedv1.StateOperation_STATE_OPERATION_CREATED; created == there || created && len(s.GetPayload()) == 0 || s.GetToken().GetAmount() == "" {
				t.Errorf("change %d: %v, and it is there: %v", e.Change.GetNumber(), s, there)
			}
			if !there {
				built[s.GetType()][ref] = true
			} else {
				delete(built[s.GetType()], ref)
			}
			if id := s.GetRef().GetTransaction(); status[string(id)] != feedv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED {
				t.Errorf("change %d is of a state whose transaction is %s", e.Change.GetNumber(), status[string(id)])
			}
		}
	}
	for _, k := range kinds {
		got := map[ledger.StateRef]bool{}
		for _, s := range c.unconsumed(k, 0) {
			got[refOf(s)] = true
		}
		if !maps.Equal(got, built[k]) {
			t.Errorf("%s: the feed tells %v, the table has %v", k, built[k], got)
		}
	}
}

// Many at once, the same requests from two sides among them: what is final stays, nothing is spent twice, the sums are
// right, and the feed tells the same.
func TestLedgerConcurrently(t *testing.T) {
	w := newWorld(t, "")
	h := w.vnode(1, coinApp())
	pool := w.pool(vnodes.Config{})
	const writers, each = 8, 60
	random := rand.New(rand.NewPCG(11, 3))
	m := graph(t, "C", 40, random.IntN)
	type request struct {
		id string
		op proto.Message
		at int
	}
	work := make([][]request, writers)
	for n := range writers * each {
		at := random.IntN(len(m))
		r := request{fmt.Sprint("c", n), operation(t, m[at].tx, random.IntN), at}
		if f, ok := r.op.(*appv1.PersistTransaction); ok && f.GetStatus() == invalid {
			f.Status = verified
		}
		work[n%writers] = append(work[n%writers], r)
		if n%5 == 0 { // the same request again, while the first may be under way
			work[(n+1)%writers] = append(work[(n+1)%writers], r)
		}
	}
	var mu sync.Mutex
	replies := map[string]proto.Message{}
	ends := make([]map[string]bool, len(m)) // final statuses that were answered
	for i := range ends {
		ends[i] = map[string]bool{}
	}
	words := map[string]int{}
	var failed atomic.Int64
	var running sync.WaitGroup
	for _, list := range work {
		running.Go(func() {
			c := w.client(pool, h, coinApp())
			for _, r := range list {
				result := c.do(r.id, r.op)
				mu.Lock()
				if result.Err != nil {
					failed.Add(1)
					t.Errorf("%s: %v", r.id, result.Err)
				} else if first := replies[r.id]; first != nil && !proto.Equal(first, result.Reply) {
					t.Errorf("%s was answered with %v, then with %v", r.id, first, result.Reply)
				}
				replies[r.id] = result.Reply
				words[result.Reply.GetError().GetType()]++
				switch op := r.op.(type) {
				case *appv1.PersistTransaction:
					out := &appv1.PersistedTransaction{}
					if proto.Unmarshal(result.Reply.GetResult(), out) == nil && (out.GetStatus() == verified || out.GetStatus() == invalid) {
						ends[r.at][out.GetStatus().String()] = true
					}
				case *appv1.UpdateTransactionStatus:
					if result.Reply.GetError() == nil && (op.GetStatus() == verified || op.GetStatus() == invalid) {
						ends[r.at][op.GetStatus().String()] = true
					}
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if failed.Load() > 0 {
		t.FailNow()
	}
	c := w.client(pool, h, coinApp())
	spent := map[ledger.StateRef]ledger.Hash{}
	count := map[byte]int{}
	for i, tx := range m {
		s := c.status(tx.tx)
		tx.status = letter(s.GetStatus())
		count[tx.status]++
		for end := range ends[i] {
			if end != s.GetStatus().String() {
				t.Errorf("transaction %s was answered to be %s and is %s", tx.tx.ID(), end, s.GetStatus())
			}
		}
		for _, r := range tx.tx.Content().Inputs {
			if other, twice := spent[r]; twice && tx.status == 'V' {
				t.Errorf("%s is spent by %s and %s", r, other, tx.tx.ID())
			}
			if tx.status == 'V' {
				spent[r] = tx.tx.ID()
			}
		}
	}
	visible := visibleOf(t, w, h)
	for _, tx := range m {
		tx.visible = visible[tx.tx.ID()]
	}
	compareStates(t, c, "C", m.unconsumed(), 7)
	compareFeed(t, c, []string{"C"})
	t.Logf("transactions by status %v; answers by word %v", count, words)
	for w := range words {
		if !slices.Contains([]string{"", "illegal-status", "double-spend", "not-found"}, w) {
			t.Errorf("%d requests were answered with %q", words[w], w)
		}
	}
	if count['V'] < 5 || words["double-spend"] == 0 || words["illegal-status"] == 0 {
		t.Errorf("too little happened: %v %v", count, words)
	}
}

// visibleOf reads which outputs are remembered as visible.
func visibleOf(t *testing.T, w *world, h string) map[ledger.Hash]map[uint32]bool {
	t.Helper()
	var text string
	err := w.admin.One(t.Context(), []any{&text}, "SELECT coalesce(string_agg(encode(id, 'hex') || ':' || i, ' '), '') FROM "+w.logins[h].Schema+".fl_transaction, unnest(visible) AS v(i)")
	if err != nil {
		t.Fatal(err)
	}
	out := map[ledger.Hash]map[uint32]bool{}
	for s := range strings.FieldsSeq(text) {
		r, err := ledger.ParseStateRef(s)
		if err != nil {
			t.Fatal(err)
		}
		if out[r.Transaction] == nil {
			out[r.Transaction] = map[uint32]bool{}
		}
		out[r.Transaction][r.Index] = true
	}
	return out
}

// Pages of states while others come and go: none that stays is skipped, none is met twice, none that came later is met.
func TestStatePagesWhileWriting(t *testing.T) {
	w := newWorld(t, "")
	h := w.vnode(1, coinApp())
	pool := w.pool(vnodes.Config{})
	c := w.client(pool, h, coinApp())
	const each = 30
	stay, gone := map[ledger.StateRef]bool{}, []ledger.StateRef{}
	for n := range each { // in turns, so that every page has some of both
		tx := makeTx(t, fmt.Sprint("seed", n), nil, nil, coin("P", 10, "Ann"), coin("P", 20, "Ann"))
		c.persisted(tx, verified, 0, 1)
		stay[tx.Output(0)] = true
		gone = append(gone, tx.Output(1))
	}
	var running sync.WaitGroup
	// Each page lets the writer go on, and waits when it is three behind: so the writing lasts as long as the reading, and
	// there is an end of both.
	const most = 150
	done, ended, permits := make(chan struct{}), make(chan struct{}), make(chan struct{}, 3)
	var written atomic.Int64
	running.Go(func() {
		defer close(ended)
		writer := w.client(pool, h, coinApp())
		for n := range most {
			select {
			case <-done:
				return
			case <-permits:
			}
			var inputs []ledger.StateRef
			if n < len(gone) {
				inputs = gone[n : n+1]
			}
			tx := makeTx(t, fmt.Sprint("meanwhile", n), inputs, nil, coin("P", 30, "Ann"))
			r := writer.do(fmt.Sprint("w", n), &appv1.PersistTransaction{Transaction: tx.Encode(), Status: verified, Visible: []uint32{0}})
			if r.Err != nil || r.Reply.GetError() != nil {
				t.Errorf("write: %v %v", r.Err, r.Reply.GetError())
				return
			}
			written.Add(1)
		}
	})
	read := func(page func(after []byte) proto.Message) {
		seen := map[ledger.StateRef]bool{}
		var last int64
		var after []byte
		for first := true; first || after != nil; first = false {
			select {
			case permits <- struct{}{}:
			case <-ended:
			}
			out := &appv1.StatePage{}
			c.ok(page(after), out)
			if first {
				if err := w.admin.One(t.Context(), []any{&last}, "SELECT last FROM "+w.logins[h].Schema+".fl_counter"); err != nil {
					t.Fatal(err)
				}
			}
			for i, s := range out.GetStates() {
				if seen[refOf(s)] {
					t.Errorf("%s comes twice", refOf(s))
				}
				if s.GetNumber() > uint64(last) || i > 0 && s.GetNumber() <= out.GetStates()[i-1].GetNumber() {
					t.Errorf("state %s has the number %d; the first page ended at %d", refOf(s), s.GetNumber(), last)
				}
				seen[refOf(s)] = true
			}
			after = out.GetNext()
		}
		for r := range stay {
			if !seen[r] {
				t.Errorf("%s stays and was skipped", r)
			}
		}
	}
	for turn := range 4 {
		limit := uint32(2 + 3*turn)
		read(func(after []byte) proto.Message {
			return &appv1.FindUnconsumedStates{Type: "P", Limit: limit, After: after}
		})
		read(func(after []byte) proto.Message {
			return &appv1.QueryStates{Name: "worth", Parameters: []byte(`{"least":"10"}`), Limit: limit, After: after}
		})
	}
	close(done)
	running.Wait()
	t.Logf("%d transactions were written meanwhile", written.Load())
	if written.Load() < each {
		t.Errorf("only %d transactions were written meanwhile", written.Load())
	}
	if page := c.do("", &appv1.QueryStates{Name: "of-owner", Parameters: []byte(`{"owner":"Ann"}`), Limit: 5}); page.Reply.GetError() != nil {
		t.Error(page.Reply.GetError())
	}
}
