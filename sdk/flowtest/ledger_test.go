package flowtest_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// ledgerFlow runs what the test gives it: the network runs flows in this process, one at a time.
type ledgerFlow func(ctx *flow.Context) (any, error)

// ledgerTests are the functions of the running test, by name.
var ledgerTests = map[string]ledgerFlow{}

// onLedger runs a function as a flow of a member and fails the test when it fails.
func onLedger(t *testing.T, m *flowtest.Member, f ledgerFlow) *flowtest.Outcome {
	t.Helper()
	name := fmt.Sprintf("%s %d", t.Name(), len(ledgerTests))
	ledgerTests[name] = f
	o := m.Start("ledger", name).Wait()
	if o.Err != nil {
		t.Fatalf("%s: %s", o.Err.Type, o.Err.Message)
	}
	return o
}

// made makes a transaction with outputs of type T that consumes states.
func made(ctx *flow.Context, salt byte, outputs int, inputs ...ledger.StateRef) (*ledger.Transaction, error) {
	keys, err := ctx.Keys("LEDGER")
	if err != nil {
		return nil, err
	}
	m, err := vault.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	me := ledger.PublicKey(keys[0].PublicKey)
	c := ledger.Content{
		Metadata: m, Notary: ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: me}, Window: ledger.TimeWindow{UntilUs: 1},
		Signatories: []ledger.PublicKey{me}, Commands: []ledger.Command{{Type: "move", TypeVersion: 1}}, Inputs: inputs,
	}
	for i := range outputs {
		c.Outputs = append(c.Outputs, ledger.State{Type: "T", TypeVersion: 1, Contract: "C", Payload: []byte(fmt.Sprint(i)), Participants: []ledger.PublicKey{me}})
	}
	return ledger.New(c, ledger.Salt{salt})
}

// Each row is one move, as the persistence worker's own test has them: what is there, how it is asked, and what comes of it.
func TestLedgerMoves(t *testing.T) {
	word := map[vault.Status]string{vault.Absent: "-", vault.Unverified: "U", vault.Verified: "V", vault.Invalid: "I", vault.Draft: "D"}
	status := map[byte]vault.Status{'U': vault.Unverified, 'V': vault.Verified, 'I': vault.Invalid, 'D': vault.Draft}
	onLedger(t, flowtest.New(t).Member("O=Alice, L=London, C=GB"), func(ctx *flow.Context) (any, error) {
		for n, c := range []string{
			// from, how (persist, only if absent, update), to, result
			"- p U U", "- p V V", "- p I I", "- p D D", "D p U U", "D p V V", "D p I !", "D p D D", "U p U U", "U p V V", "U p I I", "U p D U",
			"V p U V", "V p V V", "V p I !", "V p D V", "I p U I", "I p V !", "I p I I", "I p D I", "P p U U", "P p V V", "P p I !", "P p D D",
			"- a U U", "- a V V", "P a U U", "P a V V", "D a V D", "U a V U", "U a I U", "V a U V", "V a I V", "I a V I",
			"- u U ?", "- u V ?", "P u V ?", "D u U U", "D u V V", "D u I !", "D u D D", "U u U U", "U u V V", "U u I I", "U u D !",
			"V u U !", "V u V V", "V u I !", "V u D !", "I u U !", "I u V !", "I u I I", "I u D !",
		} {
			tx, err := made(ctx, byte(n+1), 1)
			if err != nil {
				return nil, err
			}
			proof, err := tx.Source(0)
			if err != nil {
				return nil, err
			}
			switch c[0] {
			case '-':
			case 'P':
				err = vault.StoreFiltered(ctx, vault.SignedFiltered{Filtered: proof})
			default:
				_, _, err = vault.Store(ctx, tx, status[c[0]], vault.Options{})
			}
			if err != nil {
				return nil, err
			}
			var got vault.Status
			if c[2] == 'u' {
				err = vault.SetStatus(ctx, tx.ID(), status[c[4]])
				got = status[c[4]]
			} else {
				_, got, err = vault.Store(ctx, tx, status[c[4]], vault.Options{OnlyIfAbsent: c[2] == 'a'})
			}
			text := word[got]
			switch {
			case errors.Is(err, vault.ErrIllegalStatus):
				text = "!"
			case errors.Is(err, flow.ErrNotFound):
				text = "?"
			case err != nil:
				return nil, err
			}
			if text != c[6:] {
				t.Errorf("%s: %s, %v", c, text, err)
			}
		}
		return nil, nil
	})
}

