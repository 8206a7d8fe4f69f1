package ledgerstore

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/rows"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"google.golang.org/protobuf/proto"
)

// Filtered is a proof of parts of a transaction.
type Filtered struct {
	*ledger.Filtered
	encoded, metadata []byte
	outputs           []uint32
}

// ParseFiltered reads a proof. It must show the notary, for what it shows of outputs is of use only with it. Its error is
// a *[rows.Problem].
func ParseFiltered(b []byte) (*Filtered, error) {
	if len(b) > MaxTransaction {
		return nil, tooLarge("field filtered has %d bytes; at most %d can be stored: show fewer components", len(b), MaxTransaction)
	}
	parsed, err := ledger.DecodeFiltered(b)
	if err != nil {
		return nil, Malformed("field filtered: %v; make it with the SDK", err)
	}
	notary, _, err := parsed.Notary()
	if err != nil {
		return nil, Malformed("field filtered: the notary: %v; show it", err)
	}
	names := []string{notary.Name}
	f := &Filtered{Filtered: parsed, encoded: b, metadata: parsed.Shown(ledger.GroupMetadata)[0]}
	for _, i := range slices.Sorted(maps.Keys(parsed.Shown(ledger.GroupOutputs))) {
		s, err := parsed.Output(i)
		if err != nil {
			return nil, Malformed("field filtered: output %d: %v; show its info too", i, err)
		}
		names = append(names, stateNames(s)...)
		// One that is tied to others is of use only with what all outputs are. Were it counted as shown, a proof that has that
		// would be one that shows nothing new.
		if infos, _ := parsed.Count(ledger.GroupOutputInfos); s.Encumbrance == "" || len(parsed.Shown(ledger.GroupOutputInfos)) == infos {
			f.outputs = append(f.outputs, uint32(i))
		}
	}
	if slices.ContainsFunc(names, func(s string) bool { return strings.ContainsRune(s, 0) }) {
		return nil, Malformed(`field filtered: a name holds the character \u0000, which the database cannot hold`)
	}
	return f, nil
}

// FilteredFacts are what a proof is decided on, beside the [Facts] of its transaction.
type FilteredFacts struct {
	Known Known
	any   bool
	shown map[uint32]bool
}

// Of asks for them.
func (p *FilteredFacts) Of(id ledger.Hash) []Ask {
	p.Known, p.any, p.shown = Known{}, false, map[uint32]bool{}
	return []Ask{
		ask("SELECT status, is_filtered FROM fl_transaction WHERE id = $1", func(r *row) { p.Known = Known{statusOf(r.text()), r.yes()} }, blob(id[:])),
		ask("SELECT FROM fl_filtered WHERE transaction_id = $1 LIMIT 1", func(*row) { p.any = true }, blob(id[:])),
		ask("SELECT leaf_index FROM fl_filtered_output WHERE transaction_id = $1", func(r *row) { p.shown[uint32(r.number())] = true }, blob(id[:])),
	}
}

// DecideFiltered makes the statements that store a proof, none when it shows nothing new. Its error is an
// [IllegalMoveError].
func DecideFiltered(f *Facts, p *FilteredFacts, proof *Filtered) ([]rows.Statement, error) {
	m, err := p.Known.PersistFiltered()
	if err != nil {
		return nil, err
	}
	c, id := &changes{facts: f}, proof.ID()
	if !m.Held {
		content, err := proof.Metadata()
		if err != nil {
			return nil, err
		}
		hash := c.metadata(proof.metadata, content)
		c.add("INSERT INTO fl_transaction (id, status, is_filtered, metadata_hash, created, updated, number) VALUES ($1, 'V', true, $2, $3, $3, 0)", blob(id[:]), blob(hash[:]), moment(f.Now))
		p.Known = m.Next
	}
	fresh := slices.DeleteFunc(slices.Clone(proof.outputs), func(i uint32) bool { return p.shown[i] })
	if p.any && len(fresh) == 0 {
		return c.statements, nil
	}
	p.any = true
	hash := sha256.Sum256(proof.encoded)
	c.add("INSERT INTO fl_filtered (transaction_id, hash, content, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", blob(id[:]), blob(hash[:]), blob(proof.encoded), moment(f.Now))
	list := proof.resolvable(fresh)
	c.components(id, list)
	if len(fresh) > 0 {
		c.add("INSERT INTO fl_filtered_output (transaction_id, leaf_index, hash) SELECT $1, i, $3 FROM unnest($2) AS u(i)", blob(id[:]), numbers(fresh), blob(hash[:]))
	}
	for _, i := range fresh {
		p.shown[i] = true
	}
	return c.statements, nil
}

// resolvable are the components of which states are made: the notary, and those of outputs.
func (f *Filtered) resolvable(outputs []uint32) []component {
	var out []component
	for i, b := range f.Shown(ledger.GroupNotary) {
		out = append(out, component{ledger.GroupNotary, i, b})
	}
	slices.SortFunc(out, func(a, b component) int { return a.index - b.index })
	for _, g := range []ledger.Group{ledger.GroupOutputInfos, ledger.GroupOutputs} {
		shown := f.Shown(g)
		for _, i := range outputs {
			out = append(out, component{g, int(i), shown[int(i)]})
		}
	}
	return out
}

