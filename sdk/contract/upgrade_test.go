package contract_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Three versions of a coin: whole pounds; pence; pence with a currency.
type (
	pounds struct{ Pounds int }
	pence  struct{ Pence int }
	money  struct {
		Pence    int
		Currency string
	}
)

const coinType = "upgrade.Coin"

// registerUpgrades registers the upgrades, and a contract that reads coins of all versions.
func registerUpgrades() {
	contract.Upgrade(coinType, 1, func(old pounds) (pence, error) {
		if old.Pounds < 0 {
			return pence{}, errors.New("it is a debt")
		}
		return pence{100 * old.Pounds}, nil
	})
	contract.Upgrade(coinType, 2, func(old pence) (money, error) { return money{old.Pence, "GBP"}, nil })
	contract.Upgrade("upgrade.Gap", 1, func(old pounds) (pounds, error) { return old, nil })
	contract.Upgrade("upgrade.Gap", 3, func(old pounds) (pounds, error) { return old, nil })
	contract.Register("upgrade.Rules", func(tx *contract.Transaction) error {
		sum := 0
		for i, s := range tx.Inputs {
			m, err := contract.Read[money](s.State)
			if err != nil {
				return contract.Input(i).Wrap(err)
			}
			sum += m.Pence
		}
		for i, s := range tx.Outputs {
			m, err := contract.Read[money](s)
			if err != nil {
				return contract.Output(i).Wrap(err)
			}
			sum -= m.Pence
		}
		if _, err := tx.Command("issue"); err != nil && sum != 0 {
			return fmt.Errorf("%d pence are left", sum)
		}
		return nil
	})
}

func coinOf(typ string, version uint32, payload string) ledger.State {
	return ledger.State{Type: typ, TypeVersion: version, Contract: "upgrade.Rules", Payload: []byte(payload), Participants: []ledger.PublicKey{[]byte("a")}}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		state ledger.State
		want  string
	}{
		{coinOf(coinType, 1, `{"Pounds":3}`), "{300 GBP} <nil>"},
		{coinOf(coinType, 2, `{"Pence":301}`), "{301 GBP} <nil>"},
		{coinOf(coinType, 3, `{"Pence":301,"Currency":"EUR"}`), "{301 EUR} <nil>"},
		{coinOf(coinType, 4, `{}`), "{0 } the state is of version 4 of type upgrade.Coin, and the last one that is known here is 3"},
		{coinOf(coinType, 1, `{"Pounds":-1}`), "{0 } the state is of version 1 of type upgrade.Coin: the upgrade from version 1 to version 2: it is a debt"},
		{coinOf(coinType, 1, `[]`), "{0 } the state is of version 1 of type upgrade.Coin: the upgrade from version 1 to version 2: the payload is no contract_test.pounds: "},
		{coinOf("upgrade.Other", 1, `{"Pence":1,"Currency":"EUR"}`), "{1 EUR} <nil>"},
		{coinOf("upgrade.Other", 2, `{}`), "{0 } the state is of version 2 of type upgrade.Other, and the last one that is known here is 1"},
		{coinOf("upgrade.Gap", 1, `{}`), "{0 } the state is of version 1 of type upgrade.Gap, and nothing here upgrades from version 2 to version 3"},
	} {
		got, err := contract.Read[money](c.state)
		if text := fmt.Sprint(got, " ", err); !strings.HasPrefix(text, c.want) {
			t.Errorf("version %d of %s: %s, want %s", c.state.TypeVersion, c.state.Type, text, c.want)
		}
	}
	if a, b := contract.TypeVersion(coinType), contract.TypeVersion("upgrade.Other"); a != 3 || b != 1 {
		t.Errorf("versions %d and %d", a, b)
	}
}

// A contract of a new version consumes a state of an old one and makes one of its own.
func TestContractReadsOldStates(t *testing.T) {
	content := func(command string, inputs []ledger.StateRef, outputs ...ledger.State) ledger.Content {
		return ledger.Content{
			Metadata: ledger.Metadata{LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}}},
			Notary:   ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("k")}, Window: ledger.TimeWindow{UntilUs: 1}, Signatories: []ledger.PublicKey{[]byte("a")},
			Commands: []ledger.Command{{Type: command, TypeVersion: 1}}, Inputs: inputs, Outputs: outputs,
		}
	}
	verify := func(c ledger.Content, sources ...*ledger.Filtered) (*ledger.Transaction, string) {
		t.Helper()
		tx, err := ledger.New(c, ledger.Salt{1})
		if err != nil {
			t.Fatal(err)
		}
		r, err := ledger.Resolve(tx, sources...)
		if err != nil {
			t.Fatal(err)
		}
		return tx, fmt.Sprint(contract.Verify(r))
	}
	issue, got := verify(content("issue", nil, coinOf(coinType, 1, `{"Pounds":3}`)))
	if got != "[]" {
		t.Fatal(got)
	}
	source, err := issue.Source(0)
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[string]string{`{"Pence":300,"Currency":"GBP"}`: "[]", `{"Pence":301,"Currency":"GBP"}`: "[upgrade.Rules: -1 pence are left]"} {
		out := coinOf(coinType, contract.TypeVersion(coinType), payload)
		if _, got := verify(content("pay", []ledger.StateRef{issue.Output(0)}, out), source); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestUpgradesThatCannotBe(t *testing.T) {
	for want, register := range map[string]func(){
		"is registered already": func() {
			contract.Upgrade(coinType, 1, func(old pounds) (pounds, error) { return old, nil })
		},
		"its versions begin with 1": func() {
			contract.Upgrade(coinType, 0, func(old pounds) (pounds, error) { return old, nil })
		},
		"a type has a name": func() { contract.Upgrade("", 1, func(old pounds) (pounds, error) { return old, nil }) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, want) {
					t.Errorf("%s, want %s", text, want)
				}
			}()
			register()
		}()
	}
}
