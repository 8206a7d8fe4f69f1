package notary

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
)

// Ref names a state by its transaction's name.
type Ref struct {
	Tx    string
	Index uint32
}

// Ask is a request.
type Ask struct {
	// Notary is whose memory is asked. Family is a set of transactions that have to do with no others: histories of families
	// are independent.
	Notary string
	Family int
	// Tx is the transaction's name; its id is the hash of it.
	Tx                 string
	Inputs, References []Ref
	Outputs            int32
	Read               bool
	// Never says that the window ended long ago.
	Never bool
}

// id is a transaction's id.
func id(name string) [32]byte { return sha256.Sum256([]byte(name)) }

// Message is the request as it travels.
func (a Ask) Message() *uniquenessv1.Request {
	refs := func(all []Ref) (out []*ledgerv1.StateRef) {
		for _, r := range all {
			tx := id(r.Tx)
			out = append(out, &ledgerv1.StateRef{Transaction: tx[:], Index: r.Index})
		}
		return out
	}
	tx := id(a.Tx)
	c := &appv1.CheckUniqueness{
		Mode: appv1.UniquenessMode_UNIQUENESS_MODE_CHECK, Transaction: tx[:], Inputs: refs(a.Inputs), References: refs(a.References), Outputs: a.Outputs,
		Window: &ledgerv1.TimeWindow{UntilUs: 1 << 60}, Originator: "O=Alice, L=London, C=GB",
	}
	if a.Read {
		c.Mode = appv1.UniquenessMode_UNIQUENESS_MODE_READ
	}
	if a.Never {
		c.Window.UntilUs = 1
	}
	return &uniquenessv1.Request{Notary: a.Notary, FlowId: "test", Check: c}
}

// Story draws the requests of families, in an order in which many of a family are asked at once: an issuance, and
// transactions that spend its states and each other's, each asked for one to three times, some only to be read. Most
// issuances are asked for first, a while before the others of their family.
func Story(rnd *rand.Rand, notaries []string, families int) []Ask {
	var out, open []Ask
	const together = 6 // families that are asked for at once
	for f := 0; f < families; f += together {
		var next []Ask
		for g := f; g < min(f+together, families); g++ {
			all := family(rnd, notaries[g%len(notaries)], g)
			if rnd.IntN(8) != 0 {
				out, all = append(out, all[0]), all[1:]
			}
			next = append(next, all...)
		}
		out = append(out, open...)
		rnd.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
		open = next
	}
	return append(out, open...)
}

func family(rnd *rand.Rand, notary string, n int) []Ask {
	name := func(i int) string { return fmt.Sprintf("f%d.%d", n, i) }
	txs := []Ask{{Notary: notary, Family: n, Tx: name(0), Outputs: 4}}
	for i := 1; i < 6; i++ {
		a := Ask{Notary: notary, Family: n, Tx: name(i), Outputs: int32(rnd.IntN(3)), Never: rnd.IntN(12) == 0}
		used := map[Ref]bool{}
		pick := func(most int) (refs []Ref) {
			for range rnd.IntN(most + 1) {
				r := Ref{name(0), uint32(rnd.IntN(4))}
				switch {
				case rnd.IntN(20) == 0:
					r.Index = 4 // beyond the outputs
				case i > 1 && rnd.IntN(4) == 0:
					r = Ref{name(1 + rnd.IntN(i-1)), uint32(rnd.IntN(2))}
				}
				if !used[r] {
					refs = append(refs, r)
				}
				used[r] = true
			}
			return refs
		}
		a.Inputs, a.References = pick(3), pick(1)
		txs = append(txs, a)
	}
	var out []Ask
	for _, a := range txs {
		for range 1 + rnd.IntN(3) {
			out = append(out, a)
		}
		if rnd.IntN(3) == 0 {
			a.Read = true
			out = append(out, a)
		}
	}
	return out
}