// Proofs reads what proves states of one transaction.
type Proofs struct {
	Whole
	indexes []uint32
	stored  map[string][]byte
	by      map[uint32]string
}

// ProofsOf groups references by transaction, in the order in which they first name them.
func ProofsOf(refs []ledger.StateRef) ([]ledger.Hash, map[ledger.Hash]*Proofs) {
	var ids []ledger.Hash
	out := map[ledger.Hash]*Proofs{}
	for _, r := range refs {
		p := out[r.Transaction]
		if p == nil {
			p = &Proofs{stored: map[string][]byte{}, by: map[uint32]string{}}
			ids, out[r.Transaction] = append(ids, r.Transaction), p
		}
		p.indexes = union(p.indexes, []uint32{r.Index})
	}
	return ids, out
}

// Asks reads them.
func (p *Proofs) Asks(id ledger.Hash) []Ask {
	return append(p.Whole.Asks(id),
		ask("SELECT o.leaf_index, o.hash, f.content FROM unnest($2) AS r(index) JOIN fl_filtered_output o ON o.transaction_id = $1 AND o.leaf_index = r.index "+
			"JOIN fl_filtered f ON f.transaction_id = o.transaction_id AND f.hash = o.hash ORDER BY o.leaf_index",
			func(r *row) {
				i, hash := uint32(r.number()), string(r.bytes())
				p.by[i] = hash
				p.stored[hash] = r.bytes()
			}, blob(id[:]), numbers(p.indexes)))
}

// Proven returns proofs that together show the states that were asked for, and the indexes of those that nothing shows.
// A whole transaction that is verified proves its own.
func (p *Proofs) Proven() (proofs [][]byte, missing []uint32, err error) {
	if p.Known.Whole() == Verified {
		return p.fromWhole()
	}
	if p.Known.Status == Invalid {
		return nil, p.indexes, nil
	}
	var seen []string
	for _, i := range p.indexes {
		hash, ok := p.by[i]
		switch {
		case !ok:
			missing = append(missing, i)
		case !slices.Contains(seen, hash):
			seen = append(seen, hash)
			proofs = append(proofs, p.stored[hash])
		}
	}
	return proofs, missing, nil
}

func (p *Proofs) fromWhole() (proofs [][]byte, missing []uint32, err error) {
	encoded, err := p.Transaction()
	if err != nil {
		return nil, nil, err
	}
	tx, err := ledger.Decode(encoded)
	if err != nil {
		return nil, nil, err
	}
	var show []int
	for _, i := range p.indexes {
		if int64(i) < int64(len(tx.Content().Outputs)) {
			show = append(show, int(i))
		} else {
			missing = append(missing, i)
		}
	}
	if len(show) == 0 {
		return nil, missing, nil
	}
	f, err := tx.Source(show...) // all that is needed to consume them, also of encumbered ones
	if err != nil {
		return nil, nil, err
	}
	return [][]byte{f.Encode()}, missing, nil
}

// GroupParameters reads parameters of a group.
type GroupParameters struct {
	Parameters, SignedBy, Signature []byte
	Scheme                          string
}

// Find asks for them.
func (g *GroupParameters) Find(hash ledger.Hash) Ask {
	return ask("SELECT content, signed_by, signature, scheme FROM fl_group_parameters WHERE hash = $1", func(r *row) {
		g.Parameters, g.SignedBy, g.Signature, g.Scheme = r.bytes(), r.bytes(), r.bytes(), r.text()
	}, blob(hash[:]))
}

// Check tells what is missing. Its error is a *[rows.Problem].
func (g GroupParameters) Check() error {
	n := len(g.Parameters) + len(g.SignedBy) + len(g.Signature) + len(g.Scheme)
	switch {
	case n > MaxTransaction:
		return tooLarge("field parameters has %d bytes; at most %d can be stored", n, MaxTransaction)
	case len(g.Parameters) == 0, len(g.SignedBy) == 0, len(g.Signature) == 0, g.Scheme == "" || strings.ContainsRune(g.Scheme, 0):
		return Malformed("field parameters: its parameters, key, signature or scheme is empty; give all four")
	}
	return nil
}

// Persist is the statement that stores them unless they are there.
func (g GroupParameters) Persist() rows.Statement {
	hash := sha256.Sum256(g.Parameters)
	return rows.Statement{
		SQL:  "INSERT INTO fl_group_parameters (hash, content, signed_by, signature, scheme) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (hash) DO NOTHING",
		Args: []rows.Arg{blob(hash[:]), blob(g.Parameters), blob(g.SignedBy), blob(g.Signature), word(g.Scheme)},
	}
}

// notaryOf tells whether a component is a notary, so that a state that is handed out has one that can be read.
func notaryOf(b []byte) bool { return proto.Unmarshal(b, &ledgerv1.Notary{}) == nil }
