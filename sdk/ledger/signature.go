package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/internal/canonical"
	"github.com/fairleadio/fairlead/sdk/internal/keys"
)

// signaturePrefix stands before what is signed, so that no signature of anything else passes for one of a transaction.
const signaturePrefix = "fairlead ledger signature v1\x00"

// MaxBatch is how many transactions one signature may cover.
const MaxBatch = 65_536

// SignatureMetadata is signed together with the root.
type SignatureMetadata struct {
	// TimeUs is when it was signed, by the signer's clock, microseconds since 1970.
	TimeUs int64
	// Scheme is the signature's scheme as the platform names it, such as EdDSA or SHA256withECDSA.
	Scheme string
	// KeyID is SHA-256 over the public key.
	KeyID Hash
	// PlatformVersion is that of the signer's platform.
	PlatformVersion uint32
}

func (m SignatureMetadata) put(w *canonical.Writer) {
	w.Int(1, m.TimeUs)
	w.Text(2, m.Scheme)
	w.Blob(3, hashOrNone(m.KeyID))
	w.Uint(4, uint64(m.PlatformVersion))
}

func (m *SignatureMetadata) take(r *canonical.Reader) {
	m.TimeUs, m.Scheme, m.KeyID, m.PlatformVersion = r.Int(1), r.Text(2), takeHash(r, 3), r.Uint32(4)
}

// Signature is a signature of a transaction, alone or in a batch.
type Signature struct {
	// By is the signer's key.
	By PublicKey
	// Bytes is the signature of [SignedBytes].
	Bytes    []byte
	Metadata SignatureMetadata
	// Proof leads from the transaction's id to the root of the batch that was signed; nil when the id itself was.
	Proof *BatchProof
}

// BatchProof tells where an id stands in a batch.
type BatchProof struct {
	// Index of Size ids.
	Index, Size int
	Hashes      []Hash
}

// ErrSignature is what every error about a signature is.
var ErrSignature = errors.New("signature")

// KeyID names a key: SHA-256 over it.
func KeyID(key PublicKey) Hash { return sha256.Sum256(key) }

// SignedBytes is what a signer signs: a transaction's id or a batch's root, and the signature's metadata.
func SignedBytes(root Hash, m SignatureMetadata) []byte {
	return append(append([]byte(signaturePrefix), root[:]...), message(m.put)...)
}

// BatchRoot is the root of a batch of ids, and the proof of each. One id alone needs no batch: its root is itself, and it
// has no proof.
func BatchRoot(ids []Hash) (Hash, []*BatchProof, error) {
	switch {
	case len(ids) == 0 || len(ids) > MaxBatch:
		return Hash{}, nil, fmt.Errorf("a batch of %d transactions: it has 1 to %d", len(ids), MaxBatch)
	case len(ids) == 1:
		return ids[0], []*BatchProof{nil}, nil
	}
	leaves := make([]Hash, len(ids))
	for i, id := range ids {
		leaves[i] = batchLeaf(id)
	}
	proofs := make([]*BatchProof, len(ids))
	for i := range ids {
		proofs[i] = &BatchProof{Index: i, Size: len(ids)}
	}
	return batchProofs(leaves, proofs), proofs, nil
}

// batchProofs computes the root and gives each leaf's proof the hashes that it needs, in the order in which a proof has
// them: what lies left of a leaf from the top down, then what lies right from the bottom up.
func batchProofs(leaves []Hash, proofs []*BatchProof) Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	at := split(len(leaves))
	left, right := batchProofs(leaves[:at], proofs[:at]), batchProofs(leaves[at:], proofs[at:])
	for _, p := range proofs[:at] {
		p.Hashes = append(p.Hashes, right)
	}
	for _, p := range proofs[at:] {
		p.Hashes = append([]Hash{left}, p.Hashes...)
	}
	return node(batchNodePrefix, left, right)
}

func batchLeaf(id Hash) Hash {
	var b [1 + sha256.Size]byte
	b[0] = batchLeafPrefix
	copy(b[1:], id[:])
	return sha256.Sum256(b[:])
}

// root is what was signed if the signature is one of the transaction.
func (s Signature) root(id Hash) (Hash, error) {
	p := s.Proof
	if p == nil {
		return id, nil
	}
	if p.Size < 2 || p.Size > MaxBatch {
		return Hash{}, fmt.Errorf("%w: a batch of %d transactions, 2 to %d are right", ErrProof, p.Size, MaxBatch)
	}
	return rootOf(batchNodePrefix, p.Size, []proven{{p.Index, batchLeaf(id)}}, p.Hashes)
}

