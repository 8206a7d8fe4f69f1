package wire

// Start is the argument of fairlead_start.
type Start struct {
	FlowClass       string
	Input           []byte
	FlowID          []byte
	Me              *Identity
	ClientRequestID string
	Properties      []Property
	Session         *Session
	Attempt         uint32
}

func (m *Start) fields(c *Codec) {
	c.text(1, &m.FlowClass)
	c.bytes(2, &m.Input)
	c.bytes(3, &m.FlowID)
	one(c, 4, &m.Me)
	c.text(5, &m.ClientRequestID)
	many(c, 6, &m.Properties)
	one(c, 7, &m.Session)
	number(c, 8, &m.Attempt)
}

// Identity is who a flow runs as.
type Identity struct{ X500Name, GroupID, ShortHash string }

func (m *Identity) fields(c *Codec) {
	c.text(1, &m.X500Name)
	c.text(2, &m.GroupID)
	c.text(3, &m.ShortHash)
}

// Property is one named value of a flow's context.
type Property struct{ Name, Value string }

func (m *Property) fields(c *Codec) {
	c.text(1, &m.Name)
	c.text(2, &m.Value)
}

// Session is the responder's end of a conversation.
type Session struct {
	ID, Counterparty, Protocol string
	ProtocolVersion            uint32
	Properties                 []Property
}

func (m *Session) fields(c *Codec) {
	c.text(1, &m.ID)
	c.text(2, &m.Counterparty)
	c.text(3, &m.Protocol)
	number(c, 4, &m.ProtocolVersion)
	many(c, 5, &m.Properties)
}

// Yield is a step's result: at most one field is set.
type Yield struct {
	Done     *Done
	Failed   *Failed
	Requests *Requests
}

func (m *Yield) fields(c *Codec) {
	if c.reading { // the last choice wins; of the same one twice, the second is merged into the first
		keep := Yield{}
		switch c.field.number {
		case 1:
			keep.Done = m.Done
		case 2:
			keep.Failed = m.Failed
		case 3:
			keep.Requests = m.Requests
		default:
			keep = *m
		}
		*m = keep
	}
	one(c, 1, &m.Done)
	one(c, 2, &m.Failed)
	one(c, 3, &m.Requests)
}

// Done is a flow's ordinary end.
type Done struct{ Result []byte }

func (m *Done) fields(c *Codec) { c.bytes(1, &m.Result) }

// Failed is a flow's end by an error.
type Failed struct{ Error *Error }

func (m *Failed) fields(c *Codec) { one(c, 1, &m.Error) }

// Error is what failed and why.
type Error struct{ Type, Message string }

func (m *Error) fields(c *Codec) {
	c.text(1, &m.Type)
	c.text(2, &m.Message)
}

// Requests are issued together.
type Requests struct{ Requests []Request }

func (m *Requests) fields(c *Codec) { many(c, 1, &m.Requests) }

// Request is one thing that a flow asks for; Operation is nil for one that this SDK does not know.
type Request struct{ Operation Operation }

func (m *Request) fields(c *Codec) {
	if !c.reading {
		if m.Operation != nil {
			c.message(m.Operation.number(), m.Operation)
		}
		return
	}
	o := operation(c.field.number)
	if o == nil || !c.is(c.field.number, length) {
		return
	}
	if m.Operation == nil || m.Operation.number() != c.field.number {
		m.Operation = o
	}
	c.read(c.field.bytes, m.Operation)
}

// Resume is the argument of fairlead_resume.
type Resume struct{ Answers []Answer }

func (m *Resume) fields(c *Codec) { many(c, 1, &m.Answers) }

// Answer is the result of one request: Error, or else Result when HasResult is set.
type Answer struct {
	Result    []byte
	HasResult bool
	Error     *Error
}

func (m *Answer) fields(c *Codec) {
	if !c.reading {
		switch {
		case m.Error != nil:
			c.message(2, m.Error)
		case m.HasResult:
			c.out = appendItem(c.out, 1, m.Result)
		}
		return
	}
	switch c.field.number {
	case 1:
		*m = Answer{HasResult: true}
		c.bytes(1, &m.Result)
	case 2:
		*m = Answer{Error: m.Error}
		one(c, 2, &m.Error)
	}
}

// Result is an answer with a result; nil is the empty one of operations without.
func Result(m Message) Answer {
	if m == nil {
		return Answer{HasResult: true}
	}
	return Answer{HasResult: true, Result: Encode(m)}
}
