package finality

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// A notary that verifies gets the package of a transaction from who finalises it, and asks for it once.
func TestNotaryGetsPackages(t *testing.T) {
	for _, parts := range []int{1, 2, 8, 9, 30} {
		t.Run(fmt.Sprintf("%d parts", parts), func(t *testing.T) {
			w := newVerifyingWorld(t)
			one, two := release("1.0", "bank", 1), release("2.0", "bank", parts)
			install(one, w.notary, w.alice, w.bob)
			a := w.issue(w.alice, 10, 20)
			install(two, w.alice, w.bob)
			first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
			if err != nil {
				t.Fatal(err)
			}
			w.want(first, "verified", w.alice, w.bob)
			if got := versionsOf(w.notary); !slices.Equal(got, []string{"1.0", "2.0"}) {
				t.Errorf("the notary's cluster has %v", got)
			}
			if _, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 1)}, Outputs: []output{{bobName, 20}}}); err != nil {
				t.Fatal(err)
			}
			all := w.notary.Flows()
			if steps := waits(all[len(all)-1].Wait().Steps); steps != 5 {
				t.Errorf("with the package there, the notary waited %d times, want 5", steps)
			}
		})
	}
}

// What a notary lacks and does not get is no word about the transaction: it stays open, and is signed once the notary has the
// package.
func TestNotaryWithoutThePackage(t *testing.T) {
	for name, c := range map[string]struct {
		two  flowtest.Package
		want string
	}{
		"signed by somebody else": {release("2.0", "mallory", 1), "its own package does not stand for all of coins 2.0: its operator puts one of the same name and signers into its bundle (fairlead app package create-cpb) (package-untrusted)"},
		"signed by nobody":        {release("2.0", "", 1), "(package-untrusted)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newVerifyingWorld(t)
			install(release("1.0", "bank", 1), w.notary)
			install(c.two, w.alice)
			id, err := w.pay(w.alice, payment{Command: "issue", Outputs: []output{{aliceName, 10}}})
			if err == nil || err.Type != ErrUnknown.Type || !strings.Contains(err.Message, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			w.want(id, "unverified", w.alice)
			if got := versionsOf(w.notary); len(got) != 1 {
				t.Errorf("the notary's cluster has %v", got)
			}
		})
	}
}

// What a notary does not take twice is not given to it again, and what cannot be given is asked for once.
func TestPackageThatIsInVain(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, two flowtest.Package)
		flows int
		want  string
	}{
		"it is refused with the last part": {func(w *world, two flowtest.Package) {
			two.Signer = "mallory" // for the network from now on
			install(two, w.carol)
		}, 2, "it lacks a package by which the transaction is verified, and could not get it from " + aliceName + " (package-refused)"},
		"its file is not kept": {func(w *world, _ flowtest.Package) {
			w.alice.Fail("package", &flow.Error{Type: flow.ErrNotFound.Type, Message: "not kept here"})
		}, 1, "needs a package to decide on transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newVerifyingWorld(t)
			two := release("2.0", "bank", 9)
			install(release("1.0", "bank", 1), w.notary)
			install(two, w.alice)
			c.spoil(w, two)
			id, err := w.pay(w.alice, payment{Command: "issue", Outputs: []output{{aliceName, 10}}})
			if err == nil || err.Type != ErrUnknown.Type || !strings.Contains(err.Message, c.want) {
				t.Errorf("%v", err)
			}
			w.want(id, "unverified", w.alice)
			if n := len(w.notary.Flows()); n != c.flows {
				t.Errorf("the notary was asked %d times, want %d", n, c.flows)
			}
			for _, f := range w.notary.Flows() {
				f.Wait() // none is left waiting
			}
		})
	}
	t.Run("its file cannot be read now", func(t *testing.T) {
		w := newVerifyingWorld(t)
		install(release("1.0", "bank", 1), w.notary)
		install(release("2.0", "bank", 9), w.alice)
		w.alice.Fail("package", flow.ErrTimeout)
		o := w.alice.Start("pay", payment{Command: "issue", Outputs: []output{{aliceName, 10}}})
		w.net.Advance(again / 2)
		if all := w.notary.Flows(); len(all) != 1 || !all[0].Ended() {
			t.Errorf("%d flows of the notary wait for the package", len(all))
		}
		if err := o.Wait().Err; err != nil {
			t.Error(err)
		}
	})
}

