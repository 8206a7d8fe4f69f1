package verification

import (
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Ask is a request with what came along.
type Ask struct {
	Request *verificationv1.Request
	// Key is the record's key.
	Key string
	// NowUs is the time of the step, DeadlineUs when the requester gives up (zero: never), SentUs when the record was
	// written; microseconds UTC.
	NowUs, DeadlineUs, SentUs int64
}

// State is what a step decides on.
type State struct {
	// Remembered is the answer to an earlier request for the transaction; nil when there is none.
	Remembered *appv1.Verification
	// PackageWaitUs is how long a request waits for a package that is not there, microseconds.
	PackageWaitUs int64
}

// Event is what happens to a request: [Asked], and when contracts must be run, [Ran].
type Event interface{ event() }

// Asked is a request that has come in.
type Asked struct{ Ask }

// Ran is what came of [RunContracts].
type Ran struct {
	Ask
	Outcome
}

// Outcome is what came of running a transaction's contracts.
type Outcome struct {
	// Failures are all that is against the transaction, in the order of the contracts.
	Failures []*appv1.VerificationFailure
	// Missing are packages, of the transaction or of one that made its states, that the cluster does not have, as far as this process knows.
	Missing []ledger.Package
	// Untrusted says whose code would judge a contract of the virtual node that asks; empty when that is its own.
	Untrusted string
	// Later says why the contracts could not be run through no fault of theirs; nil when they could.
	Later error
}

func (Asked) event() {}
func (Ran) event()   {}

// Effect is what a step asks for. [RunContracts] comes alone: what came of it is the next event.
type Effect interface{ effect() }

// RunContracts has contracts look at a transaction.
type RunContracts struct {
	Resolved  *ledger.Resolved
	Contracts []string
	// Own are the contracts of the virtual node that asks.
	Own []*verificationv1.OwnContract
}

// Remember keeps an answer.
type Remember struct {
	ID     ledger.Hash
	Result *appv1.Verification
}

// Respond answers the request.
type Respond struct{ Reply *rpcv1.Reply }

// Wait has the request run again after AfterUs, microseconds; 0 is soon.
type Wait struct {
	Err     error
	AfterUs int64
}

// Note counts what became of a request.
type Note struct{ What Result }

// Recalled counts an answer that was remembered.
type Recalled struct{}

// Result is what became of a request.
type Result string

// The results.
const (
	Verified Result = "verified"
	Invalid  Result = "invalid"
	// Refused: what was asked cannot be answered; the reply says why.
	Refused Result = "refused"
	// Missed: a package is not there, and the reply says so.
	Missed  Result = "package missing"
	Expired Result = "expired"
	// Later: it is run again.
	Later Result = "later"
	// Dead: it went to the dead letters.
	Dead Result = "dead letter"
)

func (RunContracts) effect() {}
func (Remember) effect()     {}
func (Respond) effect()      {}
func (Wait) effect()         {}
func (Note) effect()         {}
func (Recalled) effect()     {}
