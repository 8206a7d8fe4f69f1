package verification_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/processors/verification"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

const nowUs = 1_800_000_000_000_000

func asked(tx *ledger.Transaction, r *verificationv1.Request) verification.Ask {
	return verification.Ask{Request: r, Key: tx.ID().String(), NowUs: nowUs, SentUs: nowUs - 1000, DeadlineUs: nowUs + 60_000_000}
}

// told is what a step asks for, one word or line each.
func told(t *testing.T, effects []verification.Effect) []string {
	t.Helper()
	var out []string
	for _, e := range effects {
		switch e := e.(type) {
		case verification.RunContracts:
			out = append(out, fmt.Sprint("run ", e.Contracts))
		case verification.Respond:
			if err := e.Reply.GetError(); err != nil {
				out = append(out, err.GetType()+" "+err.GetMessage())
				continue
			}
			out = append(out, line(decodeResult(t, e.Reply.GetResult())))
		case verification.Remember:
			out = append(out, "remember "+e.Result.GetStatus())
		case verification.Wait:
			out = append(out, "wait "+e.Err.Error())
		case verification.Recalled:
			out = append(out, "recalled")
		case verification.Note:
			out = append(out, "note "+string(e.What))
		default:
			t.Fatalf("%T", e)
		}
	}
	return out
}

func step(t *testing.T, s verification.State, e verification.Event) []string {
	t.Helper()
	effects, err := verification.Step(s, e)
	if err != nil {
		t.Fatal(err)
	}
	return told(t, effects)
}

func TestAsked(t *testing.T) {
	tx := transaction(t, making("b", "a", "b"))
	a := asked(tx, ask(t, tx))
	if got := step(t, verification.State{}, verification.Asked{Ask: a}); !slices.Equal(got, []string{"run [a b]"}) {
		t.Errorf("%q", got)
	}
	known := verification.State{Remembered: &appv1.Verification{Status: verification.StatusInvalid, Failures: []*appv1.VerificationFailure{{Contract: "a", Message: "no"}}}}
	if got := step(t, known, verification.Asked{Ask: a}); !slices.Equal(got, []string{"INVALID\na||no", "note invalid", "recalled"}) {
		t.Errorf("remembered: %q", got)
	}
	late := a
	late.DeadlineUs = nowUs - 1
	if got := step(t, known, verification.Asked{Ask: late}); !slices.Equal(got, []string{"note expired"}) {
		t.Errorf("late: %q", got)
	}
}

// Rules of the ledger are told all at once, and before contracts run or anything is remembered.
func TestStructure(t *testing.T) {
	made := making("a", "a", "a")
	made.Outputs[0].Encumbrance, made.Outputs[1].Encumbrance = "tie", "tie"
	from := transaction(t, made)
	c := making("a")
	c.Inputs, c.References = []ledger.StateRef{from.Output(0)}, []ledger.StateRef{from.Output(2)}
	c.Notary.Name = "O=Other, L=London, C=GB"
	tx := transaction(t, c)
	known := verification.State{Remembered: &appv1.Verification{Status: verification.StatusVerified}}
	got := step(t, known, verification.Asked{Ask: asked(tx, ask(t, tx, source(t, from, 0, 2)))})
	want := []string{"INVALID", "|input 0|state", "|reference 0|state", "|input 0|encumbrance \"tie\" ties 2 states"}
	lines := strings.Split(got[0], "\n")
	if len(got) != 2 || got[1] != "note invalid" || len(lines) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("%q, want %q", lines[i], want[i])
		}
	}
}

