package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/finality"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/tokens"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// window is how long a notary may accept a transaction after it was built. What is not final then never will be, so that
// the tokens can be spent otherwise.
const window = 10 * time.Minute

// draft is a transaction of tokens before it is one.
type draft struct {
	notary   ledger.Notary
	inputs   []token.Held
	outputs  []token.Token
	commands []ledger.Command
	// signers must sign beside the owners of the inputs.
	signers []ledger.PublicKey
	// keeps has the flow keep the first output for itself, from before there is one: its next transaction consumes it.
	keeps bool
	kept  tokens.Claimed
}

// say adds a command.
func (d *draft) say(what string, issuer ledger.PublicKey, symbol string) error {
	c, err := token.Command(what, token.Of{Issuer: issuer, Symbol: symbol})
	d.commands = append(d.commands, c)
	return typed(err)
}

// build makes the transaction.
func (d *draft) build(ctx *flow.Context) (*ledger.Transaction, error) {
	metadata, err := vault.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	c := ledger.Content{
		Metadata: metadata, Notary: d.notary, Window: ledger.TimeWindow{UntilUs: ctx.Now().Add(window).UnixMicro()}, Commands: d.commands,
	}
	sign := func(k ledger.PublicKey) {
		if !slices.ContainsFunc(c.Signatories, func(o ledger.PublicKey) bool { return string(o) == string(k) }) {
			c.Signatories = append(c.Signatories, k)
		}
	}
	for _, h := range d.inputs {
		c.Inputs = append(c.Inputs, h.Ref)
		sign(h.Token.Owner)
	}
	for _, k := range d.signers {
		sign(k)
	}
	for _, t := range d.outputs {
		s, err := t.State()
		if err != nil {
			return nil, typed(err)
		}
		c.Outputs = append(c.Outputs, s)
	}
	return ledger.New(c, ledger.Salt(ctx.RandomBytes(len(ledger.Salt{}))))
}

// signers are those of a transaction's signatories that are the virtual node's keys.
func signers(ctx *flow.Context, tx *ledger.Transaction) ([]ledger.PublicKey, error) {
	var keys []flow.PublicKey
	for _, k := range tx.Content().Signatories {
		keys = append(keys, flow.PublicKey(k))
	}
	mine, err := ctx.MyKeys(keys...)
	if err != nil {
		return nil, err
	}
	var out []ledger.PublicKey
	for _, k := range mine {
		out = append(out, ledger.PublicKey(k.PublicKey))
	}
	return out, nil
}

// finish makes the transaction of a draft final with the members that take part beside this one: none, or one.
func (d *draft) finish(ctx *flow.Context, protocol string, parties ...string) (finality.Final, error) {
	var sessions []*flow.Session
	for _, name := range parties {
		if name == ctx.Identity().X500Name {
			continue
		}
		s, err := ctx.OpenSession(name, protocol)
		if err != nil {
			return finality.Final{}, err
		}
		sessions = append(sessions, s)
	}
	return d.finishOver(ctx, sessions...)
}

// finishOver is finish over sessions that are open.
func (d *draft) finishOver(ctx *flow.Context, sessions ...*flow.Session) (finality.Final, error) {
	tx, err := d.build(ctx)
	if err != nil {
		return finality.Final{}, err
	}
	if d.keeps {
		first := d.outputs[0]
		pool := tokens.Pool{Type: token.Type, Symbol: first.Symbol, Issuer: ledger.KeyID(first.Issuer), Notary: d.notary.Name}
		if d.kept, err = tokens.Keep(ctx, pool, tx.Output(0)); err != nil {
			return finality.Final{}, err
		}
	}
	keys, err := signers(ctx, tx)
	if err != nil {
		return finality.Final{}, err
	}
	f, err := finality.Options{Sign: keys}.Finalise(ctx, tx, nil, sessions...)
	return f, advised(tx, err)
}

// advised says what to do after an error that leaves open whether a transaction is or will be final: who believes that
// nothing was paid pays twice.
func advised(tx *ledger.Transaction, err error) error {
	if !errors.Is(err, finality.ErrRefused) && !errors.Is(err, finality.ErrUnknown) {
		return err
	}
	until := time.UnixMicro(tx.Content().Window.UntilUs).UTC().Format(time.RFC3339)
	return fmt.Errorf("%w. It is open whether the tokens changed hands: do nothing again before %s; then run tokens-repair, which asks the notary, and look at tokens-balance", err, until)
}

// soon refuses what somebody else proposes and could have notarised long from now: with this member's signature in hand, who
// proposed it could wait until it suits. Windows twice as long as this application's own leave room for clocks that differ.
func soon(ctx *flow.Context, tx *ledger.Resolved) error {
	until := time.UnixMicro(tx.Transaction().Content().Window.UntilUs).UTC()
	if until.After(ctx.Now().Add(2 * window)) {
		return fmt.Errorf("%w: it may become final until %s, and this member signs for the next %s", token.ErrDisagree, until.Format(time.RFC3339), 2*window)
	}
	return nil
}

// notaryNamed finds a notary of the group: the one of a name, or the only one for an empty name.
func notaryNamed(ctx *flow.Context, name string) (ledger.Notary, error) {
	all, err := notariesNamed(ctx, name)
	if err != nil {
		return ledger.Notary{}, err
	}
	if len(all) > 1 {
		return ledger.Notary{}, badInput("the group has %d notaries: name one in field notary", len(all))
	}
	return ledger.Notary{Name: all[0].name, Key: all[0].keys[0]}, nil
}

// service is a notary of the group, with all keys that it publishes: one at least.
type service struct {
	name string
	keys []ledger.PublicKey
}

// spending is how a transaction names the notary that consumes states, of whose notaries' keys it has some: by the one key
// that all have, as long as it is published, or else by the first that is. For the ledger all keys of a notary are one notary.
func (s service) spending(of map[string]bool) ledger.Notary {
	n := ledger.Notary{Name: s.name, Key: s.keys[0]}
	for _, k := range s.keys {
		if len(of) == 1 && of[string(k)] {
			n.Key = k
		}
	}
	return n
}

// notariesNamed finds the notaries of the group: the one of a name, or all for an empty name. There is one at least. A member
// that publishes another's name, or no key, is passed over: it would keep everybody from paying.
func notariesNamed(ctx *flow.Context, name string) ([]service, error) {
	members, err := ctx.Members()
	if err != nil {
		return nil, err
	}
	var out []service
	for _, m := range members {
		published := m.Context[notary.PropertyService]
		if published == "" || published != m.X500Name || name != "" && published != name {
			continue
		}
		n := service{name: published}
		for i := 0; ; i++ {
			text, there := m.Context[fmt.Sprintf(notary.PropertyKey, i)]
			if !there {
				break
			}
			if block, _ := pem.Decode([]byte(text)); block != nil {
				n.keys = append(n.keys, block.Bytes)
			}
		}
		if len(n.keys) > 0 {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		if name == "" {
			return nil, flow.Errorf("no-notary", "the group has no notary that publishes a key: its operator makes one with fairlead key generate VNODE notary NOTARY")
		}
		return nil, flow.Errorf("no-notary", "the group has no notary %s that publishes a key: field notary is the X.500 name of a member with a key of category NOTARY", name)
	}
	return out, nil
}
