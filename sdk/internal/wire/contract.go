package wire

// VerifyRequest is the argument of fairlead_verify.
type VerifyRequest struct {
	Contract           string
	Transaction        []byte
	Inputs, References []ResolvedState
}

func (m *VerifyRequest) fields(c *Codec) {
	c.text(1, &m.Contract)
	c.bytes(2, &m.Transaction)
	many(c, 3, &m.Inputs)
	many(c, 4, &m.References)
}

// ResolvedState is a state of an input or reference: the two components of the output that it is.
type ResolvedState struct{ Info, Content []byte }

func (m *ResolvedState) fields(c *Codec) {
	c.bytes(1, &m.Info)
	c.bytes(2, &m.Content)
}

// Verdict is the result of fairlead_verify: exactly one field is set.
type Verdict struct {
	Accepted  *Accepted
	Rejected  *Rejected
	Contracts *Contracts
}

func (m *Verdict) fields(c *Codec) {
	if c.reading { // as in a Yield
		keep := Verdict{}
		switch c.field.number {
		case 1:
			keep.Accepted = m.Accepted
		case 2:
			keep.Rejected = m.Rejected
		case 3:
			keep.Contracts = m.Contracts
		default:
			keep = *m
		}
		*m = keep
	}
	one(c, 1, &m.Accepted)
	one(c, 2, &m.Rejected)
	one(c, 3, &m.Contracts)
}

// Accepted says that the contract has nothing against the transaction.
type Accepted struct{}

func (m *Accepted) fields(*Codec) {}

// Rejected is all that the contract has against the transaction.
type Rejected struct{ Rejections []Rejection }

func (m *Rejected) fields(c *Codec) { many(c, 1, &m.Rejections) }

// All are the rejections; none of a nil one.
func (m *Rejected) All() []Rejection {
	if m == nil {
		return nil
	}
	return m.Rejections
}

// Rejection is one thing that the contract has against the transaction.
type Rejection struct{ Component, Message string }

func (m *Rejection) fields(c *Codec) {
	c.text(1, &m.Component)
	c.text(2, &m.Message)
}

// Contracts are the names of a module's contracts.
type Contracts struct{ Names []string }

func (m *Contracts) fields(c *Codec) { c.texts(1, &m.Names) }

// VerifyTransaction asks for a transaction to be verified; the result is Verification.
type VerifyTransaction struct {
	Transaction []byte
	Sources     [][]byte
}

func (m *VerifyTransaction) fields(c *Codec) {
	c.bytes(1, &m.Transaction)
	c.blobs(2, &m.Sources)
}

func (*VerifyTransaction) number() int { return 40 }

// Name is the operation's name.
func (*VerifyTransaction) Name() string { return "verify" }

// Verification is the result of VerifyTransaction.
type Verification struct {
	Status   string
	Failures []VerificationFailure
}

func (m *Verification) fields(c *Codec) {
	c.text(1, &m.Status)
	many(c, 2, &m.Failures)
}

// VerificationFailure is one thing that is against a transaction.
type VerificationFailure struct{ Contract, Component, Message string }

func (m *VerificationFailure) fields(c *Codec) {
	c.text(1, &m.Contract)
	c.text(2, &m.Component)
	c.text(3, &m.Message)
}
