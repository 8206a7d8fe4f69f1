// Command travels is an application whose flows make transactions, have them verified, and read and hand over packages. Its
// test builds it in several versions.
package main

import (
	"time"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/native"
	"github.com/fairleadio/fairlead/sdk/vault"
)

func init() {
	flow.Register("make", makeFlow)
	flow.Register("verify", verify)
	flow.Register("missing", missing)
	flow.Register("read", read)
	flow.Register("keep", keep)
	flow.Register("give", give)
	flow.Register("only-in-VERSION", missing)
	contract.Register("Thing", func(*contract.Transaction) error { return nil }) // anybody may do anything
}

func main() { native.Main() }

// order is what a flow is to do.
type order struct {
	// Tx is an encoded transaction: to consume the first output of, or to verify; From is what Tx consumes the output of.
	Tx, From []byte
	// Package is the one that Tx names; these change it.
	Name, Signer string
	// File is a file whose parts are kept, Parts how many it has; Data is a part.
	File        string
	Part, Parts int
	Data        []byte
}

// row is a part of a file.
type row struct {
	File string `json:"file"`
	Part int64  `json:"part"`
	Data []byte `json:"data"`
}

const parts = flow.Table[row]("parts")

// receipt is what came of it.
type receipt struct {
	Tx, Data, Checksum []byte
	Parts              int
	Name, Error        string
}

func makeFlow(ctx *flow.Context, in order) (out receipt, err error) {
	metadata, err := vault.Metadata(ctx)
	if err != nil {
		return out, err
	}
	key := ledger.PublicKey("nobody's")
	c := ledger.Content{
		Metadata: metadata, Notary: ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("key")},
		Window: ledger.TimeWindow{UntilUs: ctx.Now().Add(time.Hour).UnixMicro()}, Signatories: []ledger.PublicKey{key},
		Commands: []ledger.Command{{Type: "make", TypeVersion: 1}},
		Outputs:  []ledger.State{{Type: "Thing", TypeVersion: 1, Contract: "Thing", Participants: []ledger.PublicKey{key}, Payload: []byte(`{}`)}},
	}
	if len(in.Tx) > 0 {
		from, err := ledger.Decode(in.Tx)
		if err != nil {
			return out, err
		}
		c.Inputs = []ledger.StateRef{from.Output(0)}
	}
	tx, err := ledger.New(c, ledger.Salt(ctx.RandomBytes(32)))
	if err != nil {
		return out, err
	}
	return receipt{Tx: tx.Encode()}, nil
}

func verify(ctx *flow.Context, in order) (out receipt, err error) {
	tx, err := ledger.Decode(in.Tx)
	if err != nil {
		return out, err
	}
	var sources []flow.Encoded
	if len(in.From) > 0 {
		from, err := ledger.Decode(in.From)
		if err != nil {
			return out, err
		}
		source, err := from.Source(0)
		if err != nil {
			return out, err
		}
		sources = append(sources, source)
	}
	v, err := ctx.Verify(tx, sources...)
	if err == nil {
		err = v.Err()
	}
	return told(out, err)
}

// told makes an error a part of the result.
func told(out receipt, err error) (receipt, error) {
	if err != nil {
		out.Error = err.Error()
		if e, ok := err.(*flow.Error); ok {
			out.Error = e.Type + " " + e.Message
		}
	}
	return out, nil
}

func named(in order) (ledger.Package, error) {
	tx, err := ledger.Decode(in.Tx)
	if err != nil {
		return ledger.Package{}, err
	}
	p := tx.Content().Metadata.Packages[0]
	if in.Name != "" {
		p.Name = in.Name
	}
	switch in.Signer {
	case "":
	case "nobody":
		p.Signer = p.Checksum
	default:
		if p.Signer, err = ledger.ParseHash(in.Signer); err != nil {
			return p, err
		}
	}
	return p, nil
}

func missing(ctx *flow.Context, in order) (out receipt, err error) {
	p, err := named(in)
	if err != nil {
		return out, err
	}
	call := vault.MissingPackagesCall(p)
	err = flow.All(ctx, call)
	for _, p := range call.Value() {
		out.Name += p.Name + " " + p.Version
	}
	return told(out, err)
}

func read(ctx *flow.Context, in order) (out receipt, err error) {
	p, err := named(in)
	if err != nil {
		return out, err
	}
	call := vault.ReadPackageCall(p, in.Part)
	err = flow.All(ctx, call)
	out.Parts, out.Data, out.Checksum = call.Value().Parts, call.Value().Data, p.Checksum[:]
	return told(out, err)
}

// keep keeps a part of a file for flow give.
func keep(ctx *flow.Context, in order) (receipt, error) {
	_, err := parts.Merge(ctx, row{in.File, int64(in.Part), in.Data})
	return told(receipt{}, err)
}

// give hands a file over, or one part of it.
func give(ctx *flow.Context, in order) (out receipt, err error) {
	p, err := named(in)
	if err != nil {
		return out, err
	}
	if in.File == "" {
		return told(out, flow.All(ctx, vault.PutPackageCall(p, in.Part, in.Parts, in.Data)))
	}
	for n := range in.Parts {
		r, err := parts.Find(ctx, row{File: in.File, Part: int64(n)})
		if err != nil {
			return out, err
		}
		if err := flow.All(ctx, vault.PutPackageCall(p, n, in.Parts, r.Data)); err != nil {
			return told(out, err)
		}
	}
	return out, nil
}
