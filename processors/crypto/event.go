package crypto

import (
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
)

// State is what a step decides on: what the worker knows of the keys that the event is about.
type State struct {
	// Known is the key that a signature or an envelope asks for, by the view of crypto.keys; nil when it is not there.
	Known *cryptov1.Key
	// Named is what the tenant has under the alias asked for; nil when nothing.
	Named *cryptov1.KeyReservation
	// Same is what the tenant has under the id of a key that was made; nil when nothing.
	Same *cryptov1.KeyReservation
	// Listed are the tenant's keys, in the order of their aliases, for a list.
	Listed []*cryptov1.Key
}

// Ask is a request with what came along.
type Ask struct {
	Requester Requester
	Request   *cryptov1.Request
	// ID is the request's id, Key the record's key.
	ID, Key string
	// NowUs is the time of the step, DeadlineUs when the requester gives up (zero: never), SentUs when the record was
	// written; microseconds UTC.
	NowUs, DeadlineUs, SentUs int64
	// Place names the record that asks, 32 hex digits: no other record, cluster or restore has the same.
	Place string
}

// Event is what happens to a request: first [Asked]; when Vault is needed, one of the others follows.
type Event interface{ event() }

// Asked is a request that has come in.
type Asked struct{ Ask }

// KeyMade is Vault's answer to [MakeKey].
type KeyMade struct {
	Ask
	Made MakeKey
	// Type is the type of the key that Vault has under the name, PublicKey its SubjectPublicKeyInfo; Weakness says why
	// it must not be used, empty when it may.
	Type      string
	PublicKey []byte
	Weakness  string
}

// SignaturesMade is Vault's answer to [MakeSignatures].
type SignaturesMade struct {
	Ask
	Made       MakeSignatures
	Signatures [][]byte
}

// EnvelopeOpened is Vault's answer to [OpenEnvelope].
type EnvelopeOpened struct {
	Ask
	Secret []byte
}

// VaultRefused is Vault's answer to anything that it will never do.
type VaultRefused struct {
	Ask
	Reason string
}

func (Asked) event()          {}
func (KeyMade) event()        {}
func (SignaturesMade) event() {}
func (EnvelopeOpened) event() {}
func (VaultRefused) event()   {}
