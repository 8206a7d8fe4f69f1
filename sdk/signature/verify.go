package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/keys"
)

// ErrInvalid is returned for a signature that is not one of the data by the key and member.
var ErrInvalid = keys.ErrInvalid

// ErrUnsupported is returned for a kind of key or scheme that cannot be checked here.
var ErrUnsupported = keys.ErrUnsupported

// prefix stands before the data that is signed.
const prefix = "fairlead application signature v1\x00"

// Verify checks that a member's flow signed the data, with a ledger key that the group knows as the member's. The member
// comes from the context's Member, and not from the other side.
func Verify(data []byte, s flow.Signature, by flow.Member) error {
	for _, key := range by.LedgerKeys {
		if string(key) == string(s.PublicKey) {
			return VerifyKey(data, s, flow.Identity{X500Name: by.X500Name, GroupID: by.GroupID})
		}
	}
	return fmt.Errorf("%w: key %s is not a ledger key of %s", ErrInvalid, KeyID(s.PublicKey), by.X500Name)
}

// VerifyKey checks that the data was signed in an identity's virtual node with the key that the signature names. Whether
// that key is to be believed is the caller's to know. The identity's short hash may be left out.
func VerifyKey(data []byte, s flow.Signature, by flow.Identity) error {
	if by.ShortHash == "" {
		by.ShortHash = ShortHash(by.X500Name, by.GroupID)
	}
	return Check(s.PublicKey, s.Scheme, append([]byte(prefix+by.ShortHash+"\x00"), data...), s.Bytes)
}

// Check checks that exactly these bytes were signed with a key, in the encoding of X.509. What flows sign has words before
// it that tell what it is for: see [VerifyKey]. Errors are [ErrInvalid] and [ErrUnsupported].
func Check(publicKey []byte, scheme string, message, signature []byte) error {
	return keys.Check(publicKey, scheme, message, signature)
}

// KeyID is by what the platform names a key: the first twelve hex digits of SHA-256 over it.
func KeyID(key flow.PublicKey) string { return keys.ID(key) }

// ShortHash names a virtual node: the first twelve hex digits of SHA-256 over the member's canonical name and its group.
func ShortHash(x500Name, groupID string) string {
	sum := sha256.Sum256([]byte(x500Name + groupID))
	return strings.ToUpper(hex.EncodeToString(sum[:6]))
}
