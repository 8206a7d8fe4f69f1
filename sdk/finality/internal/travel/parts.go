package travel

import (
	"fmt"

	"github.com/fairleadio/fairlead/sdk/internal/canonical"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// AtOnce is how many parts of a package a message has at most; the first has one, which tells how many there are.
const AtOnce = 7

// Parts are parts of the file of a package, or ask for them.
type Parts struct {
	Checksum ledger.Hash
	// First is the number of the first part, from 0; Count how many the file has, zero in what asks for them.
	First, Count uint32
	Data         [][]byte
}

// fields is how many fields of a message [Parts.Put] takes.
const fields = 4

// Put writes the parts into four fields of a message, of which this is the first.
func (p Parts) Put(w *canonical.Writer, field int) {
	w.Blob(field, p.Checksum[:])
	w.Uint(field+1, uint64(p.First))
	w.Uint(field+2, uint64(p.Count))
	for _, b := range p.Data {
		w.Item(field+fields-1, b)
	}
}

// Take reads what [Parts.Put] wrote; what is too much is told to note. A checksum of another length is found when the message
// is compared with its bytes written anew.
func Take(r *canonical.Reader, field int, note func(error)) (p Parts) {
	copy(p.Checksum[:], r.Blob(field))
	p.First, p.Count = r.Uint32(field+1), r.Uint32(field+2)
	r.Items(field+fields-1, func(b []byte) {
		if len(p.Data) <= AtOnce { // one more tells that there are too many, however many follow
			p.Data = append(p.Data, b)
		}
	})
	if len(p.Data) > AtOnce {
		note(fmt.Errorf("it has more than %d parts of a package", AtOnce))
	}
	return p
}

// Asks tells whether these ask for parts.
func (p Parts) Asks() bool { return p.Count == 0 && len(p.Data) == 0 }

// Gives tells whether these are the parts that follow the first of them, and as long as parts are.
func (p Parts) Gives() bool {
	n := uint64(len(p.Data))
	if n == 0 || uint64(p.First)+n > uint64(p.Count) {
		return false
	}
	for i, b := range p.Data {
		last := uint64(p.First)+uint64(i)+1 == uint64(p.Count)
		if len(b) == 0 || len(b) > vault.PackagePartBytes || len(b) < vault.PackagePartBytes && !last {
			return false
		}
	}
	return true
}
