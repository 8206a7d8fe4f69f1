package crypto

import (
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// Effect is what a step asks for. [MakeKey], [MakeSignatures] and [OpenEnvelope] come alone: Vault's answer is the next
// event.
type Effect interface{ effect() }

// MakeKey has Vault make a key, or tell of the one that has the name.
type MakeKey struct {
	VaultName string
	// Scheme is that of the key, Asked what was asked for.
	Scheme, Asked string
}

// MakeSignatures has Vault sign messages, as they are.
type MakeSignatures struct {
	Key *cryptov1.Key
	// Scheme is that of the signatures.
	Scheme   string
	Messages [][]byte
}

// OpenEnvelope has Vault open the content key of an envelope.
type OpenEnvelope struct {
	Key    *cryptov1.Key
	Sealed []byte
}

// Reserve writes the rows of a new key, under its alias and its id, and publishes it.
type Reserve struct{ Key *cryptov1.Key }

// Respond answers the request.
type Respond struct{ Reply *rpcv1.Reply }

// RespondSealed answers with a secret that only the process that asked can open.
type RespondSealed struct {
	To     []byte
	Secret []byte
}

// Audit writes down what was refused, or what must be known later.
type Audit struct{ Entry *auditv1.Entry }

// WaitForKey has the request run again soon: its key may be on its way to this process.
type WaitForKey struct{ KeyID string }

// Note counts an outcome.
type Note struct{ Outcome Outcome }

// Outcome is what became of a request.
type Outcome string

// The outcomes.
const (
	Done Outcome = "done"
	// Repeated: the key of this alias was there.
	Repeated Outcome = "repeated"
	Refused  Outcome = "refused"
	Failed   Outcome = "failed"
	Expired  Outcome = "expired"
)

func (MakeKey) effect()        {}
func (MakeSignatures) effect() {}
func (OpenEnvelope) effect()   {}
func (Reserve) effect()        {}
func (Respond) effect()        {}
func (RespondSealed) effect()  {}
func (Audit) effect()          {}
func (WaitForKey) effect()     {}
func (Note) effect()           {}
