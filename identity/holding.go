package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// ShortHashLength is the number of hexadecimal digits of a short hash.
const ShortHashLength = 12

// MaxGroupID bounds the id of an application network, in bytes.
const MaxGroupID = 255

// Holding is a holding identity: who a virtual node is, within one application network.
type Holding struct {
	Name    Name
	GroupID string
}

// NewHolding reads a name in any accepted spelling and checks the group id: printable ASCII without spaces.
func NewHolding(x500Name, groupID string) (Holding, error) {
	n, err := ParseName(x500Name)
	if err != nil {
		return Holding{}, err
	}
	if groupID == "" || len(groupID) > MaxGroupID {
		return Holding{}, fmt.Errorf("group id has %d bytes; give 1 to %d", len(groupID), MaxGroupID)
	}
	for i := range len(groupID) {
		if c := groupID[i]; c <= ' ' || c > '~' {
			return Holding{}, fmt.Errorf("group id %q: byte %d is not printable ASCII without spaces", cut(groupID), i)
		}
	}
	return Holding{Name: n, GroupID: groupID}, nil
}

// Hash is SHA-256 over the canonical name followed by the group id.
func (h Holding) Hash() [32]byte { return sha256.Sum256([]byte(h.Name.String() + h.GroupID)) }

// ShortHash is the first 12 hexadecimal digits of Hash, upper case: the key of the virtual node.
func (h Holding) ShortHash() string {
	sum := h.Hash()
	return strings.ToUpper(hex.EncodeToString(sum[:ShortHashLength/2]))
}

// String shows the holding identity to people.
func (h Holding) String() string { return h.Name.String() + " in group " + h.GroupID }

// ParseShortHash takes a short hash in either case and returns it in upper case.
func ParseShortHash(s string) (string, error) {
	if !isHex(s) || len(s) != ShortHashLength {
		return "", fmt.Errorf("short hash %q is not %d hexadecimal digits", cut(s), ShortHashLength)
	}
	return strings.ToUpper(s), nil
}

// IsShortHash tells whether s is a short hash as it stands in keys: 12 upper-case hexadecimal digits.
func IsShortHash(s string) bool {
	return len(s) == ShortHashLength && isHex(s) && strings.ToUpper(s) == s
}

func isHex(s string) bool {
	for i := range len(s) {
		if _, ok := hexDigit(s[i]); !ok {
			return false
		}
	}
	return true
}
