package flowtest

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// platformVersion is what signatures and transactions of a test network say of the platform.
const platformVersion = 50200

// maxResult is how large an answer may be, bytes.
const maxResult = 512 << 10

// signTransactions signs with a key of the member, as the platform does: once for all ids.
func (m *Member) signTransactions(o *wire.SignTransactions) wire.Answer {
	i := slices.IndexFunc(m.keys, func(k key) bool { return bytes.Equal(k.PublicKey, o.PublicKey) })
	switch {
	case i < 0:
		return fault(flow.ErrNotFound.Type, fmt.Sprintf("key %s is not one of %s", keyID(o.PublicKey), m.Name()))
	case m.keys[i].Category != "LEDGER" && m.keys[i].Category != "NOTARY":
		return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("key %s is of category %s; flows sign with LEDGER and NOTARY keys", m.keys[i].ID, m.keys[i].Category))
	case o.Scheme != "" && o.Scheme != "EdDSA":
		return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("key %s is an Ed25519 key and cannot sign by %s; use EdDSA", m.keys[i].ID, o.Scheme))
	}
	var ids []ledger.Hash
	for n, b := range o.IDs {
		id, err := hashOf("ids: "+strconv.Itoa(n), b)
		if err != nil {
			return fault(flow.ErrInvalidArgument.Type, err.Error())
		}
		ids = append(ids, id)
	}
	root, proofs, err := ledger.BatchRoot(ids)
	if err != nil {
		return fault(flow.ErrInvalidArgument.Type, "ids: "+err.Error())
	}
	metadata := ledger.SignatureMetadata{TimeUs: m.net.now.UnixMicro(), Scheme: "EdDSA", KeyID: ledger.KeyID(o.PublicKey), PlatformVersion: platformVersion}
	signature := ed25519.Sign(m.keys[i].private, ledger.SignedBytes(root, metadata))
	result := &wire.TransactionSignatures{}
	for _, proof := range proofs {
		s := ledger.Signature{By: o.PublicKey, Bytes: signature, Metadata: metadata, Proof: proof}
		result.Signatures = append(result.Signatures, s.Encode())
	}
	if n := len(wire.Encode(result)); n > maxResult {
		return fault(flow.ErrLimit.Type, fmt.Sprintf("the signatures of %d transactions have some %d bytes, at most %d are allowed: sign fewer at once", len(ids), n, maxResult))
	}
	return wire.Result(result)
}

// describeLedger answers for the package that is installed, or one that stands for this program: a native test has no package
// file.
func (m *Member) describeLedger() wire.Answer {
	p := ledger.Package{Name: "flowtest", Version: "1", Checksum: ledger.Hash(m.net.derive("package", "", 0))}
	p.Signer = p.Checksum
	if m.own != nil {
		p = m.own.Named()
	}
	metadata := ledger.Metadata{LedgerVersion: ledger.Version, PlatformVersion: platformVersion, Packages: []ledger.Package{p}}
	d := wire.PackageDescription{Checksum: p.Checksum[:], Contracts: registry.Contracts()}
	if m.own != nil {
		d.CompatibleFrom = m.own.CompatibleFrom
	}
	return wire.Result(&wire.LedgerDescription{Metadata: metadata.Encode(), Packages: []wire.PackageDescription{d}})
}

// proof is one that was read.
type proof struct {
	*ledger.Filtered
	notary     ledger.Notary
	outputs    map[uint32]ledger.State
	signatures []ledger.Signature
}

func readProof(t wire.SignedFiltered) (proof, error) {
	f, err := ledger.DecodeFiltered(t.Filtered)
	if err != nil {
		return proof{}, invalid("transactions: %s", err)
	}
	p := proof{Filtered: f, outputs: map[uint32]ledger.State{}}
	if p.notary, _, err = f.Notary(); err != nil {
		return proof{}, badTransaction("field filtered: the notary: %s; show it", err)
	}
	for _, i := range slices.Sorted(maps.Keys(f.Shown(ledger.GroupOutputs))) {
		if p.outputs[uint32(i)], err = f.Output(i); err != nil {
			return proof{}, badTransaction("field filtered: output %d: %s; show its info too", i, err)
		}
	}
	p.signatures, err = signaturesOf(f.ID(), t.Signatures)
	return p, err
}

