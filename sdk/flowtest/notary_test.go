package flowtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

// notarise asks, as a notary, for what its argument says, one after the other: "issue out=2", "pay in=issue:0 ref=issue:1",
// "read pay"; and returns the answers in words.
func notarise(ctx *flow.Context, script []string) ([]string, error) {
	id := func(name string) (h [32]byte) { copy(h[:], name); return h }
	name := func(h [32]byte) string { return strings.TrimRight(string(h[:]), "\x00") }
	var out []string
	var times []time.Time
	for _, line := range script {
		words := strings.Fields(line)
		ask := ctx.CheckUniqueness
		if words[0] == "read" {
			ask, words = ctx.ReadUniqueness, words[1:]
		}
		u := flow.Uniqueness{Transaction: id(words[0]), Until: ctx.Now().Add(time.Hour), Originator: ctx.Identity().X500Name}
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			tx, index, _ := strings.Cut(value, ":")
			ref := flow.StateRef{Transaction: id(tx)}
			if index != "" {
				ref.Index = uint32(index[0] - '0')
			}
			switch key {
			case "in":
				u.Inputs = append(u.Inputs, ref)
			case "ref":
				u.References = append(u.References, ref)
			case "out":
				u.Outputs = int(value[0] - '0')
			case "early":
				u.From = u.Until.Add(-time.Minute)
			case "late":
				u.Until = ctx.Now().Add(-time.Hour)
			case "never":
				u.Until = time.Time{}
			}
		}
		a, err := ask(u)
		if err != nil {
			return nil, err
		}
		text := []string{"", "accepted", "input unknown", "reference unknown", "input conflict", "reference conflict", "out of window", "too early", "not seen", "malformed"}[a.Result]
		for _, s := range a.Unknown {
			text += " " + name(s.Transaction)
		}
		for _, c := range a.Conflicts {
			text += " " + name(c.State.Transaction) + "/" + name(c.ConsumedBy)
		}
		if (a.Result == flow.OutOfWindow || a.Result == flow.TooEarly) && !a.Until.Equal(u.Until) {
			text += " in another window"
		}
		if a.Result == flow.Accepted {
			for _, t := range times {
				if t.Equal(a.At) && words[0] != "pay" {
					text += " at a time that another has"
				}
			}
			times = append(times, a.At)
		}
		out = append(out, text)
	}
	return out, nil
}

func TestNotary(t *testing.T) {
	n := flowtest.New(t)
	bank := n.Member("O=Bank, L=London, C=GB")
	if o := bank.Start("notarise", []string{"a out=1"}).Wait(); o.Err == nil || o.Err.Type != "not-a-notary" {
		t.Errorf("a member that is no notary: %v", o.Err)
	}
	bank.NewKey("NOTARY", "notary")
	want := map[string]string{}
	var script []string
	for _, l := range []string{
		"issue out=3 => accepted", "pay in=issue:0 ref=issue:1 => accepted", "pay in=issue:0 ref=issue:1 => accepted", "double in=issue:0 in=issue:2 => input conflict issue/pay",
		"gone ref=issue:0 => reference conflict issue/pay", "none in=nobody:0 => input unknown nobody", "beyond ref=issue:3 => reference unknown issue",
		"odd in=issue:2 in=issue:2 => malformed", "open never => malformed", "read pay => accepted", "read fresh => not seen", "read soon early => too early",
		"read over late => out of window", "soon2 early => out of window", "fresh in=issue:2 => accepted",
	} {
		request, answer, _ := strings.Cut(l, " => ")
		script = append(script, request)
		want[request] = answer
	}
	ask := func(m *flowtest.Member, script ...string) (answers []string) {
		t.Helper()
		m.Start("notarise", script).Wait().Result(t, &answers)
		return answers
	}
	got := ask(bank, script...)
	for i, answer := range got {
		if answer != want[script[i]] {
			t.Errorf("%s: %s, want %s", script[i], answer, want[script[i]])
		}
	}
	// Another notary knows nothing of it, and it remembers what it said.
	other := n.Member("O=Other, L=London, C=GB")
	other.NewKey("NOTARY", "notary")
	if got := ask(other, "a in=issue:1"); got[0] != "input unknown issue" {
		t.Errorf("another notary: %v", got)
	}
	if got := ask(bank, "a in=issue:1"); got[0] != "accepted" {
		t.Errorf("the notary later: %v", got)
	}
}