// After the time window there is nothing to decide, so the notary asks for no package and is given none.
func TestPackageAfterTheWindow(t *testing.T) {
	w := newVerifyingWorld(t)
	install(release("1.0", "bank", 1), w.notary)
	install(release("2.0", "bank", 1), w.alice)
	_, err := w.pay(w.alice, payment{Command: "issue", Outputs: []output{{aliceName, 10}}, After: -10, For: 5})
	if err == nil || !strings.Contains(err.Message, "(package-missing)") {
		t.Errorf("%v", err)
	}
	if n := handed(w.notary); n > 0 {
		t.Errorf("%d parts were handed over", n)
	}
	prying = func(n ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: n}} }
	w.notary.Publish(notary.PropertyProtocol, "prying-notary")
	_, err = w.pay(w.alice, payment{Command: "issue", Outputs: []output{{aliceName, 10}}, After: -10, For: 5})
	if err == nil || !strings.Contains(err.Message, "the time window ended at ") {
		t.Errorf("%v", err)
	}
}

// A state that was made beside another application's: only the versions of its own application come into question.
func TestPackageOfAnotherApplication(t *testing.T) {
	for _, verifies := range []bool{false, true} {
		t.Run(fmt.Sprintf("notary %v", verifies), func(t *testing.T) {
			w := newVerifyingWorld(t)
			var a string
			w.alice.Start("issue-two", flowtest.Package{Name: "bonds", Version: "1.0", Signer: "fund", File: []byte("bonds")}).Wait().Result(t, &a)
			one, two := release("1.0", "bank", 1), release("2.0", "bank", 1)
			lacks := w.bob
			if verifies {
				lacks = w.notary
			}
			install(one, lacks)
			install(two, w.alice)
			id, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
			if err != nil {
				t.Fatal(err)
			}
			w.want(id, "verified", w.alice, w.bob)
			if n := len(lacks.Flows()); n > 2 { // with the issue, for the notary
				t.Errorf("%d flows", n)
			}
		})
	}
}

// lieToNotary is the argument of flow lie-to-notary: what is given when the notary asks for a package.
type lieToNotary struct {
	Lie lie
	// OtherTransaction gives it for another transaction; Nonsense gives what is no message.
	OtherTransaction, Nonsense bool
}

