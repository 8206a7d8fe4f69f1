package ledger

import "github.com/fairleadio/fairlead/sdk/internal/canonical"

// Encode returns the canonical encoding of the notary's component.
func (n Notary) Encode() []byte { return message(n.put) }

// DecodeNotary reads the notary's component.
func DecodeNotary(b []byte) (Notary, error) {
	var n Notary
	err := read(GroupNotary, 0, b, n.take, func(w *canonical.Writer) { n.put(w) })
	return n, err
}

// Encode returns the canonical encoding of the metadata's component.
func (m Metadata) Encode() []byte { return message(m.put) }

// DecodeMetadata reads the metadata's component. Whether it is fit for a transaction is not looked at.
func DecodeMetadata(b []byte) (Metadata, error) {
	var m Metadata
	err := read(GroupMetadata, 0, b, m.take, func(w *canonical.Writer) { m.put(w) })
	return m, err
}

// Encode returns the canonical encoding.
func (m SignatureMetadata) Encode() []byte { return message(m.put) }

// DecodeSignatureMetadata reads what [SignatureMetadata.Encode] writes.
func DecodeSignatureMetadata(b []byte) (SignatureMetadata, error) {
	var m SignatureMetadata
	err := read(GroupMetadata, 0, b, m.take, func(w *canonical.Writer) { m.put(w) })
	return m, err
}
