package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// String is the hash in upper-case hex digits.
func (h Hash) String() string { return strings.ToUpper(hex.EncodeToString(h[:])) }

// ParseHash reads what [Hash.String] writes, in upper or lower case.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return Hash{}, fmt.Errorf("%q is not a SHA-256 in hex digits", s)
	}
	return Hash(b), nil
}

// First bytes of what is hashed: no hash of one kind can pass for one of another.
const (
	leafPrefix      = 0x00
	nodePrefix      = 0x01
	noncePrefix     = 0x02
	groupPrefix     = 0x03
	batchLeafPrefix = 0x04
	batchNodePrefix = 0x05
)

func node(prefix byte, left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = prefix
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// split is where RFC 6962 divides n > 1 leaves: the largest power of two below n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// root is that of the tree over leaves; of none it is SHA-256 of nothing.
func root(prefix byte, leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	at := split(len(leaves))
	return node(prefix, root(prefix, leaves[:at]), root(prefix, leaves[at:]))
}

// prove appends the hashes that lead from the shown leaves to the root: for every subtree without a shown leaf its root,
// from left to right.
func prove(prefix byte, leaves []Hash, shown []int, proof []Hash) []Hash {
	return proveFrom(prefix, leaves, 0, shown, proof)
}

func proveFrom(prefix byte, leaves []Hash, first int, shown []int, proof []Hash) []Hash {
	switch {
	case len(shown) == 0:
		return append(proof, root(prefix, leaves))
	case len(leaves) == 1:
		return proof
	}
	at := split(len(leaves))
	cut, _ := slices.BinarySearch(shown, first+at)
	proof = proveFrom(prefix, leaves[:at], first, shown[:cut], proof)
	return proveFrom(prefix, leaves[at:], first+at, shown[cut:], proof)
}

// ErrProof is what every error about a proof is.
var ErrProof = errors.New("the proof does not fit")

// proven is a leaf and where it stands.
type proven struct {
	index int
	leaf  Hash
}

// rootOf computes the root of a tree of n leaves from shown ones, in ascending order, and the rest of a proof; all of the
// proof must be needed.
func rootOf(prefix byte, n int, shown []proven, proof []Hash) (Hash, error) {
	for i, s := range shown {
		if s.index < 0 || s.index >= n || i > 0 && s.index <= shown[i-1].index { //nolint:gosec // i is greater than zero
			return Hash{}, fmt.Errorf("%w: leaf %d of %d is out of place", ErrProof, s.index, n)
		}
	}
	if len(shown) == 0 {
		return Hash{}, fmt.Errorf("%w: it shows nothing", ErrProof)
	}
	c := climb{prefix: prefix, proof: proof}
	h := c.up(0, n, shown)
	switch {
	case c.short:
		return Hash{}, fmt.Errorf("%w: it is too short", ErrProof)
	case len(c.proof) > 0:
		return Hash{}, fmt.Errorf("%w: it is too long", ErrProof)
	}
	return h, nil
}

type climb struct {
	prefix byte
	proof  []Hash
	short  bool
}

func (c *climb) up(first, n int, shown []proven) Hash {
	if len(shown) == 0 {
		if len(c.proof) == 0 {
			c.short = true
			return Hash{}
		}
		h := c.proof[0]
		c.proof = c.proof[1:]
		return h
	}
	if n == 1 {
		return shown[0].leaf
	}
	at := split(n)
	cut, _ := slices.BinarySearchFunc(shown, first+at, func(p proven, i int) int { return p.index - i })
	left := c.up(first, at, shown[:cut])
	return node(c.prefix, left, c.up(first+at, n-at, shown[cut:]))
}
