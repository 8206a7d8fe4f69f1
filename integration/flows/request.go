package flows

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Vnode is a virtual node that flows are started on.
type Vnode struct{ ShortHash, X500Name string }

// Request is a flow that a client wants.
type Request struct {
	ID    string
	Vnode Vnode
	Class string
	// Input is the flow's argument, JSON.
	Input string
	// Name is who is greeted; empty for other flows, and for a greeting that must fail.
	Name string
	// Waits is how many sleeps or checkpoints the flow makes.
	Waits int
	// Sleep is how long each sleep lasts.
	Sleep time.Duration
	// Twice asks two workers at once.
	Twice bool
}

// Classes of the example application.
const (
	Hello     = "hello"
	Countdown = "countdown"
	Steps     = "steps"
)

// Key is the request's key in flow.mapper.start and flow.status.
func (r Request) Key() string { return r.ID + "-" + r.Vnode.ShortHash }

// End is the state that the flow must end in.
func (r Request) End() flowv1.FlowState {
	if r.Class == Hello && r.Name == "" {
		return flowv1.FlowState_FLOW_STATE_FAILED
	}
	return flowv1.FlowState_FLOW_STATE_COMPLETED
}

// operation is what the flow asks for at each of its steps but the last.
func (r Request) operation() string {
	switch r.Class {
	case Countdown:
		return "sleep"
	case Steps:
		return "checkpoint"
	default:
		return ""
	}
}

// checkResult tells what is wrong with a result, empty for nothing.
func (r Request) checkResult(result []byte, flowID string) string {
	if r.End() != flowv1.FlowState_FLOW_STATE_COMPLETED {
		if len(result) > 0 {
			return fmt.Sprintf("it failed, and has the result %s", result)
		}
		return ""
	}
	var got struct {
		Greeting, From, FlowID string
		N, Steps               int
		Began, Ended           time.Time
	}
	if err := json.Unmarshal(result, &got); err != nil {
		return fmt.Sprintf("result %q: %v", result, err)
	}
	var wrong bool
	switch r.Class {
	case Hello:
		wrong = got.Greeting != "Hello, "+r.Name+"!" || got.From != r.Vnode.X500Name || got.FlowID != flowID
	case Countdown:
		wrong = got.N != r.Waits || got.Ended.Sub(got.Began) < time.Duration(r.Waits)*r.Sleep
	default:
		wrong = got.Steps != r.Waits
	}
	if wrong {
		return fmt.Sprintf("%s of %s has the result %s", r.Class, r.Input, result)
	}
	return ""
}

// Draw makes the n-th request.
func Draw(rnd *rand.Rand, vnodes []Vnode, n int) Request {
	r := Request{ID: "r" + strconv.Itoa(n), Vnode: vnodes[rnd.IntN(len(vnodes))], Twice: rnd.IntN(20) == 0}
	switch d := rnd.IntN(20); {
	case d == 0:
		r.Class, r.Input = Hello, `{"name":""}`
	case d < 8:
		r.Class, r.Name = Hello, "client "+strconv.Itoa(n)
		r.Input = fmt.Sprintf(`{"name":%q}`, r.Name)
	case d < 14:
		r.Class, r.Waits, r.Sleep = Countdown, 1+rnd.IntN(4), time.Duration(100+rnd.IntN(1400))*time.Millisecond
		r.Input = fmt.Sprintf(`{"n":%d,"seconds":%g}`, r.Waits, r.Sleep.Seconds())
	default:
		r.Class, r.Waits = Steps, 1+rnd.IntN(30)
		r.Input = fmt.Sprintf(`{"n":%d}`, r.Waits)
	}
	return r
}
