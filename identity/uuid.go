package identity

import (
	"crypto/sha1" //nolint:gosec // UUIDv5 is defined with SHA-1; nothing relies on its strength against collisions
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// UUID is a derived id: RFC 9562 version 5.
type UUID [16]byte

// Namespace returns fairlead's own namespace, 1cafbd48-8e6a-5d43-be3a-ad7e98c0292e: UUIDv5 of the DNS namespace and
// "fairlead.io". Flow ids are derived in it; it never changes.
func Namespace() UUID {
	dns := UUID{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	return V5(dns, []byte("fairlead.io"))
}

// V5 derives an id from a namespace and a name (RFC 9562, section 5.5).
func V5(namespace UUID, name []byte) UUID {
	h := sha1.New() //nolint:gosec // see the import
	h.Write(namespace[:])
	h.Write(name)
	var u UUID
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

// NewGroupID derives the id of a new application network from the id of the request that makes its manager's virtual
// node: whoever knows the request knows the short hash before the virtual node is there.
func NewGroupID(requestID string) string { return V5(Namespace(), []byte("group "+requestID)).String() }

// FlowID derives a flow's id from the place of the start record that the mapper accepted: Kafka's id of the topic,
// the partition (4 bytes big-endian) and the offset (8 bytes big-endian). Neither another cluster nor a restore can
// repeat it.
func FlowID(topicID [16]byte, partition int32, offset int64) UUID {
	return ofPlace(topicID, partition, offset)
}

// CommandID derives the id of an operator's command from the place of the record that carries it, as FlowID does for
// a start: a record is one or the other.
func CommandID(topicID [16]byte, partition int32, offset int64) UUID {
	return ofPlace(topicID, partition, offset)
}

func ofPlace(topicID [16]byte, partition int32, offset int64) UUID {
	name := make([]byte, 0, 28)
	name = append(name, topicID[:]...)
	name = binary.BigEndian.AppendUint32(name, uint32(partition))
	name = binary.BigEndian.AppendUint64(name, uint64(offset))
	return V5(Namespace(), name)
}

// SessionID derives the id of the ordinal-th session that a flow opens in an attempt, as its initiator sees it.
func SessionID(flow UUID, attempt, ordinal uint32) UUID {
	name := make([]byte, 0, 8)
	name = binary.BigEndian.AppendUint32(name, attempt)
	name = binary.BigEndian.AppendUint32(name, ordinal)
	return V5(flow, name)
}

// String is the usual form: lower-case hexadecimal in groups of 8, 4, 4, 4 and 12.
func (u UUID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], u[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], u[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], u[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], u[10:16])
	return string(b[:])
}

// IsZero tells that the id was never set.
func (u UUID) IsZero() bool { return u == UUID{} }

// ParseUUID reads the form of String, and takes upper-case digits too.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("id %q is not a UUID: 8-4-4-4-12 hexadecimal digits are expected", cut(s))
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return UUID{}, fmt.Errorf("id %q is not a UUID: %w", cut(s), err)
	}
	return u, nil
}

// UUIDFromBytes takes the 16 bytes of an id as records carry it.
func UUIDFromBytes(b []byte) (UUID, error) {
	var u UUID
	if len(b) != len(u) {
		return u, fmt.Errorf("id has %d bytes, %d are expected", len(b), len(u))
	}
	copy(u[:], b)
	return u, nil
}
