package token

import (
	"crypto/sha256"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/contract/exact"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// deed is another application's contract, which has nothing against anything.
const deed = "com.example.Deed"

func TestMain(m *testing.M) {
	contract.Register(Contract, Verify)
	contract.Register(deed, func(*contract.Transaction) error { return nil })
	os.Exit(m.Run())
}

func hash(s string) ledger.Hash { return sha256.Sum256([]byte(s)) }

// key has the shape of a key of Ed25519.
func key(of string) ledger.PublicKey {
	h := hash(of)
	return slices.Concat([]byte{0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0}, h[:])
}

var (
	alice, bob, carol = key("alice"), key("bob"), key("carol")
	bank, mint        = key("bank"), key("mint")
)

// gbp and eur are tokens of the bank and of the mint.
func gbp(owner ledger.PublicKey, amount string) Token {
	return Token{Amount: amount, Symbol: "GBP", Issuer: bank, Owner: owner}
}

func eur(owner ledger.PublicKey, amount string) Token {
	return Token{Amount: amount, Symbol: "EUR", Issuer: mint, Owner: owner}
}

// state is what a token would be as a state, right or not.
func state(t Token) ledger.State {
	payload, err := exact.Encode(t)
	if err != nil {
		panic(err)
	}
	d := t.description()
	return ledger.State{
		Type: Type, TypeVersion: Version, Contract: Contract, Payload: payload, Participants: []ledger.PublicKey{t.Owner}, Token: &d,
	}
}

func states(all ...Token) (out []ledger.State) {
	for _, t := range all {
		out = append(out, state(t))
	}
	return out
}

// say is a command, right or not.
func say(what string, issuer ledger.PublicKey, symbol string) ledger.Command {
	payload, err := exact.Encode(Of{Issuer: issuer, Symbol: symbol})
	if err != nil {
		panic(err)
	}
	return ledger.Command{Type: what, TypeVersion: Version, Payload: payload}
}

// plan is a transaction that a test makes.
type plan struct {
	// in are consumed, seen looked at: outputs of one transaction before it, of the notary from.
	in, seen []ledger.State
	from     string
	out      []ledger.State
	say      []ledger.Command
	signed   []ledger.PublicKey
}

const notary = "O=Notary, L=London, C=GB"

// transfer pays bob 6 of alice's 10, issue gives alice 100, redeem takes alice's 10 back, swap is alice's 10 GBP for bob's
// 7 EUR.
func transfer() plan {
	return plan{
		in: states(gbp(alice, "10")), out: states(gbp(bob, "6"), gbp(alice, "4")),
		say: []ledger.Command{say(Transfer, bank, "GBP")}, signed: []ledger.PublicKey{alice},
	}
}

func issue() plan {
	return plan{out: states(gbp(alice, "100")), say: []ledger.Command{say(Issue, bank, "GBP")}, signed: []ledger.PublicKey{bank}}
}

func redeem() plan {
	return plan{in: states(gbp(alice, "10")), say: []ledger.Command{say(Redeem, bank, "GBP")}, signed: []ledger.PublicKey{alice, bank}}
}

func swap() plan {
	return plan{
		in: states(gbp(alice, "10"), eur(bob, "7")), out: states(gbp(bob, "10"), eur(alice, "7")),
		say: []ledger.Command{say(Transfer, bank, "GBP"), say(Transfer, mint, "EUR")}, signed: []ledger.PublicKey{alice, bob},
	}
}

// but changes a plan.
func (p plan) but(change func(*plan)) plan {
	change(&p)
	return p
}

// transaction is what the contract sees, though the ledger might refuse it.
func (p plan) transaction() *contract.Transaction {
	tx := &contract.Transaction{Signatories: p.signed, Outputs: p.out, Commands: p.say}
	for i, s := range p.in {
		tx.Inputs = append(tx.Inputs, contract.State{State: s, Ref: ledger.StateRef{Transaction: hash("source"), Index: uint32(i)}})
	}
	for i, s := range p.seen {
		tx.References = append(tx.References, contract.State{State: s, Ref: ledger.StateRef{Transaction: hash("source"), Index: uint32(len(p.in) + i)}})
	}
	return tx
}

func content(notary string, out []ledger.State, commands []ledger.Command, signed []ledger.PublicKey) ledger.Content {
	return ledger.Content{
		Metadata: ledger.Metadata{LedgerVersion: ledger.Version, PlatformVersion: 1, Packages: []ledger.Package{
			{Name: "tokens", Version: "1.0", Checksum: hash("tokens"), Signer: hash("signer")},
		}},
		Notary: ledger.Notary{Name: notary, Key: []byte("notary's key")}, Window: ledger.TimeWindow{UntilUs: 1 << 60},
		Outputs: out, Commands: commands, Signatories: signed,
	}
}

// build makes the transaction and what shows its inputs and references; an error is the ledger's.
func (p plan) build() (*ledger.Transaction, []*ledger.Filtered, error) {
	c := content(notary, p.out, p.say, p.signed)
	var sources []*ledger.Filtered
	if made := slices.Concat(p.in, p.seen); len(made) > 0 {
		from := p.from
		if from == "" {
			from = notary
		}
		before, err := ledger.New(content(from, made, []ledger.Command{{Type: "before", TypeVersion: 1}}, []ledger.PublicKey{bank}), ledger.Salt{1})
		if err != nil {
			return nil, nil, err
		}
		var all []int
		for i := range made {
			all = append(all, i)
			if i < len(p.in) {
				c.Inputs = append(c.Inputs, before.Output(i))
			} else {
				c.References = append(c.References, before.Output(i))
			}
		}
		source, err := before.Source(all...)
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, source)
	}
	tx, err := ledger.New(c, ledger.Salt{2})
	return tx, sources, err
}

// verdict are the lines of the ledger's rules and of this contract against a transaction, as the platform writes them.
func verdict(t *testing.T, tx *ledger.Transaction, sources []*ledger.Filtered) (out []string) {
	t.Helper()
	resolved, err := ledger.Resolve(tx, sources...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range contract.Verify(resolved) {
		if f.Contract == "" || f.Contract == Contract {
			out = append(out, strings.Join([]string{f.Contract, f.Component, f.Message}, "|"))
		}
	}
	return out
}
