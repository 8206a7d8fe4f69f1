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

// Identity is who a flow runs as.
type Identity struct{ X500Name, GroupID, ShortHash string }

// Property is one named value of a flow's context.
type Property struct{ Name, Value string }

// Session is one end of a conversation.
type Session struct {
	ID, Counterparty, Protocol string
	ProtocolVersion            uint32
}

// Yield is a step's result: at most one field is set.
type Yield struct {
	Done     *Done
	Failed   *Failed
	Requests *Requests
}

// Done is a flow's ordinary end.
type Done struct{ Result []byte }

// Failed is a flow's end by an error.
type Failed struct{ Error *Error }

// Error is what failed and why.
type Error struct{ Type, Message string }

// Requests are issued together.
type Requests struct{ Requests []Request }

// Request is one thing that a flow asks for: at most one field is set.
type Request struct {
	Sleep      *Sleep
	Checkpoint *Checkpoint
}

// Sleep resumes the flow after a time.
type Sleep struct{ DurationUS int64 }

// Checkpoint makes what happened so far durable.
type Checkpoint struct{}

// Resume is the argument of fairlead_resume.
type Resume struct{ Answers []Answer }

// Answer is the result of one request: Error, or else Result when HasResult is set.
type Answer struct {
	Result    []byte
	HasResult bool
	Error     *Error
}

// Append appends the message's encoding.
func (m *Start) Append(b []byte) []byte {
	b = appendText(b, 1, m.FlowClass)
	b = appendText(b, 2, m.Input)
	b = appendText(b, 3, m.FlowID)
	if m.Me != nil {
		b = appendItem(b, 4, m.Me.Append(nil))
	}
	b = appendText(b, 5, m.ClientRequestID)
	for _, p := range m.Properties {
		b = appendItem(b, 6, appendText(appendText(nil, 1, p.Name), 2, p.Value))
	}
	if m.Session != nil {
		b = appendItem(b, 7, m.Session.Append(nil))
	}
	return appendUint(b, 8, uint64(m.Attempt))
}

// Decode reads a message into m, which must be zero.
func (m *Start) Decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			return f.text(&m.FlowClass)
		case 2:
			return f.data(&m.Input)
		case 3:
			return f.data(&m.FlowID)
		case 4:
			if m.Me == nil {
				m.Me = &Identity{}
			}
			return f.message(m.Me.decode)
		case 5:
			return f.text(&m.ClientRequestID)
		case 6:
			var p Property
			err := f.message(p.decode)
			m.Properties = append(m.Properties, p)
			return err
		case 7:
			if m.Session == nil {
				m.Session = &Session{}
			}
			return f.message(m.Session.decode)
		case 8:
			return f.uint32(&m.Attempt)
		}
		return nil
	})
}

func (f field) uint32(into *uint32) error {
	var v uint64
	err := f.uint(&v)
	*into = uint32(v)
	return err
}

// Append appends the message's encoding.
func (m *Identity) Append(b []byte) []byte {
	return appendText(appendText(appendText(b, 1, m.X500Name), 2, m.GroupID), 3, m.ShortHash)
}

func (m *Identity) decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			return f.text(&m.X500Name)
		case 2:
			return f.text(&m.GroupID)
		case 3:
			return f.text(&m.ShortHash)
		}
		return nil
	})
}

func (p *Property) decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			return f.text(&p.Name)
		case 2:
			return f.text(&p.Value)
		}
		return nil
	})
}

// Append appends the message's encoding.
func (m *Session) Append(b []byte) []byte {
	b = appendText(appendText(appendText(b, 1, m.ID), 2, m.Counterparty), 3, m.Protocol)
	return appendUint(b, 4, uint64(m.ProtocolVersion))
}

func (m *Session) decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			return f.text(&m.ID)
		case 2:
			return f.text(&m.Counterparty)
		case 3:
			return f.text(&m.Protocol)
		case 4:
			return f.uint32(&m.ProtocolVersion)
		}
		return nil
	})
}