func registerNotaryLiars() {
	// A coin is issued by version 1.0 in a transaction that names another package, too.
	flow.Register("issue-two", func(ctx *flow.Context, more flowtest.Package) (string, error) {
		tx, _, err := build(ctx, payment{Command: "issue", Outputs: []output{{ctx.Identity().X500Name, 10}}})
		if err != nil {
			return "", err
		}
		c := tx.Content()
		c.Metadata.Packages = []ledger.Package{release("1.0", "bank", 1).Named(), more.Named()}
		if tx, err = ledger.New(c, ledger.Salt(ctx.RandomBytes(32))); err != nil {
			return "", err
		}
		own, err := vault.Sign(ctx, tx.Content().Signatories[0], tx.ID())
		if err != nil {
			return "", err
		}
		f, err := Finalise(ctx, tx, own)
		if err != nil {
			return "", err
		}
		return f.ID().String(), nil
	})
	flow.Register("lie-to-notary", func(ctx *flow.Context, in lieToNotary) (string, error) {
		tx, _, err := build(ctx, in.Lie.Payment)
		if err != nil {
			return "", err
		}
		own, err := vault.Sign(ctx, tx.Content().Signatories[0], tx.ID())
		if err != nil {
			return "", err
		}
		s, err := ctx.OpenSession(notaryName, notary.VerifyingProtocol)
		if err != nil {
			return "", err
		}
		say := notary.Request{Mode: notary.Write, Whole: &notary.Whole{Transaction: tx, Signatures: own}}.Encode()
		for {
			b, err := s.SendAndReceiveBytes(say)
			if err != nil {
				return "", err
			}
			a, err := notary.DecodeAnswer(b)
			if err != nil {
				return "", err
			}
			if a.Class != notary.Wants {
				return fmt.Sprintf("%d %s", a.Class, a.Reason), nil
			}
			given := notary.Given{Transaction: tx.ID(), Parts: in.Lie.answer(a.Wanted)}
			if in.OtherTransaction {
				given.Transaction[0]++
			}
			say = given.Encode()
			if in.Nonsense {
				say = []byte("nonsense")
			}
		}
	})
	flow.Responder("prying-notary", func(ctx *flow.Context, s *flow.Session) error {
		received := flow.ReceiveAtMostCall(s, notary.MaxRequest)
		if err := flow.All(ctx, received); err != nil {
			return err
		}
		r, err := notary.DecodeRequest(received.Value())
		if err != nil {
			return err
		}
		var named ledger.Hash
		if r.Whole != nil {
			named = r.Whole.Transaction.Content().Metadata.Packages[0].Checksum
		}
		for _, c := range prying(named) {
			received = flow.ReceiveAtMostCall(s, notary.MaxRequest)
			if err := flow.All(ctx, flow.SendBytesCall(s, notary.Answer{Transaction: r.ID(), Class: notary.Wants, Wanted: c}.Encode()), received); err != nil {
				return err
			}
			if _, err := notary.DecodeGiven(received.Value()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Whatever a notary is given that is not the package, it takes nothing of it and signs nothing.
func TestLiesToNotary(t *testing.T) {
	two := release("2.0", "bank", 2)
	const problem = "4 the notary has a problem: it lacks a package by which the transaction is verified, and could not get it from " + aliceName
	for name, c := range map[string]struct {
		lie  lieToNotary
		want string
	}{
		"the file itself":            {lieToNotary{Lie: lie{File: two.File}}, "1 "},
		"another file":               {lieToNotary{Lie: lie{File: bytes.Repeat([]byte("evil"), 100_000)}}, problem + " (package-refused)"},
		"very many parts":            {lieToNotary{Lie: lie{File: two.File, Parts: 1 << 20}}, problem + " (bad-backchain)"},
		"more than there are":        {lieToNotary{Lie: lie{File: two.File, Parts: 3}}, problem + " (bad-message)"},
		"another number later":       {lieToNotary{Lie: lie{File: bytes.Repeat([]byte("evil"), 4*vault.PackagePartBytes/4), Later: 5}}, problem + " (bad-message)"},
		"a part that is behind":      {lieToNotary{Lie: lie{File: two.File, Skip: 1}}, problem + " (bad-message)"},
		"another package":            {lieToNotary{Lie: lie{File: two.File, Other: true}}, problem + " (bad-message)"},
		"for another transaction":    {lieToNotary{Lie: lie{File: two.File}, OtherTransaction: true}, problem + " (bad-message)"},
		"what is no message at all":  {lieToNotary{Lie: lie{File: two.File}, Nonsense: true}, problem + " (bad-message)"},
		"and breaks the rules, too ": {lieToNotary{Lie: lie{File: two.File, Payment: payment{Command: "pay"}}}, "2 test.Coin: it makes or destroys money"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newVerifyingWorld(t)
			install(release("1.0", "bank", 1), w.notary)
			install(two, w.alice)
			c.lie.Lie.Payment.Outputs = []output{{aliceName, 10}}
			c.lie.Lie.Payment.Command = or2(c.lie.Lie.Payment.Command, "issue")
			var got string
			w.alice.Start("lie-to-notary", c.lie).Wait().Result(t, &got)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got, taken := versionsOf(w.notary), !strings.HasPrefix(c.want, "4"); len(got) != 1 && !taken || len(got) != 2 && taken {
				t.Errorf("the notary's cluster has %v", got)
			}
		})
	}
}

// A notary reads no other packages than those that it was shown by a transaction, each part once; and none when it is shown no
// transaction in whole.
func TestPryingNotary(t *testing.T) {
	for name, c := range map[string]struct {
		ask       func(named ledger.Hash) []travel.Parts
		backchain string
		want      string
	}{
		"another package": {func(ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: ledger.Hash{7}}} }, "false", "asks for part 0 of package 0700"},
		"a later part":    {func(n ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: n, First: 1}} }, "false", "asks for part 1 of package"},
		"twice":           {func(n ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: n}, {Checksum: n}} }, "false", "or which it has had"},
		"past the end":    {func(n ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: n}, {Checksum: n, First: 1}} }, "false", "or which it has had"},
		"need not verify": {func(ledger.Hash) []travel.Parts {
			return []travel.Parts{{Checksum: release("1.0", "bank", 1).Named().Checksum}}
		}, "true", "which no transaction names that it was shown"},
	} {
		t.Run(name, func(t *testing.T) {
			prying = c.ask
			w := newWorld(t)
			install(release("1.0", "bank", 1), w.alice)
			w.notary.Publish(notary.PropertyBackchain, c.backchain)
			w.notary.Publish(notary.PropertyProtocol, "prying-notary")
			id, err := w.pay(w.alice, payment{Command: "issue", Outputs: []output{{aliceName, 10}}})
			if err == nil || err.Type != ErrUnknown.Type || !strings.Contains(err.Message, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			w.want(id, "unverified", w.alice)
		})
	}
}