// Verify checks that the signature is one of the transaction with this id by the key that it names. Whether that key may
// sign is the caller's to know.
func (s Signature) Verify(id Hash) error {
	c, err := s.Check(id)
	if err != nil {
		return err
	}
	return s.Judged(id, c.Verify())
}

// Check is what remains to be checked of a signature by its key, for who has that done elsewhere: flows have the platform do
// it (package vault), which is far quicker. What is wrong with it beside that is an error.
type Check struct {
	By             PublicKey
	Scheme         string
	Message, Bytes []byte
}

// Verify checks it here. Its errors are [ErrInvalid] and [ErrUnsupported].
func (c Check) Verify() error { return keys.Check(c.By, c.Scheme, c.Message, c.Bytes) }

// What is wrong with a [Check]: it is not a signature of the message by the key, or of a kind that is not known here.
var (
	ErrInvalid     = keys.ErrInvalid
	ErrUnsupported = keys.ErrUnsupported
)

// Check is what remains of [Signature.Verify]: a good verdict on it makes the signature one of the transaction.
func (s Signature) Check(id Hash) (Check, error) {
	if n := s.most(); n > MaxSignature {
		return Check{}, fmt.Errorf("%w: it has up to %d bytes, a right one has at most %d", ErrSignature, n, MaxSignature)
	}
	if s.Metadata.KeyID != KeyID(s.By) {
		return Check{}, fmt.Errorf("%w: its metadata names the key %s, it is by %s", ErrSignature, s.Metadata.KeyID, KeyID(s.By))
	}
	if err := name("scheme", s.Metadata.Scheme, true); err != nil {
		return Check{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	root, err := s.root(id)
	if err != nil {
		return Check{}, fmt.Errorf("%w by %s: %w", ErrSignature, s.Metadata.KeyID, err)
	}
	return Check{s.By, s.Metadata.Scheme, SignedBytes(root, s.Metadata), s.Bytes}, nil
}

// Judged is the error of [Signature.Verify] for a verdict on its [Signature.Check].
func (s Signature) Judged(id Hash, verdict error) error {
	if verdict == nil {
		return nil
	}
	return fmt.Errorf("%w by %s of transaction %s: %w", ErrSignature, s.Metadata.KeyID, id, verdict)
}

// most is a bound of the encoding's length.
func (s Signature) most() int {
	const metadata, each = 160, sha256.Size + 2
	n := len(s.By) + len(s.Bytes) + len(s.Metadata.Scheme) + metadata
	if s.Proof != nil {
		n += each * len(s.Proof.Hashes)
	}
	return n
}

// Encode returns the canonical encoding.
func (s Signature) Encode() []byte {
	return message(func(w *canonical.Writer) {
		w.Blob(1, s.By)
		w.Blob(2, s.Bytes)
		w.Message(3, s.Metadata.put)
		if p := s.Proof; p != nil {
			w.Message(4, func(w *canonical.Writer) {
				w.Uint(1, uint64(p.Index))
				w.Uint(2, uint64(p.Size))
				for _, h := range p.Hashes {
					w.Item(3, h[:])
				}
			})
		}
	})
}

// DecodeSignature reads a signature; it is not verified.
func DecodeSignature(b []byte) (Signature, error) {
	var s Signature
	b = bytes.Clone(b)
	r := canonical.NewReader(b)
	s.By, s.Bytes = r.Blob(1), r.Blob(2)
	r.Message(3, s.Metadata.take)
	r.Message(4, func(r *canonical.Reader) {
		s.Proof = &BatchProof{Index: int(r.Uint32(1)), Size: int(r.Uint32(2))}
		r.Items(3, func(b []byte) {
			var h Hash
			if len(b) == len(h) {
				h = Hash(b)
			}
			s.Proof.Hashes = append(s.Proof.Hashes, h)
		})
	})
	if err := r.End(); err != nil {
		return Signature{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if !bytes.Equal(s.Encode(), b) {
		return Signature{}, fmt.Errorf("%w: %w: a part is missing or has another length", ErrSignature, canonical.ErrNotCanonical)
	}
	return s, nil
}
