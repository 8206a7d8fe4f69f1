package tokens

import (
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

// Event is one thing that happens to a pool. NowUs is the time of the step, microseconds UTC.
type Event interface{ event() }

// Asked is a request of a flow.
type Asked struct {
	Request *tokensv1.Request
	// Key is the record's key, RequestID and ReplyTo what its headers say.
	Key, RequestID, ReplyTo string
	// DeadlineUs is when the requester gives up; zero for never.
	DeadlineUs int64
	NowUs      int64
}

// Paged is a page that persistence was asked for.
type Paged struct {
	Query uint64
	Page  *tokensv1.Page
	NowUs int64
}

// Summed is a balance that persistence was asked for.
type Summed struct {
	Query   uint64
	Amounts *appv1.TokenAmounts
	NowUs   int64
}

// Failed tells that persistence cannot answer a query.
type Failed struct {
	Query uint64
	Error *rpcv1.Error
	NowUs int64
}

// Changed tells that a token was made or consumed.
type Changed struct {
	Change *tokensv1.Change
	NowUs  int64
}

// Overdue tells that a query should have been answered long ago.
type Overdue struct {
	Query uint64
	NowUs int64
}

// Expired tells that claims may be too old.
type Expired struct{ NowUs int64 }

func (Asked) event()   {}
func (Paged) event()   {}
func (Summed) event()  {}
func (Failed) event()  {}
func (Changed) event() {}
func (Overdue) event() {}
func (Expired) event() {}

// Effect is one thing that a step asks for, beside the state that it leaves.
type Effect interface{ effect() }

// Respond answers a request.
type Respond struct {
	RequestID, ReplyTo string
	Reply              *rpcv1.Reply
}

// AskPersistence asks for a page or a sum, on behalf of a request. It comes back as [Paged], [Summed] or [Failed].
type AskPersistence struct {
	Number uint64
	// For is the request that began it.
	For        *tokensv1.Request
	Query      *tokensv1.Query
	DeadlineUs int64
}

// SetExpiry has an [Expired] sent at a time.
type SetExpiry struct{ AtUs int64 }

// SetOverdue has an [Overdue] sent at a time; CancelOverdue forgets it.
type SetOverdue struct {
	Query uint64
	AtUs  int64
}

// CancelOverdue forgets the timer of a query.
type CancelOverdue struct{ Query uint64 }

// Note counts what happened.
type Note struct{ What Outcome }

func (Respond) effect()        {}
func (AskPersistence) effect() {}
func (SetExpiry) effect()      {}
func (SetOverdue) effect()     {}
func (CancelOverdue) effect()  {}
func (Note) effect()           {}

// Outcome names what happened, for metrics.
type Outcome string

// The outcomes.
const (
	Claimed  Outcome = "claimed"
	Repeated Outcome = "repeated"
	// NoneAvailable: there were not enough tokens.
	NoneAvailable Outcome = "none available"
	// Backing: that was said without asking the database, which had been asked a moment ago.
	Backing  Outcome = "backed off"
	Released Outcome = "released"
	// Ended: a claim was released because its flow ended.
	Ended Outcome = "flow ended"
	// Missing: a claim that is to be released is not there.
	Missing    Outcome = "claim missing"
	TimedOut   Outcome = "claim expired"
	Balanced   Outcome = "balance"
	Refused    Outcome = "refused"
	Busy       Outcome = "busy"
	Unanswered Outcome = "query failed"
	Late       Outcome = "request expired"
	Queried    Outcome = "query"
	Stale      Outcome = "stale"
	Dead       Outcome = "dead letter"
)
