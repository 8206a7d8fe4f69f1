package wire

// CheckUniqueness asks the memory of the notary that the flow's virtual node is; the result is UniquenessAnswer.
type CheckUniqueness struct {
	Mode               int32
	Transaction        []byte
	Inputs, References []StateRef
	Outputs            int32
	Window             *TimeWindow
	Originator         string
}

func (m *CheckUniqueness) fields(c *Codec) {
	number(c, 1, &m.Mode)
	c.bytes(2, &m.Transaction)
	many(c, 3, &m.Inputs)
	many(c, 4, &m.References)
	number(c, 5, &m.Outputs)
	one(c, 6, &m.Window)
	c.text(7, &m.Originator)
}

// StateRef names an output of a transaction.
type StateRef struct {
	Transaction []byte
	Index       uint32
}

func (m *StateRef) fields(c *Codec) {
	c.bytes(1, &m.Transaction)
	number(c, 2, &m.Index)
}

// TimeWindow is when a notary may accept.
type TimeWindow struct{ FromUS, UntilUS int64 }

func (m *TimeWindow) fields(c *Codec) {
	number(c, 1, &m.FromUS)
	number(c, 2, &m.UntilUS)
}

// UniquenessAnswer is the result of CheckUniqueness.
type UniquenessAnswer struct {
	Transaction []byte
	Result      int32
	DecidedAtNS int64
	Unknown     []StateRef
	Conflicts   []UniquenessConflict
	Window      *TimeWindow
	Text        string
}

func (m *UniquenessAnswer) fields(c *Codec) {
	c.bytes(1, &m.Transaction)
	number(c, 2, &m.Result)
	number(c, 3, &m.DecidedAtNS)
	many(c, 4, &m.Unknown)
	many(c, 5, &m.Conflicts)
	one(c, 6, &m.Window)
	c.text(7, &m.Text)
}

// UniquenessConflict is a state and the transaction that has consumed it.
type UniquenessConflict struct {
	State      *StateRef
	ConsumedBy []byte
}

func (m *UniquenessConflict) fields(c *Codec) {
	one(c, 1, &m.State)
	c.bytes(2, &m.ConsumedBy)
}