// What is visible becomes states when the transaction is verified; what consumes them marks them; two cannot.
func TestLedgerStates(t *testing.T) {
	n := flowtest.New(t, flowtest.StateQuery("payload", func(_ *flowtest.Member, is string, s vault.State) bool { return string(s.State.Payload) == is }))
	alice := n.Member("O=Alice, L=London, C=GB")
	onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		issue, err := made(ctx, 1, 3)
		if err != nil {
			return nil, err
		}
		keys, err := ctx.Keys("LEDGER")
		if err != nil {
			return nil, err
		}
		signed, err := vault.Sign(ctx, keys[0].PublicKey, issue.ID())
		if err != nil {
			return nil, err
		}
		before, now, err := vault.Store(ctx, issue, vault.Unverified, vault.Options{Visible: []int{0, 1}, Signatures: signed})
		if before != vault.Absent || now != vault.Unverified || err != nil {
			t.Errorf("%q to %q, %v", before, now, err)
		}
		if all, err := vault.Unconsumed(ctx, "T", vault.Page{}); len(all.States) != 0 || err != nil {
			t.Errorf("states of a transaction that is not verified: %v, %v", all, err)
		}
		if err := vault.SetStatus(ctx, issue.ID(), vault.Verified, 2); err != nil {
			return nil, err
		}
		var seen []uint32
		page, err := vault.Unconsumed(ctx, "T", vault.Page{Limit: 2})
		for ; err == nil; page, err = vault.Unconsumed(ctx, "T", vault.Page{Limit: 2, After: page.Next}) {
			for _, s := range page.States {
				seen = append(seen, s.Ref.Index)
			}
			if len(page.Next) == 0 {
				break
			}
		}
		if !slices.Equal(seen, []uint32{0, 1, 2}) || err != nil {
			t.Errorf("pages show %v, %v", seen, err)
		}
		if q, err := vault.Query(ctx, "payload", "1", vault.Page{}); err != nil || len(q.States) != 1 || q.States[0].Ref != issue.Output(1) || q.States[0].Notary.Name == "" {
			t.Errorf("query: %+v, %v", q, err)
		}

		pay, err := made(ctx, 2, 1, issue.Output(0))
		if err != nil {
			return nil, err
		}
		again, err := made(ctx, 3, 1, issue.Output(0))
		if err != nil {
			return nil, err
		}
		for _, tx := range []*ledger.Transaction{pay, again} {
			if _, _, err := vault.Store(ctx, tx, vault.Unverified, vault.Options{Visible: []int{0}}); err != nil {
				return nil, err
			}
		}
		if err := vault.SetStatus(ctx, pay.ID(), vault.Verified); err != nil {
			return nil, err
		}
		if err := vault.SetStatus(ctx, again.ID(), vault.Verified); !errors.Is(err, vault.ErrDoubleSpend) {
			t.Errorf("the same state was spent twice: %v", err)
		}
		found, err := vault.FindResolved(ctx, pay.ID())
		if err != nil || found.Transaction.ID() != pay.ID() || len(found.Inputs) != 1 || found.Inputs[0].ConsumedBy != pay.ID() || found.Inputs[0].ConsumedAt.IsZero() {
			t.Errorf("resolved: %+v, %v", found, err)
		}
		if found, err := vault.Find(ctx, pay.ID(), vault.Unverified); err != nil || found.Status != vault.Verified || found.Transaction != nil {
			t.Errorf("a transaction of another status: %+v, %v", found, err)
		}
		if found, err := vault.Find(ctx, issue.ID()); err != nil || len(found.Signatures) != 1 || found.Signatures[0].Verify(issue.ID()) != nil {
			t.Errorf("signatures: %+v, %v", found, err)
		}
		return nil, nil
	})
	if all := alice.States(); len(all) != 4 || alice.TransactionStatus(all[0].Ref.Transaction) != vault.Verified {
		t.Errorf("%d states", len(all))
	}
}

