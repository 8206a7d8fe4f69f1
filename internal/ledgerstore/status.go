package ledgerstore

import "fmt"

// Status is what a virtual node knows of a transaction.
type Status byte

// The statuses. The letters are those in the database.
const (
	Absent     Status = 0
	Unverified Status = 'U'
	Verified   Status = 'V'
	Invalid    Status = 'I'
	Draft      Status = 'D'
)

// String is the status in words.
func (s Status) String() string {
	switch s {
	case Absent:
		return "absent"
	case Unverified:
		return "unverified"
	case Verified:
		return "verified"
	case Invalid:
		return "invalid"
	case Draft:
		return "draft"
	default:
		return fmt.Sprintf("status %q", byte(s))
	}
}

// Known is what is there of a transaction.
type Known struct {
	Status Status
	// Filtered: nothing but proofs, of a transaction that is verified.
	Filtered bool
}

// Whole is the status of the whole transaction: where there are only proofs it is absent.
func (k Known) Whole() Status {
	if k.Filtered {
		return Absent
	}
	return k.Status
}

// String is the status in words.
func (k Known) String() string {
	if k.Filtered {
		return "verified, and only proofs are there"
	}
	return k.Status.String()
}

// Move is what a request does to a transaction.
type Move struct {
	// Next is what is there afterwards.
	Next Known
	// Stores: the whole transaction was not there and is stored.
	Stores bool
	// Changes: the status of the whole transaction is another one than before.
	Changes bool
	// Held: what was asked for is done or behind what is there; nothing is changed.
	Held bool
}

// IllegalMoveError tells that a transaction cannot get a status.
type IllegalMoveError struct {
	From Known
	To   Status
}

// Error names the statuses.
func (e *IllegalMoveError) Error() string {
	why := "a transaction that is verified or invalid stays so"
	switch {
	case e.To != Unverified && e.To != Verified && e.To != Invalid && e.To != Draft:
		why = "use unverified, verified, invalid or draft"
	case e.From.Filtered:
		why = "its notary signed it"
	case e.From.Status == Draft:
		why = "a draft becomes unverified or verified"
	case e.From.Status == Unverified:
		why = "an unverified transaction becomes verified or invalid"
	}
	return fmt.Sprintf("it is %s and cannot become %s: %s", e.From, e.To, why)
}

// Persist decides on a whole transaction that comes with a status. What is behind what is there leaves it as it is.
func (k Known) Persist(to Status) (Move, error) {
	var wrong error = &IllegalMoveError{k, to}
	switch to {
	case Unverified, Verified, Invalid, Draft:
	default:
		return Move{}, wrong
	}
	store := Move{Next: Known{Status: to}, Stores: true, Changes: true}
	change := Move{Next: Known{Status: to}, Changes: true}
	hold := Move{Next: k, Held: true}
	if k.Filtered {
		if to == Invalid {
			return Move{}, wrong // its notary signed it
		}
		return store, nil
	}
	switch k.Status {
	case Absent:
		return store, nil
	case Draft:
		switch to {
		case Unverified, Verified:
			return change, nil
		case Draft:
			return hold, nil
		default:
			return Move{}, wrong
		}
	case Unverified:
		if to == Verified || to == Invalid {
			return change, nil
		}
		return hold, nil
	case Verified:
		if to == Invalid {
			return Move{}, wrong
		}
		return hold, nil
	case Invalid:
		if to == Verified {
			return Move{}, wrong
		}
		return hold, nil
	default:
		return Move{}, wrong
	}
}

// PersistIfAbsent decides on a whole transaction that is stored only when it is not there.
func (k Known) PersistIfAbsent(to Status) (Move, error) {
	if k.Whole() != Absent {
		return Move{Next: k, Held: true}, nil
	}
	return k.Persist(to)
}

// Update decides on a status for a transaction that is there. Unlike [Known.Persist] it refuses what is behind.
func (k Known) Update(to Status) (Move, error) {
	if k.Whole() == Absent {
		return Move{}, &IllegalMoveError{k, to}
	}
	if k.Status == to {
		return Move{Next: k, Held: true}, nil
	}
	m, err := k.Persist(to)
	if err == nil && m.Held {
		return Move{}, &IllegalMoveError{k, to}
	}
	return m, err
}

// PersistFiltered decides on proofs of a transaction that its notary signed. A whole transaction keeps its status, and
// the proofs lie beside it.
func (k Known) PersistFiltered() (Move, error) {
	switch {
	case k.Status == Invalid:
		return Move{}, &IllegalMoveError{k, Verified}
	case k.Status == Absent:
		return Move{Next: Known{Verified, true}}, nil
	default:
		return Move{Next: k, Held: true}, nil
	}
}
