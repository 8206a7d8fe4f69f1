package persistence_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fairleadio/fairlead/processors/persistence"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Statuses, short.
const (
	none       = appv1.TransactionStatus_TRANSACTION_STATUS_UNSPECIFIED
	unverified = appv1.TransactionStatus_TRANSACTION_STATUS_UNVERIFIED
	verified   = appv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED
	invalid    = appv1.TransactionStatus_TRANSACTION_STATUS_INVALID
	draft      = appv1.TransactionStatus_TRANSACTION_STATUS_DRAFT
)

// onLedger wraps an operation of the ledger.
func onLedger(op proto.Message) *appv1.LedgerRequest {
	r := &appv1.LedgerRequest{}
	fields := r.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message() != nil && f.Message().FullName() == op.ProtoReflect().Descriptor().FullName() {
			r.ProtoReflect().Set(f, protoreflect.ValueOfMessage(op.ProtoReflect()))
			return r
		}
	}
	panic(fmt.Sprintf("%T is no operation of the ledger", op))
}

// signer is a key pair of a name.
func signer(name string) (ledger.PublicKey, ed25519.PrivateKey) {
	seed := sha256.Sum256([]byte("key of " + name))
	private := ed25519.NewKeyFromSeed(seed[:])
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		panic(err)
	}
	return public, private
}

func sign(id ledger.Hash, name string) []byte {
	public, private := signer(name)
	m := ledger.SignatureMetadata{TimeUs: 1_700_000_000_000_000, Scheme: "EdDSA", KeyID: ledger.KeyID(public), PlatformVersion: 50200}
	return ledger.Signature{By: public, Bytes: ed25519.Sign(private, ledger.SignedBytes(id, m)), Metadata: m}.Encode()
}

// coin is an output that is worth an amount, none when that is 0.
func coin(kind string, amount int, owner string) ledger.State {
	key, _ := signer(owner)
	s := ledger.State{Type: kind, TypeVersion: 1, Contract: "Coin", Participants: []ledger.PublicKey{key}, Payload: fmt.Appendf(nil, `{"owner":%q,"amount":%d}`, owner, amount)}
	if amount > 0 {
		s.Token = &ledger.Token{Type: "Coin", Symbol: "EUR", Issuer: sha256.Sum256([]byte("bank")), Amount: fmt.Sprint(amount), Owner: ledger.KeyID(key), Tag: "t"}
	}
	return s
}

// makeTx makes a transaction; name tells it from others.
func makeTx(t testing.TB, name string, inputs, references []ledger.StateRef, outputs ...ledger.State) *ledger.Transaction {
	t.Helper()
	return makeAt(t, "O=Notary, L=London, C=GB", name, inputs, references, outputs...)
}

// makeAt is makeTx with another notary.
func makeAt(t testing.TB, notary, name string, inputs, references []ledger.StateRef, outputs ...ledger.State) *ledger.Transaction {
	t.Helper()
	key, _ := signer("notary")
	alice, _ := signer("Alice")
	tx, err := ledger.New(ledger.Content{
		Metadata: ledger.Metadata{LedgerVersion: ledger.Version, PlatformVersion: 50200, GroupParameters: sha256.Sum256([]byte("parameters")),
			Packages: []ledger.Package{{Name: "coins", Version: "1", Checksum: sha256.Sum256([]byte("file")), Signer: sha256.Sum256([]byte("signer"))}}},
		Notary:      ledger.Notary{Name: notary, Key: key},
		Window:      ledger.TimeWindow{UntilUs: 1_800_000_000_000_000},
		Signatories: []ledger.PublicKey{alice}, Inputs: inputs, References: references, Outputs: outputs,
		Commands: []ledger.Command{{Type: "move", TypeVersion: 1}},
	}, ledger.Salt(sha256.Sum256([]byte("salt "+name))))
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func protoRef(r ledger.StateRef) *ledgerv1.StateRef {
	return &ledgerv1.StateRef{Transaction: r.Transaction[:], Index: r.Index}
}

func protoRefs(refs ...ledger.StateRef) []*ledgerv1.StateRef {
	var out []*ledgerv1.StateRef
	for _, r := range refs {
		out = append(out, protoRef(r))
	}
	return out
}

func refOf(s *appv1.LedgerState) ledger.StateRef {
	return ledger.StateRef{Transaction: ledger.Hash(s.GetRef().GetTransaction()), Index: s.GetRef().GetIndex()}
}

func bytesOf(h ledger.Hash) []byte { return h[:] }

// persisted stores a transaction and returns the statuses before and after.
func (c *client) persisted(tx *ledger.Transaction, status appv1.TransactionStatus, visible ...uint32) (before, after appv1.TransactionStatus) {
	c.t.Helper()
	out := &appv1.PersistedTransaction{}
	c.ok(&appv1.PersistTransaction{Transaction: tx.Encode(), Status: status, Visible: visible, Signatures: [][]byte{sign(tx.ID(), "Alice")}}, out)
	return out.GetBefore(), out.GetStatus()
}

func (c *client) status(tx *ledger.Transaction) *appv1.KnownTransaction {
	c.t.Helper()
	out := &appv1.TransactionStatuses{}
	id := tx.ID()
	c.ok(&appv1.FindTransactionStatuses{Ids: [][]byte{id[:]}}, out)
	return out.GetTransactions()[0]
}

// unconsumed returns the references of the unconsumed states of a type, in order, page by page.
func (c *client) unconsumed(kind string, limit uint32) (out []*appv1.LedgerState) {
	c.t.Helper()
	var after []byte
	for {
		page := &appv1.StatePage{}
		c.ok(&appv1.FindUnconsumedStates{Type: kind, Limit: limit, After: after}, page)
		out = append(out, page.GetStates()...)
		if after = page.GetNext(); after == nil {
			return out
		}
	}
}

// amountOf is what a state is worth.
func amountOf(t testing.TB, s *appv1.LedgerState) int {
	t.Helper()
	var o ledgerv1.Output
	if err := proto.Unmarshal(s.GetOutput(), &o); err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Sscan(o.GetToken().GetAmount(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// changesOf are all changes that wait in an outbox, as the feed tells them.
func changesOf(c *client) []persistence.EmitChange {
	c.t.Helper()
	all, err := c.store.Changes(c.t.Context(), c.vnode, 0, 1_000_000)
	if err != nil {
		c.t.Fatal(err)
	}
	_, effects := persistence.FeedStep(nil, persistence.Looked{Vnode: c.vnode, NowUs: 1, Changes: all, Routes: []persistence.Route{{Topic: "feed"}}})
	var out []persistence.EmitChange
	for _, e := range effects {
		switch e := e.(type) {
		case persistence.EmitChange:
			out = append(out, e)
		case persistence.Report:
			c.t.Errorf("the feed reports %s: %s", e.ID, e.Message)
		}
	}
	return out
}
