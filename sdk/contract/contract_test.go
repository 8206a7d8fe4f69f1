package contract_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

func TestMain(m *testing.M) {
	registerContracts()
	registerUpgrades()
	os.Exit(m.Run())
}

// registerContracts registers contracts that refuse by what the payload of their outputs says.
func registerContracts() {
	contract.Register("example.Box", func(tx *contract.Transaction) error {
		var errs []error
		for i, s := range tx.Outputs {
			box, err := contract.Payload[struct{ Say string }](s.Payload)
			switch {
			case err != nil:
				errs = append(errs, contract.Output(i).Errorf("%w", err))
			case box.Say == "panic":
				panic("as asked")
			case box.Say == "change":
				tx.Outputs[i].Payload = nil
				tx.Outputs = nil
				return nil
			case box.Say != "":
				errs = append(errs, contract.Output(i).Errorf("it says %q", box.Say))
			}
		}
		for i := range tx.Inputs {
			if !tx.Signed([]byte("owner")) {
				errs = append(errs, contract.Input(i).Errorf("its owner does not sign"))
			}
		}
		return errors.Join(errs...)
	})
	contract.Register("example.Other", func(tx *contract.Transaction) error {
		if _, err := tx.Command("do"); err != nil {
			return fmt.Errorf("%w, %w", err, errors.New("really"))
		}
		return nil
	})
}

func content(payloads ...string) ledger.Content {
	c := ledger.Content{
		Metadata: ledger.Metadata{
			LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{2}, Signer: ledger.Hash{3}}},
		},
		Notary: ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("key")}, Window: ledger.TimeWindow{UntilUs: 1 << 60},
		Signatories: []ledger.PublicKey{[]byte("owner")}, Commands: []ledger.Command{{Type: "do", TypeVersion: 1}},
	}
	for _, p := range payloads {
		c.Outputs = append(c.Outputs, ledger.State{
			Type: "Box", TypeVersion: 1, Contract: "example.Box", Payload: []byte(p), Participants: []ledger.PublicKey{[]byte("owner")},
		})
	}
	return c
}

func resolved(t *testing.T, c ledger.Content, sources ...*ledger.Filtered) *ledger.Resolved {
	t.Helper()
	tx, err := ledger.New(c, ledger.Salt{1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Resolve(tx, sources...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func texts(all []contract.Failure) []string {
	var out []string
	for _, f := range all {
		out = append(out, f.String())
	}
	return out
}

func TestVerify(t *testing.T) {
	if got := contract.Verify(resolved(t, content(`{}`))); got != nil {
		t.Errorf("a valid one: %v", got)
	}
	for name, c := range map[string]struct {
		change func(*ledger.Content)
		want   []string
	}{
		"all failures": {func(c *ledger.Content) {
			*c = content(`{"Say":"a"}`, `{}`, `[]`)
		}, []string{`example.Box: output 0: it says "a"`, `example.Box: output 2: the payload is no struct`}},
		"a panic":                 {func(c *ledger.Content) { *c = content(`{"Say":"panic"}`) }, []string{"example.Box: the contract panicked: as asked"}},
		"a contract of nobody":    {func(c *ledger.Content) { c.Outputs[0].Contract = "example.None" }, []string{"example.None: no package has this contract"}},
		"two contracts":           {func(c *ledger.Content) { both(c); c.Commands[0].Type = "x" }, []string{`example.Box: output 1: it says "b"`, "example.Other: the transaction has 0 commands do, it must have one, really"}},
		"what one changes is its": {func(c *ledger.Content) { *c = content(`{"Say":"change"}`) }, nil},
	} {
		x := content(`{}`)
		c.change(&x)
		got := texts(contract.Verify(resolved(t, x)))
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}
}

func both(c *ledger.Content) {
	*c = content(`{}`, `{"Say":"b"}`)
	c.Outputs[0].Contract = "example.Other"
}

// Contracts of what is consumed are asked, those of what is looked at are not; the ledger's rules come first.
func TestWhoIsAsked(t *testing.T) {
	made, err := ledger.New(content(`{}`, `{}`), ledger.Salt{2})
	if err != nil {
		t.Fatal(err)
	}
	source, err := made.Source(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := content(`{}`)
	c.Outputs[0].Contract = "example.Other"
	c.References = []ledger.StateRef{made.Output(1)}
	if got := contract.Names(resolved(t, c, source)); !slices.Equal(got, []string{"example.Other"}) {
		t.Errorf("looked at: %v", got)
	}
	c.Inputs = []ledger.StateRef{made.Output(0)}
	c.Signatories = []ledger.PublicKey{[]byte("somebody")}
	r := resolved(t, c, source)
	if got := contract.Names(r); !slices.Equal(got, []string{"example.Box", "example.Other"}) {
		t.Errorf("consumed: %v", got)
	}
	if got := texts(contract.Verify(r)); !slices.Equal(got, []string{"example.Box: input 0: its owner does not sign"}) {
		t.Errorf("%q", got)
	}
	c.Notary.Name = "O=Other, L=London, C=GB"
	if got := contract.Verify(resolved(t, c, source)); len(got) != 2 || got[0].Contract != "" || got[0].Component != "input 0" {
		t.Errorf("another notary: %v", got)
	}
}

func TestRegister(t *testing.T) {
	for name, want := range map[string]string{"": "1 to 255", "a b": "not allowed", "example.Box": "registered already"} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("%q: %s", name, p)
				}
			}()
			contract.Register(name, func(*contract.Transaction) error { return nil })
		}()
	}
}

// What is joined is told one by one, each with its part; an error that has a part of its own keeps the outer one.
func TestWrap(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	if contract.Output(1).Wrap(nil) != nil {
		t.Error("nothing is wrong, and it is told")
	}
	err := contract.Output(1).Wrap(errors.Join(a, errors.Join(b, fmt.Errorf("%w, %w", a, b))))
	if !errors.Is(err, a) || !errors.Is(err, b) || err.Error() != "a\nb\na, b" {
		t.Errorf("%q", err)
	}
}
