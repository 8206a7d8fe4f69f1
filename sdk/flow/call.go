package flow

import (
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Call is a request to the platform, made ready to be issued by [All]. The functions that end in Call make one each,
// for what the method of the same name does at once. A call is issued once.
type Call interface {
	// Err is why the call failed, nil when it succeeded. It is known once All returned.
	Err() error
	state() *call
}

// Pending is a call whose answer is a T.
type Pending[T any] struct {
	call
	value T
}

// Action is a call whose answer says no more than that it is done.
type Action = Pending[struct{}]

// Value is the answer; it is T's zero value before All returned, and when the call failed.
func (p *Pending[T]) Value() T { return p.value }

// Result is the answer, or why there is none.
func (p *Pending[T]) Result() (T, error) { return p.value, p.err }

// Err is why the call failed, nil when it succeeded. It is known once All returned.
func (p *Pending[T]) Err() error { return p.err }

func (p *Pending[T]) state() *call { return &p.call }

// call is what All knows of a call. Most ask once; a message of several parts asks for each.
type call struct {
	// operation is what is asked, unless there is a function ask that makes the next request.
	operation wire.Operation
	ask       func(*Context) asked
	// take takes the answer, and tells whether it was the last; nil when there is nothing to take.
	take func(ctx *Context, result []byte) (last bool, err error)
	// lane is where the parts of two messages must not mix: one way of one session. Empty for no lane.
	lane string

	issued, done bool
	err          error
}

// asked is one request of a call.
type asked struct {
	operation wire.Operation
	// part says that other parts of the same message follow. What waits for the other side is asked only with the last
	// part, or after it: all requests of a step are answered before the flow goes on.
	part bool
	// open says that only the answer tells whether the call goes on.
	open bool
}

// pending is a call of one request.
func pending[T any](o wire.Operation, take func(ctx *Context, result []byte, into *T) error) *Pending[T] {
	p := &Pending[T]{}
	p.operation = o
	p.take = func(ctx *Context, result []byte) (bool, error) { return true, take(ctx, result, &p.value) }
	return p
}

// action is a call of one request without a result.
func action(o wire.Operation) *Action {
	p := &Action{}
	p.operation = o
	return p
}

// failed is a call that came to nothing before it was issued.
func failed[T any](err error) *Pending[T] {
	p := &Pending[T]{}
	p.done, p.err = true, err
	return p
}

// do issues one call.
func do[T any](ctx *Context, p *Pending[T]) (T, error) {
	p.issue()
	for !p.done {
		p.answer(ctx, ctx.exchange([]wire.Request{{Operation: p.next(ctx).operation}})[0])
	}
	return p.value, p.err
}

// issue marks a call as issued.
func (c *call) issue() {
	if c.issued {
		panic("flow.All: a call is issued once; make a new one")
	}
	c.issued = true
}

// next is the call's next request.
func (c *call) next(ctx *Context) asked {
	if c.ask == nil {
		return asked{operation: c.operation}
	}
	return c.ask(ctx)
}

// answer takes the answer of a request.
func (c *call) answer(ctx *Context, a wire.Answer) {
	switch {
	case a.Error != nil:
		c.done, c.err = true, &Error{Type: a.Error.Type, Message: a.Error.Message}
	case c.take == nil:
		c.done = true
	default:
		c.done, c.err = c.take(ctx, a.Result)
		c.done = c.done || c.err != nil
	}
}

// receive decodes a result of the platform.
func receive(result []byte, m wire.Message) error {
	if err := wire.Decode(result, m); err != nil {
		return Errorf("protocol", "the platform's answer cannot be read (%s): was the application built with an older SDK?", err)
	}
	return nil
}

// Timer is a call that is answered after a time, at least a microsecond.
func Timer(d time.Duration) *Action {
	return action(&wire.Sleep{DurationUS: max(1, d.Microseconds())})
}

// All issues independent calls together and suspends the flow until all of them are answered. It returns the first
// error in the order of the calls; each call keeps its own.
//
// The calls make one step of the flow, unless they are too large for one: messages of several parts, more than some
// hundred kilobytes to send, or more than seven calls that bring data. None of them may need what another one brings.
func All(ctx *Context, calls ...Call) error {
	states := make([]*call, len(calls))
	for i, c := range calls {
		states[i] = c.state()
		states[i].issue()
	}
	for turn := next(ctx, states); len(turn) > 0; turn = next(ctx, states) {
		for _, step := range steps(turn) {
			requests := make([]wire.Request, len(step))
			for i, w := range step {
				requests[i].Operation = w.operation
			}
			for i, a := range ctx.exchange(requests) {
				step[i].call.answer(ctx, a)
			}
		}
	}
	for _, c := range states {
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// wanted is a request, and whose it is.
type wanted struct {
	call *call
	asked
}

// next are the requests whose turn it is.
func next(ctx *Context, calls []*call) []wanted {
	var turn, parts []wanted
	var busy []string // lanes that a call of this turn may go on to use
	for _, c := range calls {
		if c.done || c.lane != "" && contains(busy, c.lane) {
			continue
		}
		w := wanted{c, c.next(ctx)}
		if c.lane != "" && (w.part || w.open) {
			busy = append(busy, c.lane)
		}
		turn = append(turn, w)
		if w.part {
			parts = append(parts, w)
		}
	}
	if len(parts) > 0 {
		return parts
	}
	return turn
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// What one step may hold: the platform takes 960 KiB of requests and 512 KiB for each, gives 4 MiB of answers, and
// answers each with 512 KiB at most.
const (
	maxStepBytes = 896 << 10
	maxBringing  = 7
	maxRequests  = 256
)

// steps cuts requests into steps that the platform takes. When there are several, what is only given away comes first:
// nobody waits for the other side while that is held back.
func steps(turn []wanted) [][]wanted {
	if fits(turn) {
		return [][]wanted{turn}
	}
	ordered := make([]wanted, 0, len(turn))
	for _, sends := range []bool{true, false} {
		for _, w := range turn {
			if _, is := w.operation.(*wire.SendMessage); is == sends {
				ordered = append(ordered, w)
			}
		}
	}
	var out [][]wanted
	for first := 0; first < len(ordered); {
		end := first + 1
		for end < len(ordered) && fits(ordered[first:end+1]) {
			end++
		}
		out = append(out, ordered[first:end])
		first = end
	}
	return out
}

func fits(step []wanted) bool {
	size, bringing := 0, 0
	for _, w := range step {
		n, brings := weight(w.operation)
		size += n
		if brings {
			bringing++
		}
	}
	return len(step) <= maxRequests && size <= maxStepBytes && bringing <= maxBringing
}

// weight is how large a request is, about, and whether its answer may be large.
func weight(o wire.Operation) (size int, brings bool) {
	const frame = 512
	sum := func(all [][]byte) (n int) {
		for _, b := range all {
			n += len(b) + 8
		}
		return n + frame
	}
	switch o := o.(type) {
	case *wire.SendMessage:
		return len(o.Payload) + frame, false
	case *wire.ReceiveMessage, *wire.FindAllRows, *wire.LookupMembers, *wire.FindKeys:
		return frame, true
	case *wire.NamedQuery:
		return len(o.Parameters) + frame, true
	case *wire.FindRows:
		return sum(o.Keys), true
	case *wire.MergeRows:
		return sum(o.Rows), true
	case *wire.PersistRows:
		return sum(o.Rows), false
	case *wire.RemoveRows:
		return sum(o.Keys), false
	case *wire.Sign:
		return len(o.Data) + frame, false
	case *wire.CheckSignatures:
		for i := range o.Checks {
			c := &o.Checks[i]
			size += len(c.PublicKey) + len(c.Scheme) + len(c.Message) + len(c.Signature) + 32
		}
		return size + frame, false
	case *wire.EmitMessage:
		return len(o.Key) + len(o.Value) + frame, false
	case *wire.CheckUniqueness:
		const ref = 48
		return (len(o.Inputs)+len(o.References))*ref + len(o.Originator) + frame, len(o.Inputs)+len(o.References) > 64
	case *wire.VerifyTransaction:
		return len(o.Transaction) + sum(o.Sources), true
	case *wire.LedgerRequest:
		return ledgerWeight(o)
	case *wire.PackageRequest:
		if put, puts := o.Operation.(*wire.PutPackagePart); puts {
			return len(put.Data) + frame, false
		}
		return len(wire.Encode(o)) + frame, true
	case *wire.ClaimTokens:
		return frame, true
	case *wire.ReleaseTokens:
		const ref = 48
		return len(o.Used)*ref + frame, false
	case *wire.SignTransactions:
		return sum(o.IDs), len(o.IDs) > 64
	default:
		return frame, false
	}
}

// exchange issues one step.
func (c *Context) exchange(requests []wire.Request) []wire.Answer {
	answers := c.host.Exchange(requests)
	if len(answers) != len(requests) {
		panic(fmt.Sprintf("flow: the platform answered %d of %d requests", len(answers), len(requests)))
	}
	return answers
}
