package finality

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// release is a version of the application of these tests, whose file has so many parts.
func release(version, signer string, parts int) flowtest.Package {
	return flowtest.Package{Name: "coins", Version: version, Signer: signer, CompatibleFrom: "0.1", File: bytes.Repeat([]byte(version), ((parts-1)*vault.PackagePartBytes+100)/len(version))}
}

func versionsOf(m *flowtest.Member) (out []string) {
	for _, p := range m.Packages() {
		out = append(out, p.Version)
	}
	return out
}

// install puts a version on virtual nodes.
func install(p flowtest.Package, members ...*flowtest.Member) {
	for _, m := range members {
		m.Install(p)
	}
}

// What version 1 issued, version 2 pays, and whoever only ever had version 2 gets version 1 from who pays; then from who got it
// so.
func TestPackagesTravel(t *testing.T) {
	for parts := range map[int]bool{1: true, 2: true, 8: true, 9: true, 30: true} {
		t.Run(fmt.Sprintf("%d parts", parts), func(t *testing.T) {
			w := newWorld(t)
			one, two := release("1.0", "bank", parts), release("2.0", "bank", 1)
			install(one, w.alice)
			a := w.issue(w.alice, 10, 20)
			install(two, w.alice, w.bob, w.carol)
			first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
			if err != nil {
				t.Fatal(err)
			}
			w.want(first, "verified", w.alice, w.bob)
			w.want(a, "verified", w.bob)
			second, err := w.pay(w.bob, payment{Inputs: []string{ref(first, 0)}, Outputs: []output{{carolName, 10}}})
			if err != nil {
				t.Fatal(err)
			}
			w.want(second, "verified", w.bob, w.carol)
			w.want(a, "verified", w.carol)
			for _, m := range []*flowtest.Member{w.bob, w.carol} {
				if got := versionsOf(m); !slices.Equal(got, []string{"1.0", "2.0"}) {
					t.Errorf("%s has %v", m.Name(), got)
				}
			}
			if got := w.coins(w.carol); len(got) != 1 {
				t.Errorf("Carol has %v", got)
			}
			// What is there is not asked for again.
			third, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 1)}, Outputs: []output{{bobName, 20}}})
			if err != nil {
				t.Fatal(err)
			}
			w.want(third, "verified", w.alice, w.bob)
		})
	}
}

// With a notary that verifies there is no backchain; the package that is missing is that of the transaction itself.
func TestPackageOfTheProposal(t *testing.T) {
	w := newWorld(t)
	one, two := release("1.0", "bank", 1), release("2.0", "bank", 3)
	install(one, w.bob)
	install(two, w.alice, w.notary)
	w.notary.Publish(notary.PropertyBackchain, "false")
	a := w.issue(w.alice, 10)
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, Cosigners: []string{bobName}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(first, "verified", w.alice, w.bob)
	if got := versionsOf(w.bob); !slices.Equal(got, []string{"1.0", "2.0"}) {
		t.Errorf("Bob has %v", got)
	}
}

// Several parties ask for the same package at once, each at its own pace.
func TestPackageForTwo(t *testing.T) {
	w := newWorld(t)
	install(release("1.0", "bank", 12), w.alice)
	a := w.issue(w.alice, 10)
	install(release("2.0", "bank", 1), w.alice, w.bob, w.carol)
	first, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 4}, {carolName, 6}}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(first, "verified", w.alice, w.bob, w.carol)
}

// lie is how a party that pays answers who asks for a package.
type lie struct {
	Payment payment
	File    []byte
	// Parts, when set, is how many it says there are; Skip how many the first that it gives is behind.
	Parts, Skip int
	// Later, when set, is how many it says there are from the second message on.
	Later int
	// Other gives a package that was not asked for; Stop gives the first part and waits then.
	Other, Stop bool
}

