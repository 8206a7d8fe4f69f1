package ownable

import (
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// The errors of this package.
var (
	// ErrOwner: an owner does not sign.
	ErrOwner = errors.New("its owner does not sign")
	// ErrParticipants: a state's participants are not its owner alone.
	ErrParticipants = errors.New("its one participant must be its owner")
	// ErrKey: something cannot be a public key, so nobody could ever sign for it.
	ErrKey = errors.New("not a public key")
)

// Owned is a state that belongs to somebody.
type Owned struct {
	// At is the state's place, such as contract.Input(0).
	At    contract.Component
	Owner ledger.PublicKey
}

// Signed tells of which consumed states the owner does not sign: an [ErrOwner] for each, at its place.
func Signed(tx *contract.Transaction, consumed ...Owned) error {
	var errs []error
	for _, c := range consumed {
		if !tx.Signed(c.Owner) {
			errs = append(errs, c.At.Errorf("%w", ErrOwner))
		}
	}
	return errors.Join(errs...)
}

// Kept tells whether a state is kept by its owner and by nobody else, whose tokens would be counted among the owner's
// otherwise. The error is [ErrParticipants].
func Kept(s ledger.State, owner ledger.PublicKey) error {
	if len(s.Participants) != 1 || string(s.Participants[0]) != string(owner) {
		return fmt.Errorf("%w, it has %d participants", ErrParticipants, len(s.Participants))
	}
	return nil
}

// How long a public key may be, bytes: one of Ed25519 has 44, one of RSA with 4096 bits 550.
const minKey, maxKey = 32, 1024

// CheckKey tells whether something has the outer shape of a public key: one DER sequence and nothing behind it. Whether
// it is a point of a curve is not looked at; who pays to a key that is none has thrown the value away, and signed for it.
// The error is [ErrKey].
func CheckKey(key ledger.PublicKey) error {
	n := len(key)
	if n < minKey || n > maxKey || key[0] != 0x30 {
		return fmt.Errorf("%w: %d bytes that are not a DER sequence of %d to %d", ErrKey, n, minKey, maxKey)
	}
	// DER has one way to write a length: one byte below 128, else how many bytes it takes, and these, without zeros first.
	head, size := 2, int(key[1])
	switch {
	case key[1] == 0x81 && key[2] >= 0x80:
		head, size = 3, int(key[2])
	case key[1] == 0x82 && key[2] != 0:
		head, size = 4, int(key[2])<<8|int(key[3])
	case key[1] >= 0x80:
		return fmt.Errorf("%w: its length is not DER", ErrKey)
	}
	if head+size != n {
		return fmt.Errorf("%w: a DER sequence of %d bytes in %d", ErrKey, head+size, n)
	}
	return nil
}
