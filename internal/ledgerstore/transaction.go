package ledgerstore

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/schemas"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// MaxTransaction bounds the encoding of a transaction with its signatures, as they are stored, so that it can be handed
// back with signatures that come later.
const MaxTransaction = ledger.MaxStored

const _ = uint(rows.MaxBytes - 64<<10 - MaxTransaction) // there must be room in an answer

// Transaction is a whole transaction with its components.
type Transaction struct {
	*ledger.Transaction
	parts *ledgerv1.Transaction
}

// ParseTransaction reads a transaction. Its error is a *[rows.Problem].
func ParseTransaction(b []byte) (*Transaction, error) {
	if len(b) > MaxTransaction {
		return nil, tooLarge("the transaction has %d bytes; at most %d can be stored: split it, or keep large data outside of states", len(b), MaxTransaction)
	}
	tx, err := ledger.Decode(b)
	if err != nil {
		return nil, Malformed("field transaction: %v; build it with the SDK", err)
	}
	parts := &ledgerv1.Transaction{}
	if err := proto.Unmarshal(b, parts); err != nil {
		return nil, Malformed("field transaction: %v; build it with the SDK", err)
	}
	c := tx.Content()
	names := []string{c.Notary.Name}
	for _, s := range c.Outputs {
		names = append(names, stateNames(s)...)
	}
	if slices.ContainsFunc(names, func(s string) bool { return strings.ContainsRune(s, 0) }) {
		return nil, Malformed(`field transaction: a name of its notary or of an output holds the character \u0000, which the database cannot hold; choose another`)
	}
	return &Transaction{tx, parts}, nil
}

func stateNames(s ledger.State) []string {
	names := []string{s.Type, s.Contract, s.Encumbrance}
	if t := s.Token; t != nil {
		names = append(names, t.Type, t.Symbol, t.Tag)
	}
	return names
}

// component is one that is kept in fl_component.
type component struct {
	group ledger.Group
	index int
	bytes []byte
}

// components are all but the metadata.
func (tx *Transaction) components() []component {
	var out []component
	for g, group := range tx.parts.GetGroups() {
		if ledger.Group(g) == ledger.GroupMetadata {
			continue
		}
		for i, b := range group.GetComponents() {
			out = append(out, component{ledger.Group(g), i, b})
		}
	}
	return out
}

func (tx *Transaction) metadata() []byte {
	return tx.parts.GetGroups()[ledger.GroupMetadata].GetComponents()[0]
}

// CheckVisible refuses indexes of outputs that the transaction has not.
func (tx *Transaction) CheckVisible(visible []uint32) error {
	for _, i := range visible {
		if n := len(tx.Content().Outputs); int64(i) >= int64(n) {
			return Malformed("field visible names output %d; the transaction has %d, counted from 0", i, n)
		}
	}
	return nil
}

// compose makes the encoding of a transaction of its parts.
func compose(salt, metadata []byte, components []component) ([]byte, error) {
	tx := &ledgerv1.Transaction{Salt: salt}
	for range ledger.Groups {
		tx.Groups = append(tx.Groups, &ledgerv1.ComponentGroup{})
	}
	tx.Groups[ledger.GroupMetadata].Components = [][]byte{metadata}
	for _, c := range components {
		if c.group <= ledger.GroupMetadata || c.group >= ledger.Groups || c.index != len(tx.Groups[c.group].GetComponents()) {
			return nil, fmt.Errorf("%s %d of a stored transaction is out of place", c.group, c.index)
		}
		tx.Groups[c.group].Components = append(tx.Groups[c.group].Components, c.bytes)
	}
	return schemas.Marshal(tx)
}

// Signatures are signatures of one transaction, one for each key.
type Signatures struct {
	keys, encoded [][]byte
}

