package flowtest

import "github.com/fairleadio/fairlead/sdk/flow"

// counted are faults that come when something was done so often.
type counted struct {
	requests, steps map[int]*flow.Error
	request, step   int
	lost            int // the request with which the member is lost, 0 for none
}

// FailRequest answers the nth request that the member's flows make from now on with an error, counted from 1: over all of
// its flows and operations. So a test can have a member fail at each place, one after the other.
func (m *Member) FailRequest(n int, err *flow.Error) {
	if m.counted.requests == nil {
		m.counted.requests = map[int]*flow.Error{}
	}
	m.counted.requests[m.counted.request+n] = err
}

// FailStep answers all requests of the nth suspension of the member's flows from now on with an error, counted from 1.
func (m *Member) FailStep(n int, err *flow.Error) {
	if m.counted.steps == nil {
		m.counted.steps = map[int]*flow.Error{}
	}
	m.counted.steps[m.counted.step+n] = err
}

// UnreachableAfter makes the member unreachable once its flows have made n more requests; see [Member.Unreachable].
func (m *Member) UnreachableAfter(n int) { m.counted.lost = m.counted.request + n + 1 }

// Requests is how many requests the member's flows have made.
func (m *Member) Requests() int { return m.counted.request }

// Steps is how many suspensions the member's flows have made.
func (m *Member) Steps() int { return m.counted.step }

func (m *Member) nextRequest() *flow.Error {
	c := &m.counted
	if c.request++; c.request == c.lost {
		m.unreachable = true
	}
	return c.requests[c.request]
}

func (c *counted) nextStep() *flow.Error {
	c.step++
	return c.steps[c.step]
}
