package flowtest

import (
	"encoding/json"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
)

// RunJSON is like Run with the argument as JSON.
func RunJSON(t testing.TB, class, input string, options ...Option) *Outcome {
	t.Helper()
	n := New(t, options...)
	id := n.settings.as
	if id.X500Name == "" {
		id.X500Name = "O=Test, L=London, C=GB"
	}
	return n.addMember(flow.Identity{X500Name: id.X500Name, GroupID: id.GroupID, ShortHash: id.ShortHash}).StartJSON(class, input, options...).Wait()
}

// Run runs the flow registered under class to its end, in a network of one member, with an argument that is encoded as
// JSON. Options may be those of [New] and of [Member.Start].
func Run(t testing.TB, class string, input any, options ...Option) *Outcome {
	t.Helper()
	b, err := json.Marshal(input)
	if err != nil {
		t.Fatalf("flowtest: the argument of flow %s: %v", class, err)
	}
	return RunJSON(t, class, string(b), options...)
}