// Proofs can be resolved and handed on; a batch's signatures are right ones of their transactions.
func TestLedgerProofs(t *testing.T) {
	n := flowtest.New(t)
	bob := n.Member("O=Bob, L=London, C=GB")
	onLedger(t, bob, func(ctx *flow.Context) (any, error) {
		tx, err := made(ctx, 1, 3)
		if err != nil {
			return nil, err
		}
		other, err := made(ctx, 2, 1)
		if err != nil {
			return nil, err
		}
		keys, err := ctx.Keys("LEDGER")
		if err != nil {
			return nil, err
		}
		ids := []ledger.Hash{tx.ID(), other.ID(), {7}}
		signed, err := vault.Sign(ctx, keys[0].PublicKey, ids...)
		if err != nil {
			return nil, err
		}
		if err := ledger.VerifyAll(ids, signed); err != nil {
			t.Error(err)
		}
		if err := ledger.VerifyAll([]ledger.Hash{ids[1], ids[0], ids[2]}, signed); !errors.Is(err, ledger.ErrSignature) {
			t.Errorf("signatures of each other's transactions: %v", err)
		}
		if _, err := vault.Sign(ctx, []byte("nobody's"), tx.ID()); !errors.Is(err, flow.ErrNotFound) {
			t.Errorf("a key that is not there: %v", err)
		}
		proof, err := tx.Source(0, 2)
		if err != nil {
			return nil, err
		}
		if err := vault.StoreFiltered(ctx, vault.SignedFiltered{Filtered: proof, Signatures: signed[1:2]}); !errors.Is(err, flow.ErrInvalidTransaction) {
			t.Errorf("a signature of another transaction was stored: %v", err)
		}
		store := vault.StoreFilteredCall(vault.SignedFiltered{Filtered: proof, Signatures: signed[:1]})
		sign := vault.SignCall(keys[0].PublicKey, other.ID())
		if err := flow.All(ctx, store, sign); err != nil || sign.Value()[0].Proof != nil {
			t.Errorf("together: %v", err)
		}
		if s, err := vault.Resolve(ctx, tx.Output(2)); err != nil || string(s[0].State.Payload) != "2" || s[0].Number != 0 {
			t.Errorf("resolved: %+v, %v", s, err)
		}
		if _, err := vault.Resolve(ctx, tx.Output(1)); !errors.Is(err, flow.ErrNotFound) {
			t.Errorf("what is not shown was resolved: %v", err)
		}
		found, missing, err := vault.FindFiltered(ctx, tx.Output(1), tx.Output(0), other.Output(0))
		if err != nil || len(found) != 1 || found[0].Filtered.ID() != tx.ID() || len(found[0].Signatures) != 1 || !slices.Equal(missing, []ledger.StateRef{tx.Output(1), other.Output(0)}) {
			t.Errorf("proofs: %v, missing %v, %v", found, missing, err)
		}
		known, err := vault.Statuses(ctx, tx.ID(), other.ID())
		if err != nil || !known[0].Filtered || known[0].Status != vault.Absent || known[1].Filtered || !known[1].CreatedAt.IsZero() {
			t.Errorf("known: %+v, %v", known, err)
		}
		return nil, nil
	})
}

func TestLedgerRepairAndParameters(t *testing.T) {
	n := flowtest.New(t)
	onLedger(t, n.Member("O=Carol, L=London, C=GB"), func(ctx *flow.Context) (any, error) {
		var ids []ledger.Hash
		for i := range 3 {
			tx, err := made(ctx, byte(i+1), 1)
			if err != nil {
				return nil, err
			}
			if _, _, err := vault.Store(ctx, tx, vault.Unverified, vault.Options{}); err != nil {
				return nil, err
			}
			if err := ctx.Sleep(time.Minute); err != nil {
				return nil, err
			}
			ids = append(ids, tx.ID())
		}
		if n, err := vault.CountRepair(ctx, ids[0]); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := vault.CountRepair(ctx, ledger.Hash{1}); !errors.Is(err, flow.ErrNotFound) {
			t.Error(err)
		}
		all, err := vault.OfStatus(ctx, vault.Unverified, time.Time{}, ctx.Now().Add(-time.Second), 0)
		if err != nil || len(all) != 3 || all[0].ID != ids[1] || all[2].ID != ids[0] || all[2].RepairAttempts != 1 {
			t.Errorf("%+v, %v", all, err)
		}
		if few, err := vault.OfStatus(ctx, vault.Unverified, all[0].CreatedAt.Add(time.Microsecond), time.Time{}, 1); err != nil || len(few) != 1 || few[0].ID != ids[2] {
			t.Errorf("%+v, %v", few, err)
		}
		g := vault.GroupParameters{Parameters: []byte("p"), SignedBy: []byte("k"), Signature: []byte("s"), Scheme: "EdDSA"}
		if _, err := vault.FindGroupParameters(ctx, g.Hash()); !errors.Is(err, flow.ErrNotFound) {
			t.Error(err)
		}
		if err := vault.StoreGroupParameters(ctx, g); err != nil {
			return nil, err
		}
		if again, err := vault.FindGroupParameters(ctx, g.Hash()); err != nil || string(again.Signature) != "s" {
			t.Errorf("%+v, %v", again, err)
		}
		return json.Marshal("done")
	})
}