func (t *tables) persistFiltered(o *wire.PersistFilteredTransactions, nowUs int64) error {
	var all []proof
	for _, x := range o.Transactions {
		p, err := readProof(x)
		if err != nil {
			return err
		}
		if t.transactions[p.ID()].whole() == vault.Invalid {
			return illegal(p.ID(), vault.Invalid, vault.Verified)
		}
		all = append(all, p)
	}
	for _, p := range all {
		s := t.transactions[p.ID()]
		if s == nil {
			s = &stored{status: vault.Verified, createdUs: nowUs, shown: map[uint32]shown{}}
			t.transactions[p.ID()] = s
		}
		s.sign(p.signatures)
		fresh := len(s.proofs) == 0
		for i := range p.outputs {
			_, there := s.shown[i]
			fresh = fresh || !there
		}
		if !fresh {
			continue
		}
		s.proofs = append(s.proofs, p.Encode())
		for i, state := range p.outputs {
			if _, there := s.shown[i]; !there {
				s.shown[i] = shown{state, p.notary, len(s.proofs) - 1}
			}
		}
	}
	return nil
}

func (t *tables) findFiltered(o *wire.FindFilteredTransactions) (wire.Message, error) {
	var order []ledger.Hash
	asked := map[ledger.Hash][]int{}
	for i, r := range o.Refs {
		id, err := hashOf("refs: "+strconv.Itoa(i), r.Transaction)
		if err != nil {
			return nil, err
		}
		if asked[id] == nil {
			order = append(order, id)
		}
		asked[id] = append(asked[id], int(r.Index))
	}
	if len(order) > 200 {
		return nil, flow.Errorf(vault.ErrTooLarge.Type, "field refs names states of too many transactions; ask for those of at most 200 at once")
	}
	out := &wire.FoundFilteredTransactions{}
	for _, id := range order {
		slices.Sort(asked[id])
		found, missing, err := t.prove(id, slices.Compact(asked[id]))
		if err != nil {
			return nil, err
		}
		for _, b := range found {
			out.Transactions = append(out.Transactions, wire.SignedFiltered{Filtered: b, Signatures: t.transactions[id].encodedSignatures()})
		}
		for _, i := range missing {
			out.Missing = append(out.Missing, wire.StateRef{Transaction: id[:], Index: uint32(i)})
		}
	}
	return out, nil
}

// prove finds proofs of outputs of a transaction, and those that nothing proves.
func (t *tables) prove(id ledger.Hash, outputs []int) (found [][]byte, missing []int, err error) {
	s := t.transactions[id]
	if s == nil || s.status == vault.Invalid {
		return nil, outputs, nil
	}
	var show, used []int
	for _, i := range outputs {
		x, proven := s.shown[uint32(i)]
		switch {
		case s.whole() == vault.Verified && i < len(s.tx.Content().Outputs):
			show = append(show, i)
		case s.whole() == vault.Verified || !proven:
			missing = append(missing, i)
		case !slices.Contains(used, x.proof):
			used = append(used, x.proof)
			found = append(found, s.proofs[x.proof])
		}
	}
	if len(show) == 0 {
		return found, missing, nil
	}
	f, err := s.tx.Source(show...)
	if err != nil {
		return nil, nil, err
	}
	return [][]byte{f.Encode()}, missing, nil
}

// describeLedger says what is asked of the ledger's tables, for people.
func describeLedger(o wire.LedgerOperation) string {
	short := func(b []byte) string { return fmt.Sprintf("%X", b[:min(6, len(b))]) }
	status := func(s int32) string { return vault.Status(s).String() }
	switch o := o.(type) {
	case *wire.PersistTransaction:
		name := fmt.Sprintf("of %d bytes", len(o.Transaction))
		if tx, err := ledger.Decode(o.Transaction); err == nil {
			id := tx.ID()
			name = short(id[:])
		}
		return "store transaction " + name + " as " + status(o.Status)
	case *wire.UpdateTransactionStatus:
		return "make transaction " + short(o.ID) + " " + status(o.Status)
	case *wire.FindTransaction:
		return "find transaction " + short(o.ID)
	case *wire.FindTransactionStatuses:
		return fmt.Sprintf("find the statuses of %d transactions", len(o.IDs))
	case *wire.FindTransactionsOfStatus:
		return "find transactions that are " + status(o.Status)
	case *wire.IncrementRepairAttempts:
		return "count a repair of transaction " + short(o.ID)
	case *wire.PersistSignatures:
		return fmt.Sprintf("store %d signatures of transaction %s", len(o.Signatures), short(o.ID))
	case *wire.FindUnconsumedStates:
		return "find unconsumed states of type " + o.Type
	case *wire.QueryStates:
		return "query states " + o.Query
	case *wire.ResolveStates:
		return fmt.Sprintf("resolve %d states", len(o.Refs))
	case *wire.PersistFilteredTransactions:
		return fmt.Sprintf("store proofs of %d transactions", len(o.Transactions))
	case *wire.FindFilteredTransactions:
		return fmt.Sprintf("find proofs of %d states", len(o.Refs))
	case *wire.PersistGroupParameters:
		return "store group parameters"
	case *wire.FindGroupParameters:
		return "find group parameters " + short(o.Hash)
	default:
		return "ledger"
	}
}