// Append appends the message's encoding.
func (m *Yield) Append(b []byte) []byte {
	switch {
	case m.Done != nil:
		b = appendItem(b, 1, appendText(nil, 1, m.Done.Result))
	case m.Failed != nil:
		var inner []byte
		if m.Failed.Error != nil {
			inner = appendItem(nil, 1, m.Failed.Error.append(nil))
		}
		b = appendItem(b, 2, inner)
	case m.Requests != nil:
		var inner []byte
		for i := range m.Requests.Requests {
			inner = appendItem(inner, 1, m.Requests.Requests[i].append(nil))
		}
		b = appendItem(b, 3, inner)
	}
	return b
}

// Decode reads a message into m, which must be zero.
func (m *Yield) Decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			if m.Done == nil {
				*m = Yield{Done: &Done{}}
			}
			return f.message(m.Done.decode)
		case 2:
			if m.Failed == nil {
				*m = Yield{Failed: &Failed{}}
			}
			return f.message(m.Failed.decode)
		case 3:
			if m.Requests == nil {
				*m = Yield{Requests: &Requests{}}
			}
			return f.message(m.Requests.decode)
		}
		return nil
	})
}

func (m *Done) decode(b []byte) error {
	return each(b, func(f field) error {
		if f.number == 1 {
			return f.data(&m.Result)
		}
		return nil
	})
}

func (m *Failed) decode(b []byte) error {
	return each(b, func(f field) error {
		if f.number == 1 {
			if m.Error == nil {
				m.Error = &Error{}
			}
			return f.message(m.Error.decode)
		}
		return nil
	})
}

func (m *Error) append(b []byte) []byte { return appendText(appendText(b, 1, m.Type), 2, m.Message) }

func (m *Error) decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			return f.text(&m.Type)
		case 2:
			return f.text(&m.Message)
		}
		return nil
	})
}

func (m *Requests) decode(b []byte) error {
	return each(b, func(f field) error {
		if f.number != 1 {
			return nil
		}
		var r Request
		err := f.message(r.decode)
		m.Requests = append(m.Requests, r)
		return err
	})
}

func (m *Request) append(b []byte) []byte {
	switch {
	case m.Sleep != nil:
		b = appendItem(b, 1, appendUint(nil, 1, uint64(m.Sleep.DurationUS)))
	case m.Checkpoint != nil:
		b = appendItem(b, 2, "")
	}
	return b
}

func (m *Request) decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			if m.Sleep == nil {
				*m = Request{Sleep: &Sleep{}}
			}
			return f.message(m.Sleep.decode)
		case 2:
			*m = Request{Checkpoint: &Checkpoint{}}
			return f.message(func(b []byte) error { return each(b, func(field) error { return nil }) })
		}
		return nil
	})
}

func (m *Sleep) decode(b []byte) error {
	return each(b, func(f field) error {
		if f.number != 1 {
			return nil
		}
		var v uint64
		err := f.uint(&v)
		m.DurationUS = int64(v)
		return err
	})
}

// Append appends the message's encoding.
func (m *Resume) Append(b []byte) []byte {
	for i := range m.Answers {
		b = appendItem(b, 1, m.Answers[i].append(nil))
	}
	return b
}

// Decode reads a message into m, which must be zero.
func (m *Resume) Decode(b []byte) error {
	return each(b, func(f field) error {
		if f.number != 1 {
			return nil
		}
		var a Answer
		err := f.message(a.decode)
		m.Answers = append(m.Answers, a)
		return err
	})
}

func (m *Answer) append(b []byte) []byte {
	switch {
	case m.Error != nil:
		b = appendItem(b, 2, m.Error.append(nil))
	case m.HasResult:
		b = appendItem(b, 1, m.Result)
	}
	return b
}

func (m *Answer) decode(b []byte) error {
	return each(b, func(f field) error {
		switch f.number {
		case 1:
			*m = Answer{HasResult: true}
			return f.data(&m.Result)
		case 2:
			if m.Error == nil {
				*m = Answer{Error: &Error{}}
			}
			return f.message(m.Error.decode)
		}
		return nil
	})
}
