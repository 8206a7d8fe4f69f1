package main

import (
	"bytes"
	"time"

	"github.com/fairleadio/fairlead/apps/tokens/token"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

func init() { flow.Register("tokens-transaction", Look) }

// Looking is the argument of flow tokens-transaction.
type Looking struct {
	// Transaction is its id.
	Transaction string `json:"transaction"`
}

// Looked is what this member's vault has of a transaction.
type Looked struct {
	Transaction string `json:"transaction"`
	// Status is unverified, verified, invalid or draft, and absent when the vault does not have it.
	Status string `json:"status"`
	Notary string `json:"notary,omitempty"`
	// Until is when its time window ends.
	Until    *time.Time `json:"until,omitempty"`
	Commands []string   `json:"commands,omitempty"`
	// Consumes are states, as TRANSACTION:INDEX.
	Consumes []string `json:"consumes,omitempty"`
	Makes    []Made   `json:"makes,omitempty"`
	// Signed are the members that have signed, and the notary; a key's hash where no active member has it.
	Signed []string `json:"signed,omitempty"`
}

// Made is a state that a transaction makes. Owner, amount and symbol are those of a token.
type Made struct {
	State  string       `json:"state"`
	Type   string       `json:"type"`
	Owner  string       `json:"owner,omitempty"`
	Amount flow.Decimal `json:"amount,omitempty"`
	Symbol string       `json:"symbol,omitempty"`
}

// Look shows a transaction as this member's vault has it.
func Look(ctx *flow.Context, in Looking) (Looked, error) {
	id, err := ledger.ParseHash(in.Transaction)
	if err != nil {
		return Looked{}, badInput("transaction %q: %s", in.Transaction, err)
	}
	found, err := vault.Find(ctx, id)
	if err != nil {
		return Looked{}, err
	}
	out := Looked{Transaction: id.String(), Status: found.Status.String()}
	if found.Transaction == nil {
		out.Status = "absent"
		return out, nil
	}
	c := found.Transaction.Content()
	until := time.UnixMicro(c.Window.UntilUs).UTC()
	out.Notary, out.Until = c.Notary.Name, &until
	for _, command := range c.Commands {
		out.Commands = append(out.Commands, command.Type)
	}
	for _, ref := range c.Inputs {
		out.Consumes = append(out.Consumes, ref.String())
	}
	var keys []ledger.PublicKey
	owners := make([]ledger.PublicKey, len(c.Outputs))
	for i, s := range c.Outputs {
		made := Made{State: found.Transaction.Output(i).String(), Type: s.Type}
		if t, err := token.Read(s); err == nil {
			made.Amount, made.Symbol, owners[i] = flow.Decimal(t.Amount), t.Symbol, t.Owner
			keys = append(keys, t.Owner)
		}
		out.Makes = append(out.Makes, made)
	}
	for _, s := range found.Signatures {
		if !bytes.Equal(s.By, c.Notary.Key) {
			keys = append(keys, s.By)
		}
	}
	name, err := namesOf(ctx, keys)
	if err != nil {
		return Looked{}, err
	}
	for i, owner := range owners {
		if owner != nil {
			out.Makes[i].Owner = name(owner)
		}
	}
	for _, s := range found.Signatures {
		if bytes.Equal(s.By, c.Notary.Key) {
			out.Signed = append(out.Signed, c.Notary.Name)
			continue
		}
		out.Signed = append(out.Signed, name(s.By))
	}
	return out, nil
}

// namesOf finds whose keys these are: the member's name, or the key's hash.
func namesOf(ctx *flow.Context, keys []ledger.PublicKey) (func(ledger.PublicKey) string, error) {
	names := map[ledger.Hash]string{}
	if len(keys) > 0 {
		var asked []flow.PublicKey
		for _, k := range keys {
			asked = append(asked, flow.PublicKey(k))
		}
		members := flow.MembersByKeyCall(asked...)
		if err := flow.All(ctx, members); err != nil {
			return nil, err
		}
		for _, m := range members.Value() {
			for _, k := range m.LedgerKeys {
				names[ledger.KeyID(ledger.PublicKey(k))] = m.X500Name
			}
		}
	}
	return func(k ledger.PublicKey) string {
		if name, known := names[ledger.KeyID(k)]; known {
			return name
		}
		return ledger.KeyID(k).String()
	}, nil
}
