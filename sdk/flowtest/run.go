package flowtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// began is when a test's flow starts unless [At] says otherwise.
var began = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// Step is one suspension of a flow.
type Step struct {
	// Requests are what the flow asked for together, for example "sleep 1m0s" or "checkpoint".
	Requests []string
	// At is the flow's clock when it asked.
	At time.Time
}

// Outcome is what a flow did.
type Outcome struct {
	// JSON is the result as the caller of the flow gets it; nil when the flow failed.
	JSON []byte
	// Err is why the flow failed; nil when it did not.
	Err *flow.Error
	// Steps are the flow's suspensions.
	Steps []Step
	// Log are the lines that the flow wrote to its log.
	Log []string
	// Began and Ended are the flow's clock at both ends.
	Began, Ended time.Time
}

// Result decodes the result into a pointer, and fails the test when the flow failed or the result does not fit.
func (o *Outcome) Result(t testing.TB, into any) {
	t.Helper()
	if o.Err != nil {
		t.Fatalf("the flow failed: %s: %s", o.Err.Type, o.Err.Message)
	}
	if err := json.Unmarshal(o.JSON, into); err != nil {
		t.Fatalf("the flow's result %s: %v", o.JSON, err)
	}
}

// Option changes how a flow is run.
type Option func(*host)

// As sets who the flow runs as; the short hash may be left out.
func As(id flow.Identity) Option {
	return func(h *host) {
		h.start.Me = &wire.Identity{X500Name: id.X500Name, GroupID: id.GroupID, ShortHash: id.ShortHash}
	}
}

// At sets the flow's clock at its start.
func At(t time.Time) Option { return func(h *host) { h.clock = t.UTC() } }

// Seed chooses other random numbers.
func Seed(seed uint64) Option {
	return func(h *host) { h.seed[0] = byte(seed); h.seed[1] = byte(seed >> 8); h.seed[2] = byte(seed >> 16) }
}

// ClientRequestID sets the id that the caller gave the flow.
func ClientRequestID(id string) Option { return func(h *host) { h.start.ClientRequestID = id } }

// Property adds a property to the flow's context.
func Property(name, value string) Option {
	return func(h *host) {
		h.start.Properties = append(h.start.Properties, wire.Property{Name: name, Value: value})
	}
}

// FailAt answers the requests of one suspension, counted from 1, with an error.
func FailAt(step int, err *flow.Error) Option { return func(h *host) { h.fail[step] = err } }

// RunJSON is like Run with the argument as JSON.
func RunJSON(t testing.TB, class, input string, options ...Option) *Outcome {
	t.Helper()
	h := &host{t: t, clock: began, fail: map[int]*flow.Error{}, seed: [32]byte{1}, start: wire.Start{
		FlowClass: class, Input: []byte(input), ClientRequestID: "test", Attempt: 1,
		Me: &wire.Identity{X500Name: "O=Test, L=London, C=GB", GroupID: "00000000-0000-0000-0000-000000000000", ShortHash: "000000000000"},
	}}
	for _, o := range options {
		o(h)
	}
	id := sha256.Sum256([]byte(t.Name() + "\n" + class))
	h.start.FlowID = id[:16]
	h.random = rand.NewChaCha8(h.seed)
	h.run.Began = h.clock
	y := registry.Run(h, &h.start)
	h.run.Ended = h.clock
	if y.Failed != nil {
		h.run.Err = &flow.Error{Type: y.Failed.Error.Type, Message: y.Failed.Error.Message}
	} else {
		h.run.JSON = y.Done.Result
	}
	return &h.run
}

// Run runs the flow registered under class to its end, with an argument that is encoded as JSON.
func Run(t testing.TB, class string, input any, options ...Option) *Outcome {
	t.Helper()
	b, err := json.Marshal(input)
	if err != nil {
		t.Fatalf("the flow's argument: %v", err)
	}
	return RunJSON(t, class, string(b), options...)
}

// host answers a flow at once and moves its clock.
type host struct {
	t      testing.TB
	start  wire.Start
	clock  time.Time
	seed   [32]byte
	random *rand.ChaCha8
	fail   map[int]*flow.Error
	run    Outcome
}

func (h *host) Exchange(requests []wire.Request) []wire.Answer {
	step := Step{At: h.clock}
	answers := make([]wire.Answer, len(requests))
	longest := time.Duration(0)
	for i, r := range requests {
		answers[i] = wire.Answer{HasResult: true}
		switch {
		case r.Sleep != nil:
			d := time.Duration(r.Sleep.DurationUS) * time.Microsecond
			longest = max(longest, d)
			step.Requests = append(step.Requests, "sleep "+d.String())
		case r.Checkpoint != nil:
			step.Requests = append(step.Requests, "checkpoint")
		}
	}
	h.run.Steps = append(h.run.Steps, step)
	if err := h.fail[len(h.run.Steps)]; err != nil {
		for i := range answers {
			answers[i] = wire.Answer{Error: &wire.Error{Type: err.Type, Message: err.Message}}
		}
		return answers
	}
	h.clock = h.clock.Add(longest)
	return answers
}

func (h *host) Now() time.Time {
	h.clock = h.clock.Add(time.Microsecond)
	return h.clock
}

func (h *host) Random(b []byte) { _, _ = h.random.Read(b) } // never fails

func (h *host) Log(line string) {
	h.run.Log = append(h.run.Log, line)
	h.t.Logf("%s: %s", hex.EncodeToString(h.start.FlowID[:3]), strings.TrimSpace(line))
}
