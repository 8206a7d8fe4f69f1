// Command asks is an application whose flow asks a notary's memory.
package main

import (
	"errors"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/native"
)

func init() { flow.Register("ask", ask) }

func main() { native.Main() }

// request is a transaction by name: it consumes outputs 0 of others, and makes one.
type request struct {
	Tx   string   `json:"tx"`
	In   []string `json:"in"`
	Read bool     `json:"read"`
}

type answer struct {
	Result int       `json:"result"`
	At     time.Time `json:"at"`
	By     []string  `json:"by"`
	Error  string    `json:"error"`
}

func ask(ctx *flow.Context, in request) (answer, error) {
	id := func(name string) (h [32]byte) { copy(h[:], name); return h }
	u := flow.Uniqueness{Transaction: id(in.Tx), Outputs: 1, Until: ctx.Now().Add(time.Hour), Originator: ctx.Identity().X500Name}
	for _, tx := range in.In {
		u.Inputs = append(u.Inputs, flow.StateRef{Transaction: id(tx)})
	}
	call := ctx.CheckUniqueness
	if in.Read {
		call = ctx.ReadUniqueness
	}
	a, err := call(u)
	var e *flow.Error
	if errors.As(err, &e) {
		return answer{Error: e.Type}, nil
	}
	out := answer{Result: int(a.Result), At: a.At}
	for _, c := range a.Conflicts {
		n := 0
		for n < 32 && c.ConsumedBy[n] != 0 {
			n++
		}
		out.By = append(out.By, string(c.ConsumedBy[:n]))
	}
	return out, err
}