// registerLiars registers who pays and lies about packages; the answer is why it was refused.
func registerLiars() {
	flow.Register("lie", func(ctx *flow.Context, in lie) (string, error) {
		tx, own, sessions, err := begin(ctx, in.Payment)
		if err != nil {
			return "", err
		}
		s := sessions[0]
		say := message{kind: proposal, id: tx.ID(), transactions: []signedTransaction{{tx, own}}}
		for {
			reply := receiveCall(s)
			if err := flow.All(ctx, sendCall(s, say), reply); err != nil {
				return "", err
			}
			m, err := take(s, reply.Value(), tx.ID(), wanted, packageWanted, signed)
			switch {
			case err != nil:
				return err.Error(), nil //nolint:nilerr // what came instead of an answer is the result
			case m.kind == signed:
				return "it signed", nil
			case m.kind == wanted:
				say = message{kind: given, id: tx.ID()}
				for _, id := range m.ids {
					found, err := vault.Find(ctx, id)
					if err != nil {
						return "", err
					}
					say.transactions = append(say.transactions, signedTransaction{found.Transaction, found.Signatures})
				}
				continue
			}
			if in.Stop && m.code.First > 0 {
				return "", ctx.Sleep(time.Hour)
			}
			say = message{kind: packageGiven, id: tx.ID(), code: in.answer(m.code)}
		}
	})
	flow.Responder("pry", func(ctx *flow.Context, s *flow.Session) error {
		first := receiveCall(s)
		if err := flow.All(ctx, first); err != nil {
			return err
		}
		m, err := decodeMessage(first.Value())
		if err != nil {
			return err
		}
		named := m.transactions[0].tx.Content().Metadata.Packages[0]
		for _, c := range prying(named.Checksum) {
			reply := receiveCall(s)
			if err := flow.All(ctx, sendCall(s, message{kind: packageWanted, id: m.id, code: c}), reply); err != nil {
				return err
			}
			if _, err := take(s, reply.Value(), m.id, packageGiven); err != nil {
				return err
			}
		}
		return nil
	})
}

// prying is what the responder pry asks for, set by its test.
var prying func(named ledger.Hash) []travel.Parts

func (l lie) answer(want travel.Parts) travel.Parts {
	parts := slices.Collect(slices.Chunk(l.File, vault.PackagePartBytes))
	out := travel.Parts{Checksum: want.Checksum, First: want.First + uint32(l.Skip), Count: uint32(len(parts))}
	if l.Parts > 0 {
		out.Count = uint32(l.Parts)
	}
	if l.Later > 0 && want.First > 0 {
		out.Count = uint32(l.Later)
	}
	if l.Other {
		out.Checksum[0]++
	}
	out.Data = parts[min(int(out.First), len(parts)-1):][:1]
	return out
}

// Whatever a party gives that is not the package, nothing of it is taken, and who asks is told why.
func TestLiesAboutPackages(t *testing.T) {
	one := release("1.0", "bank", 2)
	for name, c := range map[string]struct {
		lie  lie
		want string
	}{
		"the file itself":       {lie{File: one.File}, "it signed"},
		"another file":          {lie{File: bytes.Repeat([]byte("evil"), 100_000)}, "package coins 1.0, which O=Alice, L=London, C=GB gave: package coins 1.0: the file has another SHA-256"},
		"a byte of it changed":  {lie{File: append([]byte("x"), one.File[1:]...)}, "the file has another SHA-256"},
		"very many parts":       {lie{File: one.File, Parts: 1 << 20}, "and others have more than 67108864 bytes together: let an operator upload them"},
		"more than there are":   {lie{File: one.File, Parts: 3}, "a package given has other parts"},
		"another number later":  {lie{File: bytes.Repeat([]byte("evil"), 4*vault.PackagePartBytes/4), Later: 5}, "gave part 1 of 5 of package"},
		"a part that is behind": {lie{File: one.File, Skip: 1}, "gave part 1 of 2 of package"},
		"another package":       {lie{File: one.File, Other: true}, "asked was part 0 of package"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			install(one, w.alice)
			a := w.issue(w.alice, 10)
			install(release("2.0", "bank", 1), w.alice, w.bob)
			c.lie.Payment = payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}}
			o := w.alice.Start("lie", c.lie)
			w.net.Settle()
			if c.want == "it signed" { // and waits for what becomes of it
				if got := versionsOf(w.bob); len(got) != 2 {
					t.Errorf("Bob's cluster has %v", got)
				}
				return
			}
			var got string
			o.Wait().Result(t, &got)
			if !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got := versionsOf(w.bob); len(got) != 1 {
				t.Errorf("Bob's cluster has %v", got)
			}
		})
	}
}

// Packages of strangers do not come into question, and nobody's are not taken.
func TestPackagesOfStrangers(t *testing.T) {
	for name, c := range map[string]struct {
		one, two flowtest.Package
		want     *flow.Error
	}{
		"signed by somebody else": {release("1.0", "mallory", 1), release("2.0", "bank", 1), flow.ErrPackageUntrusted},
		"signed by nobody":        {release("1.0", "", 1), release("2.0", "bank", 1), flow.ErrPackageUntrusted},
		"all signed by nobody":    {release("1.0", "", 1), release("2.0", "", 1), flow.ErrPackageRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			install(c.one, w.alice)
			a := w.issue(w.alice, 10)
			install(c.two, w.bob)
			_, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}})
			if err == nil || w.bob.Flows()[0].Wait().Err == nil || w.bob.Flows()[0].Wait().Err.Type != c.want.Type {
				t.Errorf("%v; Bob: %v", err, w.bob.Flows()[0].Wait().Err)
			}
			if got := versionsOf(w.bob); len(got) != 1 {
				t.Errorf("Bob's cluster has %v", got)
			}
		})
	}
}