// ParseSignatures reads signatures and checks that they are right ones of a transaction. Its error is a *[rows.Problem].
func ParseSignatures(id ledger.Hash, encoded [][]byte) (Signatures, error) {
	var out Signatures
	for i, b := range encoded {
		s, err := ledger.DecodeSignature(b)
		if err == nil {
			err = s.Verify(id)
		}
		if err != nil {
			return out, Malformed("signature %d of transaction %s: %v; store only signatures that were checked", i, id, err)
		}
		key := ledger.KeyID(s.By)
		if slices.ContainsFunc(out.keys, func(k []byte) bool { return string(k) == string(key[:]) }) {
			continue
		}
		out.keys, out.encoded = append(out.keys, key[:]), append(out.encoded, b)
	}
	return out, nil
}

// maxWeight bounds what is stored of a transaction with its signatures, so that it can be handed back at once.
const maxWeight = rows.MaxBytes - 8<<10

// Weight asks how many bytes are stored of a transaction and of its signatures by other keys than these are by.
func (s Signatures) Weight(id ledger.Hash, into *int64) Ask {
	return ask("SELECT coalesce((SELECT sum(length(content)) FROM fl_component WHERE transaction_id = $1), 0) + "+
		"coalesce((SELECT sum(length(content)) FROM fl_signature WHERE transaction_id = $1 AND key_id <> ALL ($2)), 0)",
		func(r *row) { *into = r.number() }, blob(id[:]), blobs(s.keys))
}

// Fit refuses signatures that would make a transaction of such a [Signatures.Weight] too large to be handed back. Its error is a *[rows.Problem].
func (s Signatures) Fit(id ledger.Hash, weight int64) error {
	if n := weight + int64(s.Size()); n > maxWeight {
		return tooLarge("transaction %s with these signatures has %d bytes; at most %d can be stored: leave out signatures that nobody needs", id, n, maxWeight)
	}
	return nil
}

// Size is how many bytes they have.
func (s Signatures) Size() int {
	n := 0
	for _, b := range s.encoded {
		n += len(b)
	}
	return n
}

// Statements add the signatures, but those of keys that signed before.
func (s Signatures) Statements(id ledger.Hash, now string) []rows.Statement {
	if len(s.keys) == 0 {
		return nil
	}
	return []rows.Statement{{
		SQL: "INSERT INTO fl_signature (transaction_id, key_id, position, content, created) " +
			"SELECT $1, k, n + (SELECT coalesce(max(position), 0) FROM fl_signature WHERE transaction_id = $1), c, $4 " +
			"FROM unnest($2, $3) WITH ORDINALITY AS u(k, c, n) ON CONFLICT (transaction_id, key_id) DO NOTHING",
		Args: []rows.Arg{blob(id[:]), blobs(s.keys), blobs(s.encoded), moment(now)},
	}}
}

func moment(text string) rows.Arg { return rows.Arg{OID: oidTimestamptz, Text: []byte(text)} }

// ParseHash reads a hash of a request. Its error is a *[rows.Problem].
func ParseHash(field string, b []byte) (ledger.Hash, error) {
	if len(b) != sha256.Size {
		return ledger.Hash{}, Malformed("field %s has %d bytes; give a SHA-256 of %d", field, len(b), sha256.Size)
	}
	return ledger.Hash(b), nil
}

// ParseRefs reads references of a request. Its error is a *[rows.Problem].
func ParseRefs(field string, refs []*ledgerv1.StateRef) ([]ledger.StateRef, error) {
	if len(refs) > MaxRefs {
		return nil, tooLarge("field %s names %d states; ask for at most %d at once", field, len(refs), MaxRefs)
	}
	out := make([]ledger.StateRef, len(refs))
	for i, r := range refs {
		id, err := ParseHash(fmt.Sprintf("%s[%d].transaction", field, i), r.GetTransaction())
		if err != nil {
			return nil, err
		}
		out[i] = ledger.StateRef{Transaction: id, Index: r.GetIndex()}
	}
	return out, nil
}

// MaxRefs bounds the references, and the ids, of one request.
const MaxRefs = 10_000

func refOf(r ledger.StateRef) *ledgerv1.StateRef {
	return &ledgerv1.StateRef{Transaction: r.Transaction[:], Index: r.Index}
}