// What is not shown is an error of the requester's, whatever is remembered.
func TestUnresolved(t *testing.T) {
	from := transaction(t, making("a", "a"))
	c := making("a")
	c.Inputs = []ledger.StateRef{from.Output(1)}
	tx := transaction(t, c)
	known := verification.State{Remembered: &appv1.Verification{Status: verification.StatusVerified}}
	for name, sources := range map[string][]*ledger.Filtered{"nothing": nil, "another output": {source(t, from, 0)}, "another transaction": {source(t, tx, 0)}} {
		got := step(t, known, verification.Asked{Ask: asked(tx, ask(t, tx, sources...))})
		if len(got) != 2 || !strings.HasPrefix(got[0], "unresolved FL-VERIFICATION-003: transaction "+tx.ID().String()) || got[1] != "note refused" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What a flow worker never writes goes to the dead letters, each with its reason.
func TestPoison(t *testing.T) {
	tx := transaction(t, making("a"))
	other := hash("other")
	for name, c := range map[string]struct {
		change func(*verification.Ask)
		want   string
	}{
		"no transaction":      {func(a *verification.Ask) { a.Request.Transaction = nil }, "field transaction cannot be decoded"},
		"half a transaction":  {func(a *verification.Ask) { a.Request.Transaction = a.Request.GetTransaction()[:100] }, "field transaction cannot be decoded"},
		"another key":         {func(a *verification.Ask) { a.Key = "flow" }, "which must be the record's key"},
		"a key in lower case": {func(a *verification.Ask) { a.Key = strings.ToLower(a.Key) }, "which must be the record's key"},
		"no packages":         {func(a *verification.Ask) { a.Request.Packages = nil }, "field packages has 0 checksums, the transaction names 1"},
		"another package":     {func(a *verification.Ask) { a.Request.Packages = [][]byte{other[:]} }, "checksum 0 is not that of package app"},
		"a bad source":        {func(a *verification.Ask) { a.Request.Sources = [][]byte{[]byte("x")} }, "field sources: 0 cannot be decoded"},
	} {
		a := asked(tx, ask(t, tx))
		c.change(&a)
		effects, err := verification.Step(verification.State{}, verification.Asked{Ask: a})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "FL-VERIFICATION-002") || effects != nil {
			t.Errorf("%s: %v, %v", name, effects, err)
		}
	}
}

func TestRan(t *testing.T) {
	tx := transaction(t, making("a"))
	a := asked(tx, ask(t, tx))
	s := verification.State{PackageWaitUs: 2_000_000}
	ran := func(a verification.Ask, o verification.Outcome) []string {
		return step(t, s, verification.Ran{Ask: a, Outcome: o})
	}
	if got := ran(a, verification.Outcome{}); !slices.Equal(got, []string{"VERIFIED", "note verified", "remember VERIFIED"}) {
		t.Errorf("%q", got)
	}
	no := []*appv1.VerificationFailure{{Contract: "a", Component: "output 0", Message: "no"}, {Contract: "b", Message: "never"}}
	if got := ran(a, verification.Outcome{Failures: no}); !slices.Equal(got, []string{"INVALID\na|output 0|no\nb||never", "note invalid", "remember INVALID"}) {
		t.Errorf("%q", got)
	}
	if got := ran(a, verification.Outcome{Failures: no, Later: errors.New("not now")}); !slices.Equal(got, []string{"wait not now", "note later"}) {
		t.Errorf("%q", got)
	}
	missing := verification.Outcome{Missing: []ledger.Package{pack("app"), pack("lib")}}
	if got := ran(a, missing); len(got) != 2 || !strings.HasPrefix(got[0], "wait package app 1.0 (SHA-256 ") || got[1] != "note later" {
		t.Errorf("seen by the requester first: %q", got)
	}
	waits, at := 0, a // from when it came until it is answered
	for at.SentUs = at.NowUs; at.NowUs < at.SentUs+2_000_000; waits++ {
		effects, err := verification.Step(s, verification.Ran{Ask: at, Outcome: missing})
		if err != nil {
			t.Fatal(err)
		}
		wait, ok := effects[0].(verification.Wait)
		if !ok {
			t.Fatalf("after %d µs: %v", at.NowUs-at.SentUs, effects)
		}
		at.NowUs += max(wait.AfterUs, 100_000)
	}
	if waits < 3 || waits > 8 || at.NowUs > at.SentUs+2_200_000 {
		t.Errorf("it is looked for %d times, until %d µs", waits, at.NowUs-at.SentUs)
	}
	old := a
	old.SentUs = nowUs - 2_000_000
	got := ran(old, missing)
	if len(got) != 2 || !strings.HasPrefix(got[0], "package-missing FL-VERIFICATION-004: transaction "+tx.ID().String()) || !strings.Contains(got[0], "lib 1.0 (SHA-256 "+hash("lib").String()) || got[1] != "note package missing" {
		t.Errorf("not there: %q", got)
	}
}

// An answer can always be taken: its texts are valid and bounded, and what is left out is said.
func TestBounds(t *testing.T) {
	tx := transaction(t, making("a"))
	a := asked(tx, ask(t, tx))
	of := func(failures ...*appv1.VerificationFailure) *appv1.Verification {
		effects, err := verification.Step(verification.State{}, verification.Ran{Ask: a, Outcome: verification.Outcome{Failures: failures}})
		if err != nil {
			t.Fatal(err)
		}
		return decodeResult(t, effects[0].(verification.Respond).Reply.GetResult())
	}
	var many []*appv1.VerificationFailure
	for i := range 1500 {
		many = append(many, &appv1.VerificationFailure{Contract: "a", Message: fmt.Sprint(i)})
	}
	if got := of(many...).GetFailures(); len(got) != 1001 || got[999].GetMessage() != "999" || got[1000].GetMessage() != "500 more failures are left out" {
		t.Errorf("%d failures, the last %v", len(got), got[len(got)-1])
	}
	if got := of(many[:1000]...).GetFailures(); len(got) != 1000 {
		t.Errorf("%d failures of 1000", len(got))
	}
	long := &appv1.VerificationFailure{Contract: "a", Message: "\xff" + strings.Repeat("ü", 5000)}
	if m := of(long).GetFailures()[0].GetMessage(); len(m) > 5000 || !strings.HasPrefix(m, "\uFFFDüü") || !strings.HasSuffix(m, "ü…") {
		t.Errorf("%d bytes: %q", len(m), m[len(m)-10:])
	}
	if got := of(slices.Repeat([]*appv1.VerificationFailure{long}, 500)...).GetFailures(); len(got) > 70 || !strings.HasSuffix(got[len(got)-1].GetMessage(), "more failures are left out") {
		t.Errorf("%d failures, the last %v", len(got), got[len(got)-1])
	}
}

func TestConfig(t *testing.T) {
	for want, c := range map[string]verification.Config{
		"Concurrency is -1": {Concurrency: -1}, "CacheEntries is -1": {CacheEntries: -1}, "PackageWait is -1ns": {PackageWait: -1},
	} {
		if _, err := verification.NewWorker(c, verification.Deps{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}
