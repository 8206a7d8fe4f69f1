package main

import (
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

func TestHello(t *testing.T) {
	o := flowtest.Run(t, "hello", Greet{Name: "Bob"}, flowtest.As(flow.Identity{X500Name: "O=Alice, L=London, C=GB"}))
	var g Greeting
	o.Result(t, &g)
	if g.Greeting != "Hello, Bob!" || g.From != "O=Alice, L=London, C=GB" || len(g.FlowID) != 36 || g.At.Before(o.Began) {
		t.Errorf("%+v", g)
	}
	if len(o.Steps) != 0 {
		t.Errorf("hello waited: %v", o.Steps)
	}
	if o := flowtest.RunJSON(t, "hello", `{}`); o.Err == nil || !strings.Contains(o.Err.Message, "name is empty") {
		t.Errorf("no name: %v", o.Err)
	}
}

func TestCountdown(t *testing.T) {
	o := flowtest.Run(t, "countdown", Count{N: 3, Seconds: 0.5})
	var c Counted
	o.Result(t, &c)
	if took := c.Ended.Sub(c.Began).Round(time.Millisecond); c.N != 3 || took != 1500*time.Millisecond || len(o.Steps) != 3 {
		t.Errorf("%+v took %v in %d steps", c, took, len(o.Steps))
	}
	o = flowtest.RunJSON(t, "countdown", `{"n":2}`)
	if o.Err != nil || o.Steps[0].Requests[0] != "sleep 1s" {
		t.Errorf("%v %v", o.Err, o.Steps)
	}
	for _, input := range []string{`{"n":-1}`, `{"n":1001}`, `{"n":1,"seconds":-1}`, `{"n":1,"seconds":1e9}`} {
		if o := flowtest.RunJSON(t, "countdown", input); o.Err == nil || o.Err.Type != "bad-input" {
			t.Errorf("%s: %v", input, o.Err)
		}
	}
	o = flowtest.Run(t, "countdown", Count{N: 3}, flowtest.FailAt(2, &flow.Error{Type: "killed", Message: "by an operator"}))
	if o.Err == nil || o.Err.Type != "killed" || o.Err.Message != "sleep at 2: by an operator" {
		t.Errorf("killed: %v", o.Err)
	}
}

func TestSteps(t *testing.T) {
	o := flowtest.Run(t, "steps", Plan{N: 10})
	var w Walked
	o.Result(t, &w)
	if w.Steps != 10 || len(o.Steps) != 10 || o.Steps[9].Requests[0] != "checkpoint" {
		t.Errorf("%+v, %d steps", w, len(o.Steps))
	}
	if o := flowtest.Run(t, "steps", Plan{N: -1}); o.Err == nil {
		t.Error("a negative number of steps")
	}
	o = flowtest.Run(t, "steps", Plan{N: 5}, flowtest.FailAt(3, &flow.Error{Type: "killed"}))
	if o.Err == nil || o.Err.Message != "checkpoint 3: killed" {
		t.Errorf("killed: %v", o.Err)
	}
}