// claimsOf are signatures of transactions by an Ed25519 key; change spoils each.
func claimsOf(n int, change func(*ledger.Signature)) []vault.Claim {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // a flow is run again, and must ask the same
	public := private.Public()
	key, _ := x509.MarshalPKIXPublicKey(public)
	out := make([]vault.Claim, n)
	for i := range out {
		id := ledger.Hash{1, byte(i), byte(i >> 8)}
		s := ledger.Signature{By: key, Metadata: ledger.SignatureMetadata{TimeUs: 1, Scheme: "EdDSA", KeyID: ledger.KeyID(key), PlatformVersion: 1}}
		s.Bytes = ed25519.Sign(private, ledger.SignedBytes(id, s.Metadata))
		if change != nil {
			change(&s)
		}
		out[i] = vault.Claim{Transaction: id, Signature: s}
	}
	return out
}

// More signatures than the platform checks at once are asked for in parts, by number and by length.
func TestManySignatures(t *testing.T) {
	alice := flowtest.New(t).Member("O=Alice, L=London, C=GB")
	parts := func(o *flowtest.Outcome) (n int) {
		for _, s := range o.Steps {
			n += len(s.Requests)
		}
		return n
	}
	o := onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		claims := claimsOf(450, nil)
		checked, err := vault.CheckSignatures(ctx, claims...)
		if err != nil {
			return nil, err
		}
		for i, c := range claims {
			if err := checked.Verify(c.Signature, c.Transaction); err != nil {
				return nil, fmt.Errorf("signature %d: %w", i, err)
			}
		}
		return nil, nil
	})
	if n := parts(o); n != 3 {
		t.Errorf("450 signatures were asked for in %d parts, want 3: %v", n, o.Steps)
	}
	o = onLedger(t, alice, func(ctx *flow.Context) (any, error) {
		claims := claimsOf(200, func(s *ledger.Signature) { // 200 of these are 540 KB, more than a part has
			s.By = append(bytes.Clone(s.By), make([]byte, 2500-len(s.By))...)
			s.Metadata.KeyID = ledger.KeyID(s.By)
		})
		checked, err := vault.CheckSignatures(ctx, claims...)
		if err != nil {
			return nil, err
		}
		if err := checked.Verify(claims[0].Signature, claims[0].Transaction); err == nil {
			return nil, errors.New("a key that is none was taken")
		}
		return nil, nil
	})
	if n := parts(o); n != 1 {
		t.Errorf("after a wrong signature there were %d parts, want 1: %v", n, o.Steps)
	}
}

// What the cluster refuses for its size is refused here too.
func TestTooLarge(t *testing.T) {
	onLedger(t, flowtest.New(t).Member("O=Alice, L=London, C=GB"), func(ctx *flow.Context) (any, error) {
		small, err := made(ctx, 1, 1)
		if err != nil {
			return nil, err
		}
		for _, size := range []int{ledger.MaxStored - 2000, ledger.MaxStored, ledger.MaxStored + 40_000} {
			c := small.Content()
			c.Outputs = slices.Clone(c.Outputs)
			c.Outputs[0].Payload = []byte(`"` + strings.Repeat("x", size) + `"`)
			tx, err := ledger.New(c, ledger.Salt{9})
			if err != nil {
				return nil, err
			}
			_, _, err = vault.Store(ctx, tx, vault.Unverified, vault.Options{})
			var e *flow.Error
			switch {
			case size < ledger.MaxStored && err != nil:
				return nil, err
			case size >= ledger.MaxStored && (!errors.As(err, &e) || !slices.Contains([]string{"too-large", flow.ErrLimit.Type}, e.Type)):
				return nil, errors.Join(fmt.Errorf("%d bytes were not refused as too large", size), err)
			}
		}
		return nil, nil
	})
}
