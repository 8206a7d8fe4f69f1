package vault

import (
	"slices"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Sign signs transactions with a LEDGER or NOTARY key of the virtual node (SubjectPublicKeyInfo, DER: a flow.PublicKey or a
// ledger.PublicKey), by the default scheme of the key. There is one signature for each id, in order; each was verified. All
// of them come of one signature of the key: one id is signed itself, several as a batch, each with its proof. The platform
// adds the metadata; its time is the flow's.
//
// A key that the virtual node does not have is flow.ErrNotFound. More ids than fit into an answer, some 800, are
// flow.ErrLimit.
func Sign(ctx *flow.Context, key []byte, ids ...ledger.Hash) ([]ledger.Signature, error) {
	return do(ctx, SignCall(key, ids...))
}

// SignCall is [Sign] as a call.
func SignCall(key []byte, ids ...ledger.Hash) *flow.Pending[[]ledger.Signature] {
	return SignSchemeCall(key, "", ids...)
}

// SignSchemeCall is SignCall with a signature scheme that the key has, such as SHA384withECDSA; empty for its default.
func SignSchemeCall(key []byte, scheme string, ids ...ledger.Hash) *flow.Pending[[]ledger.Signature] {
	if len(ids) == 0 {
		return flow.EndedCall[[]ledger.Signature](nil, nil)
	}
	return flow.NewCall(&wire.SignTransactions{IDs: hashes(ids), PublicKey: key, Scheme: scheme}, func(result []byte) ([]ledger.Signature, error) {
		var r wire.TransactionSignatures
		if err := receive(result, &r); err != nil {
			return nil, err
		}
		if len(r.Signatures) != len(ids) {
			return nil, flow.Errorf("protocol", "the platform made %d signatures for %d transactions", len(r.Signatures), len(ids))
		}
		return signatures(r.Signatures)
	})
}

// Metadata is what a new transaction says of where it was made: the ledger's and the platform's version, and the packages
// of the virtual node that have contracts. The hash of the group's parameters is zero as long as the group has none. It is
// an error of type "not-found" that the virtual node's packages have no contracts.
func Metadata(ctx *flow.Context) (ledger.Metadata, error) { return do(ctx, MetadataCall()) }

// MetadataCall is [Metadata] as a call.
func MetadataCall() *flow.Pending[ledger.Metadata] {
	return describeCall(func(m ledger.Metadata, _ wire.LedgerDescription) (ledger.Metadata, error) { return m, nil })
}

// InstalledCall asks for the packages of [Metadata] with what they say of the states that they take.
func InstalledCall() *flow.Pending[[]ledger.Installed] {
	return describeCall(func(m ledger.Metadata, r wire.LedgerDescription) ([]ledger.Installed, error) {
		var out []ledger.Installed
		for _, p := range m.Packages {
			i := slices.IndexFunc(r.Packages, func(d wire.PackageDescription) bool { return string(d.Checksum) == string(p.Checksum[:]) })
			if i < 0 {
				return nil, flow.Errorf("unsupported", "this cluster does not tell which states package %s takes: upgrade it", p.Name)
			}
			out = append(out, ledger.Installed{Package: p, CompatibleFrom: r.Packages[i].CompatibleFrom, Contracts: r.Packages[i].Contracts})
		}
		return out, nil
	})
}

func describeCall[T any](take func(ledger.Metadata, wire.LedgerDescription) (T, error)) *flow.Pending[T] {
	return flow.NewCall(&wire.DescribeLedger{}, func(result []byte) (out T, err error) {
		var r wire.LedgerDescription
		if err := receive(result, &r); err != nil {
			return out, err
		}
		m, err := ledger.DecodeMetadata(r.Metadata)
		if err != nil {
			return out, unreadable("the metadata", err)
		}
		return take(m, r)
	})
}
