package token

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/ledger"
)

var update = flag.Bool("update", false, "write testdata/verdicts.json.gz anew")

// attempt is a transaction that somebody tries, and what becomes of it.
type attempt struct {
	plan plan
	// refused is a part of what the contract says, empty when it has nothing against it.
	refused string
	// ledger is a part of what the ledger says when such a transaction cannot even be made; rule what its rules say of one
	// that can.
	ledger, rule string
}

// recorded is an attempt and its verdict, for the same to be said by the contract's module in the platform's sandbox: the
// verification worker's tests read them.
type recorded struct {
	Name        string   `json:"name"`
	Transaction []byte   `json:"transaction"`
	Sources     [][]byte `json:"sources,omitempty"`
	Verdict     []string `json:"verdict"`
}

const verdicts = "testdata/verdicts.json.gz"

// TestContract tries everything: as the contract sees it, and through the ledger, which may refuse it before the contract.
func TestContract(t *testing.T) {
	var all []recorded
	for group, attempts := range map[string]map[string]attempt{
		"right": rightful(), "value": aboutValue(), "signature": aboutSignatures(), "description": aboutDescriptions(), "state": aboutStates(),
		"payload": aboutPayloads(), "command": aboutCommands(),
	} {
		for name, a := range attempts {
			t.Run(group+"/"+name, func(t *testing.T) {
				err := Verify(a.plan.transaction())
				if (err == nil) != (a.refused == "") || err != nil && !strings.Contains(err.Error(), a.refused) {
					t.Errorf("the contract says %v, want %q", err, a.refused)
				}
				tx, sources, err := a.plan.build()
				if (err == nil) != (a.ledger == "") || err != nil && !strings.Contains(err.Error(), a.ledger) {
					t.Fatalf("the ledger says %v, want %q", err, a.ledger)
				}
				if err != nil {
					return
				}
				lines := verdict(t, tx, sources)
				if want := a.refused + a.rule; (len(lines) == 0) != (want == "") || !strings.Contains(strings.Join(lines, "\n"), want) {
					t.Errorf("verified: %q, want %q", lines, want)
				}
				one := recorded{Name: group + "/" + name, Transaction: tx.Encode(), Verdict: append([]string{}, lines...)}
				for _, s := range sources {
					one.Sources = append(one.Sources, s.Encode())
				}
				all = append(all, one)
			})
		}
	}
	slices.SortFunc(all, func(a, b recorded) int { return strings.Compare(a.Name, b.Name) })
	got, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(got)
		if err := errors.Join(err, w.Close(), os.WriteFile(verdicts, packed.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := unpacked(t, verdicts); string(want) != string(got) {
		t.Errorf("%s is not what the contract says now: if that is meant, run this test with -update, and know that what was final once must stay valid", verdicts)
	}
}

func unpacked(t *testing.T, file string) []byte {
	t.Helper()
	packed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// rightful are transactions that nothing is against.
func rightful() map[string]attempt {
	ok := func(p plan, changes ...func(*plan)) attempt {
		for _, c := range changes {
			p = p.but(c)
		}
		return attempt{plan: p}
	}
	largest := strings.Repeat("9", MaxWhole) + "." + strings.Repeat("9", MaxPlaces)
	smallest := "0." + strings.Repeat("0", MaxPlaces-1) + "1"
	return map[string]attempt{
		"issue":             ok(issue()),
		"issue in portions": ok(issue(), func(p *plan) { p.out = states(gbp(alice, "60"), gbp(bob, "40"), gbp(bob, "40")) }),
		"issue to oneself":  ok(issue(), func(p *plan) { p.out = states(gbp(bank, "1")) }),
		"issue of two kinds": ok(issue(), func(p *plan) {
			p.out, p.say = append(p.out, state(eur(bob, "5"))), append(p.say, say(Issue, mint, "EUR"))
			p.signed = append(p.signed, mint)
		}),
		"transfer":            ok(transfer()),
		"transfer of all":     ok(transfer(), func(p *plan) { p.out = states(gbp(bob, "10")) }),
		"transfer to oneself": ok(transfer(), func(p *plan) { p.out = states(gbp(alice, "9.5"), gbp(alice, "0.5")) }),
		"merge":               ok(transfer(), func(p *plan) { p.in = states(gbp(alice, "0.1"), gbp(alice, "0.2")); p.out = states(gbp(alice, "0.3")) }),
		"several owners": ok(transfer(), func(p *plan) {
			p.in = states(gbp(alice, "1"), gbp(bob, "2"))
			p.out = states(gbp(carol, "3"))
			p.signed = append(p.signed, bob)
		}),
		"more signers": ok(transfer(), func(p *plan) { p.signed = append(p.signed, carol, bank) }),
		"tagged":       ok(transfer(), func(p *plan) { x := gbp(bob, "10"); x.Tag = "rent.2026-11"; p.out = states(x) }),
		"largest and smallest": ok(transfer(), func(p *plan) {
			p.in = states(gbp(alice, largest), gbp(alice, smallest))
			p.out = states(gbp(bob, smallest), gbp(bob, largest))
		}),
		"redeem":               ok(redeem()),
		"redeem of two owners": ok(redeem(), func(p *plan) { p.in = states(gbp(alice, "1"), gbp(bob, "2")); p.signed = append(p.signed, bob) }),
		"swap":                 ok(swap()),
		"swap with change":     ok(swap(), func(p *plan) { p.out = states(gbp(bob, "9"), gbp(alice, "1"), eur(alice, "6.5"), eur(bob, "0.5")) }),
		"same symbol, two banks": ok(swap(), func(p *plan) {
			x := eur(bob, "7")
			x.Symbol = "GBP"
			y := x
			y.Owner = alice
			p.in[1], p.out[1] = state(x), state(y)
			p.say[1] = say(Transfer, mint, "GBP")
		}),
		"issue against payment": ok(transfer(), func(p *plan) {
			p.out[0] = state(gbp(mint, "6"))
			p.out = append(p.out, state(eur(alice, "5")))
			p.say = append(p.say, say(Issue, mint, "EUR"))
			p.signed = append(p.signed, mint)
		}),
		"redeem against payment": ok(swap(), func(p *plan) {
			p.out = states(eur(alice, "7"))
			p.say[0] = say(Redeem, bank, "GBP")
			p.signed = append(p.signed, bank)
		}),
		"looks at tokens":           ok(transfer(), func(p *plan) { p.seen = states(gbp(carol, "1000"), eur(bob, "3")) }),
		"looks at what is no token": ok(transfer(), func(p *plan) { s := state(gbp(carol, "5")); s.TypeVersion = 9; p.seen = []ledger.State{s} }),
		"delivery against payment": ok(transfer(), func(p *plan) {
			house := ledger.State{Type: "com.example.Deed", TypeVersion: 1, Contract: deed, Payload: []byte(`{"house":1}`), Participants: []ledger.PublicKey{bob}}
			sold := house
			sold.Participants = []ledger.PublicKey{alice}
			p.in, p.out = append(p.in, house), append(p.out, sold)
			p.say, p.signed = append(p.say, ledger.Command{Type: "com.example.Deed.transfer", TypeVersion: 7}), append(p.signed, bob)
		}),
	}
}