// A party reads no other packages than those that the transactions name which it was shown, and each part once.
func TestPryingForPackages(t *testing.T) {
	for name, c := range map[string]struct {
		ask  func(named ledger.Hash) []travel.Parts
		want string
	}{
		"another package": {func(ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: ledger.Hash{7}}} }, "asks for part 0 of package 0700"},
		"a later part":    {func(n ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: n, First: 1}} }, "asks for part 1 of package"},
		"twice":           {func(n ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: n}, {Checksum: n}} }, "asks for part 0 of package"},
		"past the end":    {func(n ledger.Hash) []travel.Parts { return []travel.Parts{{Checksum: n}, {Checksum: n, First: 1}} }, "or which it has had"},
	} {
		t.Run(name, func(t *testing.T) {
			prying = c.ask
			w := newWorld(t)
			install(release("1.0", "bank", 1), w.alice, w.bob)
			a := w.issue(w.alice, 10)
			_, err := w.pay(w.alice, payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 10}}, Protocol: "pry"})
			if err == nil || !strings.Contains(err.Message, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// put is how flowtest tells that a part of a package is handed over.
const put = "hand over part"

// handed counts the parts of packages that the flows of a member handed over.
func handed(m *flowtest.Member) (n int) {
	for _, f := range m.Flows() {
		for _, step := range f.Wait().Steps {
			for _, r := range step.Requests {
				if strings.HasPrefix(r, put) {
					n++
				}
			}
		}
	}
	return n
}

// When many are paid by a new version at once, one of their flows brings its file.
func TestOneBringsThePackageForAll(t *testing.T) {
	w := newWorld(t)
	const parts, payments = 30, 6
	install(release("1.0", "bank", parts), w.alice)
	a := w.issue(w.alice, 1, 2, 3, 4, 5, 6)
	install(release("2.0", "bank", 1), w.alice, w.bob)
	var all []*flowtest.Flow
	for i := range payments {
		all = append(all, w.alice.Start("pay", payment{Inputs: []string{ref(a, i)}, Outputs: []output{{bobName, i + 1}}}))
	}
	w.net.Settle()
	for _, f := range all {
		if o := f.Wait(); o.Err != nil {
			t.Error(o.Err)
		}
	}
	// The others hand over the first part, and once more to have it dropped.
	if n, want := handed(w.bob), parts+2*(payments-1); n != want {
		t.Errorf("%d parts were handed over of a file of %d, for %d payments; want %d", n, parts, payments, want)
	}
}

// Whoever waits for another flow's package brings it when that does not come.
func TestPackageThatAnotherDoesNotBring(t *testing.T) {
	w := newWorld(t)
	one := release("1.0", "bank", 9)
	install(one, w.alice)
	a := w.issue(w.alice, 1, 2)
	install(release("2.0", "bank", 1), w.alice, w.bob)
	// The first payer says nothing any more after the first part.
	w.alice.Start("lie", lie{File: one.File, Stop: true, Payment: payment{Inputs: []string{ref(a, 0)}, Outputs: []output{{bobName, 1}}}})
	w.net.Advance(0)
	began := w.net.Now()
	o := w.alice.Start("pay", payment{Inputs: []string{ref(a, 1)}, Outputs: []output{{bobName, 2}}})
	for !o.Ended() {
		w.net.Advance(time.Second)
	}
	if err := o.Wait().Err; err != nil {
		t.Fatal(err)
	}
	if d := w.net.Now().Sub(began); d < 30*time.Second || d > 40*time.Second {
		t.Errorf("it took %s", d)
	}
}

// A package that several transactions name is bounded together with the others.
func TestPackagesAreTooMuchTogether(t *testing.T) {
	w := newWorld(t)
	install(release("1.0", "bank", 2), w.alice)
	a := w.issue(w.alice, 1)
	install(release("1.1", "bank", 2), w.alice)
	b := w.issue(w.alice, 2)
	install(release("2.0", "bank", 1), w.alice, w.bob)
	in := payment{Inputs: []string{ref(a, 0), ref(b, 0)}, Outputs: []output{{bobName, 3}}, Protocol: "pay-less-code"}
	if _, err := w.pay(w.alice, in); err == nil || !strings.Contains(err.Message, "and others have more than 400000 bytes together") {
		t.Errorf("%v", err)
	}
	in.Inputs, in.Outputs = in.Inputs[:1], []output{{bobName, 1}}
	if _, err := w.pay(w.alice, in); err != nil {
		t.Errorf("one of them: %v", err)
	}
}

// The end of a package's check is waited for again, for a large one takes long to compile.
func TestPackageThatIsCheckedForLong(t *testing.T) {
	for _, verifies := range []bool{false, true} {
		t.Run(fmt.Sprintf("notary %v", verifies), func(t *testing.T) {
			w := newWorld(t)
			takes := w.bob
			if verifies {
				w.notary.Publish(notary.PropertyBackchain, "false")
				install(release("1.0", "bank", 1), w.notary)
				takes = w.notary
			} else {
				install(release("1.0", "bank", 1), w.bob)
			}
			install(release("2.0", "bank", 1), w.alice)
			in := payment{Command: "issue", Outputs: []output{{bobName, 1}}}
			if verifies {
				in.Outputs[0].To = aliceName
			}
			if _, err := w.pay(w.alice, in); err != nil {
				t.Fatal(err)
			}
			at, n := 0, 0
			for _, f := range takes.Flows() {
				for _, step := range f.Wait().Steps {
					for _, r := range step.Requests {
						if n++; strings.HasPrefix(r, put) && at == 0 {
							at = n
						}
					}
				}
			}
			install(release("3.0", "bank", 1), w.alice)
			takes.FailRequest(at, flow.ErrTimeout)
			if _, err := w.pay(w.alice, in); err != nil || at == 0 {
				t.Errorf("request %d has no answer: %v", at, err)
			}
			if got := versionsOf(takes); !slices.Contains(got, "3.0") {
				t.Errorf("the cluster has %v", got)
			}
		})
	}
}

// Of the packages of a transaction that made a state, those are asked for by which it may be verified whose it is: versions of
// the packages that the consuming transaction names.
func TestNamedPackages(t *testing.T) {
	one, two := release("1.0", "bank", 1).Named(), release("2.0", "bank", 1).Named()
	bonds := flowtest.Package{Name: "bonds", Version: "1.0", Signer: "fund", File: []byte("bonds")}.Named()
	stranger := release("0.9", "mallory", 1).Named()
	tx := func(packages []ledger.Package, inputs ...ledger.StateRef) *ledger.Transaction {
		c := sample(t).tx.Content()
		c.Metadata.Packages, c.Inputs = packages, inputs
		tx, err := ledger.New(c, ledger.Salt{1})
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	made := func(packages ...ledger.Package) *ledger.Filtered {
		f, err := tx(packages).Source(0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	pays := tx([]ledger.Package{two})
	for _, c := range []struct {
		made []ledger.Package
		want []ledger.Package
	}{
		{nil, []ledger.Package{two}},
		{[]ledger.Package{one}, []ledger.Package{two}}, // its metadata tell
		{[]ledger.Package{one, bonds}, []ledger.Package{two, one}},
		{[]ledger.Package{bonds, stranger}, []ledger.Package{two}},
	} {
		var proofs []*ledger.Filtered
		if c.made != nil {
			proofs = append(proofs, made(c.made...))
		}
		if got := travel.Named(pays, proofs...); !slices.Equal(got, c.want) {
			t.Errorf("made by %v: %v, want %v", c.made, got, c.want)
		}
	}
}

// Two packages are missing: the first flow brings both, for all.
func TestOneBringsTwoPackages(t *testing.T) {
	w := newWorld(t)
	const parts, payments = 10, 3
	install(release("1.0", "bank", parts), w.alice)
	a := w.issue(w.alice, 1, 2, 3)
	install(release("1.1", "bank", parts), w.alice)
	b := w.issue(w.alice, 1, 2, 3)
	install(release("2.0", "bank", 1), w.alice, w.bob)
	var all []*flowtest.Flow
	for i := range payments {
		all = append(all, w.alice.Start("pay", payment{Inputs: []string{ref(a, i), ref(b, i)}, Outputs: []output{{bobName, 2 * (i + 1)}}}))
	}
	w.net.Settle()
	for _, f := range all {
		if o := f.Wait(); o.Err != nil {
			t.Error(o.Err)
		}
	}
	if n, most := handed(w.bob), 2*(parts+2*(payments-1)); n > most {
		t.Errorf("%d parts were handed over of two files of %d, for %d payments; at most %d are needed", n, parts, payments, most)
	}
}
