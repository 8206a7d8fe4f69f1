package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/fairleadio/fairlead/identity"
)

// KeyLength is the length of a row's key, bytes.
const KeyLength = 16 + 3*4

// Key is the place of a row.
type Key struct {
	Flow                   identity.UUID
	Attempt, Step, Ordinal uint32
}

// Bytes is the key as the store has it.
func (k Key) Bytes() []byte {
	return binary.BigEndian.AppendUint32(StepPrefix(k.Flow, k.Attempt, k.Step), k.Ordinal)
}

// String shows the key to people, and is the id of the request that the row holds.
func (k Key) String() string {
	return fmt.Sprintf("%s/%d/%d/%d", k.Flow, k.Attempt, k.Step, k.Ordinal)
}

// FlowPrefix is what the keys of all rows of a flow begin with.
func FlowPrefix(flow identity.UUID) []byte {
	return append(make([]byte, 0, KeyLength), flow[:]...)
}

// StepPrefix is what the keys of all rows of one step of an attempt begin with.
func StepPrefix(flow identity.UUID, attempt, step uint32) []byte {
	b := binary.BigEndian.AppendUint32(FlowPrefix(flow), attempt)
	return binary.BigEndian.AppendUint32(b, step)
}

// ParseKey reads the form of Bytes.
func ParseKey(b []byte) (Key, error) {
	if len(b) != KeyLength {
		return Key{}, fmt.Errorf("journal key has %d bytes, %d are expected", len(b), KeyLength)
	}
	return Key{
		Flow:    identity.UUID(b[:16]),
		Attempt: binary.BigEndian.Uint32(b[16:]),
		Step:    binary.BigEndian.Uint32(b[20:]),
		Ordinal: binary.BigEndian.Uint32(b[24:]),
	}, nil
}
