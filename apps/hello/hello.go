// Command hello is the first application: three small flows to try a platform with.
package main

import (
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/native"
)

func init() {
	flow.Register("hello", Hello)
	flow.Register("countdown", Countdown)
	flow.Register("steps", Steps)
}

// main is for debugging: on the platform it is never called.
func main() { native.Main() }

// Greet is the argument of flow hello.
type Greet struct {
	Name string `json:"name"`
}

// Greeting is the result of flow hello.
type Greeting struct {
	Greeting string    `json:"greeting"`
	From     string    `json:"from"`
	FlowID   string    `json:"flowId"`
	At       time.Time `json:"at"`
}

// Hello greets. It never waits: one step.
func Hello(ctx *flow.Context, in Greet) (Greeting, error) {
	if in.Name == "" {
		return Greeting{}, flow.Errorf("bad-input", `name is empty: start the flow with {"name":"…"}`)
	}
	ctx.Log().Info("greeting", "name", in.Name)
	return Greeting{
		Greeting: "Hello, " + in.Name + "!",
		From:     ctx.Identity().X500Name,
		FlowID:   ctx.FlowID().String(),
		At:       ctx.Now(),
	}, nil
}

// Count is the argument of flow countdown.
type Count struct {
	// N is how often to sleep.
	N int `json:"n"`
	// Seconds is how long each sleep takes; one second when it is not given.
	Seconds float64 `json:"seconds,omitempty"`
}

// Counted is the result of flow countdown.
type Counted struct {
	N     int       `json:"n"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
}

// Countdown sleeps n times, each a durable timer.
func Countdown(ctx *flow.Context, in Count) (Counted, error) {
	if in.N < 0 || in.N > 1000 {
		return Counted{}, flow.Errorf("bad-input", "n is %d: it must be between 0 and 1000", in.N)
	}
	if in.Seconds < 0 || in.Seconds > 86400 {
		return Counted{}, flow.Errorf("bad-input", "seconds is %g: it must be between 0 and 86400", in.Seconds)
	}
	if in.Seconds == 0 {
		in.Seconds = 1
	}
	began := ctx.Now()
	for n := in.N; n > 0; n-- {
		ctx.Log().Info("counting", "n", n)
		if err := ctx.Sleep(time.Duration(in.Seconds * float64(time.Second))); err != nil {
			return Counted{}, fmt.Errorf("sleep at %d: %w", n, err)
		}
	}
	return Counted{N: in.N, Began: began, Ended: ctx.Now()}, nil
}

// Plan is the argument of flow steps.
type Plan struct {
	// N is how many checkpoints to make.
	N int `json:"n"`
}

// Walked is the result of flow steps.
type Walked struct {
	Steps int `json:"steps"`
}

// Steps makes n checkpoints and does nothing else: what it takes is what a step takes.
func Steps(ctx *flow.Context, in Plan) (Walked, error) {
	if in.N < 0 || in.N > 100_000 {
		return Walked{}, flow.Errorf("bad-input", "n is %d: it must be between 0 and 100000", in.N)
	}
	for n := range in.N {
		if err := ctx.Checkpoint(); err != nil {
			return Walked{}, fmt.Errorf("checkpoint %d: %w", n+1, err)
		}
	}
	return Walked{Steps: in.N}, nil
}
