package flowtest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

type order struct {
	Amount int    `json:"amount"`
	To     string `json:"to"`
}

func TestMain(m *testing.M) {
	flow.Register("pay", func(ctx *flow.Context, in order) (string, error) {
		ctx.Log().Info("paying", "to", in.To, "amount", in.Amount)
		if in.Amount > 100 {
			return "", flow.Errorf("insufficient-funds", "have 100, need %d", in.Amount)
		}
		short, long := flow.Timer(time.Minute), flow.Timer(time.Hour)
		if err := flow.All(ctx, short, long); err != nil {
			return "", err
		}
		if err := ctx.Checkpoint(); err != nil {
			return "", errors.Join(errors.New("checkpoint"), err)
		}
		if err := ctx.Sleep(-time.Second); err != nil {
			return "", err
		}
		return in.To, nil
	})
	flow.Register("context", func(ctx *flow.Context, _ struct{}) (map[string]any, error) {
		_, absent := ctx.Property("absent")
		p := ctx.Properties()
		p["changed"] = "here only"
		return map[string]any{
			"me": ctx.Identity(), "id": ctx.FlowID().String(), "request": ctx.ClientRequestID(), "attempt": ctx.Attempt(),
			"properties": ctx.Properties(), "absent": absent, "now": ctx.Now(), "bytes": ctx.RandomBytes(4), "number": ctx.Rand().IntN(1000),
		}, nil
	})
	flow.Register("panics", func(_ *flow.Context, in []int) (int, error) { return in[3], nil })
	flow.Register("reuses", func(ctx *flow.Context, _ struct{}) (int, error) {
		c := flow.Timer(1)
		return 0, errors.Join(flow.All(ctx, c), flow.All(ctx, c))
	})
	flow.Register("odd-result", func(*flow.Context, struct{}) (func(), error) { return nil, nil })
	registerFlows()
	registerVerify()
	m.Run()
}

func TestRun(t *testing.T) {
	began := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	o := flowtest.Run(t, "pay", order{Amount: 7, To: "Bob"}, flowtest.At(began))
	var to string
	o.Result(t, &to)
	if to != "Bob" || o.Err != nil {
		t.Errorf("result %q, %v", to, o.Err)
	}
	if len(o.Steps) != 2 || !slices.Equal(o.Steps[0].Requests, []string{"sleep 1m0s", "sleep 1h0m0s"}) || !slices.Equal(o.Steps[1].Requests, []string{"checkpoint"}) {
		t.Errorf("steps %v", o.Steps)
	}
	if o.Began != began || o.Ended != began.Add(time.Hour) {
		t.Errorf("from %v to %v", o.Began, o.Ended)
	}
	if !slices.Equal(o.Log, []string{"level=INFO msg=paying to=Bob amount=7"}) {
		t.Errorf("log %q", o.Log)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		class, input, typ, word string
		options                 []flowtest.Option
	}{
		{"pay", `{"amount":200}`, "insufficient-funds", "need 200", nil},
		{"pay", `{"amount":"200"}`, "bad-input", `the argument of flow "pay": field "amount": wanted is a whole number, given is the text "200"`, nil},
		{"pay", `{"amuont":200,"to":7}`, "bad-input", `unknown field "amuont": known are amount, to; field "to": wanted is a text, given is the number 7`, nil},
		{"pay", `[]`, "bad-input", `wanted is an object with amount, to, given is a list`, nil},
		{"pay", `{} {}`, "bad-input", "behind", nil},
		{"pay", ``, "killed", "by an operator", []flowtest.Option{flowtest.FailAt(1, &flow.Error{Type: "killed", Message: "by an operator"})}},
		{"pay", ``, "timeout", "checkpoint\n", []flowtest.Option{flowtest.FailAt(2, &flow.Error{Type: "timeout"})}},
		{"panics", `[1]`, "panic", "index out of range [3] with length 1 (in github.com/fairleadio/fairlead/sdk/flowtest_test.TestMain", nil},
		{"reuses", ``, "panic", "issued once", nil},
		{"odd-result", ``, "bad-result", "JSON", nil},
		{"absent", ``, "unknown-flow", "pay", nil},
	} {
		o := flowtest.RunJSON(t, c.class, c.input, c.options...)
		if o.Err == nil || o.Err.Type != c.typ || !strings.Contains(o.Err.Message, c.word) {
			t.Errorf("%s %s: %v; want %s with %q", c.class, c.input, o.Err, c.typ, c.word)
		}
		whole := func(line string) bool {
			return strings.HasPrefix(line, "panic: ") && strings.Contains(line, ", called by ")
		}
		if logged := slices.ContainsFunc(o.Log, whole); logged != (c.typ == "panic") {
			t.Errorf("%s %s: the way to a panic is logged: %v: %q", c.class, c.input, logged, o.Log)
		}
	}
}

func TestContext(t *testing.T) {
	me := flow.Identity{X500Name: "O=Alice, L=Rome, C=IT", GroupID: "g", ShortHash: "AB"}
	options := []flowtest.Option{flowtest.As(me), flowtest.ClientRequestID("r1"), flowtest.Property("k", "v"), flowtest.Seed(5)}
	o := flowtest.Run(t, "context", struct{}{}, options...)
	var got struct {
		Me          flow.Identity
		ID, Request string
		Attempt     int
		Properties  map[string]string
		Absent      bool
		Now         time.Time
		Bytes       []byte
		Number      int
	}
	o.Result(t, &got)
	if got.Me != me || got.Request != "r1" || got.Attempt != 1 || got.Absent || len(got.Properties) != 1 || got.Properties["k"] != "v" {
		t.Errorf("%+v", got)
	}
	if len(got.ID) != 36 || strings.Count(got.ID, "-") != 4 || len(got.Bytes) != 4 || got.Now.Before(o.Began) {
		t.Errorf("%+v", got)
	}
	again := flowtest.Run(t, "context", struct{}{}, options...)
	if string(again.JSON) != string(o.JSON) {
		t.Errorf("a second run gave %s, the first %s", again.JSON, o.JSON)
	}
}

func TestErrorsCompareByType(t *testing.T) {
	err := flow.Errorf("not-found", "no state %d", 5)
	if !errors.Is(err, &flow.Error{Type: "not-found"}) || errors.Is(err, &flow.Error{Type: "other"}) || errors.Is(err, &flow.Error{Type: "not-found", Message: "x"}) {
		t.Error("errors.Is does not compare types")
	}
	if err.Error() != "no state 5" || (&flow.Error{Type: "t"}).Error() != "t" {
		t.Errorf("%v", err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	for _, name := range []string{"", "two words", "päy", strings.Repeat("x", 256), "pay"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a flow %q was registered", name)
				}
			}()
			flow.Register(name, func(*flow.Context, int) (int, error) { return 0, nil })
		}()
	}
}
