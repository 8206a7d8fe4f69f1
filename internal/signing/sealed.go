package signing

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"

	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
)

// replyInfo binds a sealed reply to its use and to one request.
func replyInfo(requestID string) []byte { return []byte("fairlead crypto reply v1\x00" + requestID) }

// ReplyKey is the key pair that a process makes at its start and sends with requests whose replies carry secrets. It
// lives in memory alone.
type ReplyKey struct{ private hpke.PrivateKey }

// NewReplyKey makes a key pair.
func NewReplyKey() (*ReplyKey, error) {
	k, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make a key for sealed replies: %w", err)
	}
	return &ReplyKey{k}, nil
}

// Public is what goes into the request.
func (k *ReplyKey) Public() []byte { return k.private.PublicKey().Bytes() }

// Open opens the reply to a request.
func (k *ReplyKey) Open(requestID string, reply *cryptov1.SealedReply) ([]byte, error) {
	r, err := hpke.NewRecipient(reply.GetEncapsulated(), k.private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), replyInfo(requestID))
	if err != nil {
		return nil, fmt.Errorf("open the sealed reply to %s: %w", requestID, err)
	}
	secret, err := r.Open(nil, reply.GetCiphertext())
	if err != nil {
		return nil, fmt.Errorf("open the sealed reply to %s: %w", requestID, err)
	}
	return secret, nil
}

// CheckReplyKey tells whether bytes are a public key that a reply can be sealed to.
func CheckReplyKey(public []byte) error {
	_, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(public)
	return err
}

// Seal seals a secret to the public key of the process that asked.
func Seal(public []byte, requestID string, secret []byte) (*cryptov1.SealedReply, error) {
	to, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("the key to seal to: %w", err)
	}
	encapsulated, s, err := hpke.NewSender(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), replyInfo(requestID))
	if err != nil {
		return nil, fmt.Errorf("seal to the key of the process that asked: %w", err)
	}
	ciphertext, err := s.Seal(nil, secret)
	if err != nil {
		return nil, fmt.Errorf("seal to the key of the process that asked: %w", err)
	}
	return &cryptov1.SealedReply{Encapsulated: encapsulated, Ciphertext: ciphertext}, nil
}
