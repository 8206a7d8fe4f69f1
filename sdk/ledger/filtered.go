package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/sdk/internal/canonical"
)

// Show says what of a group a [Filtered] tells.
type Show struct {
	// Components are the indexes of those that are shown, in ascending order; All shows all of them.
	Components []int
	All        bool
	// Count tells how many components the group has, also when none is shown. Where some are shown it is told anyway.
	Count bool
}

// Filtered is a transaction of which only parts are shown. The zero value is none; [Transaction.Filter] and
// [DecodeFiltered] make them, and both prove: what [Filtered.Shown] returns is in the transaction with the id that
// [Filtered.ID] returns.
type Filtered struct {
	id     Hash
	groups [Groups]filteredGroup
}

// filteredGroup is one of: the group's leaf alone; count and root; count, shown components and a proof.
type filteredGroup struct {
	hidden Hash
	count  int // -1 when it is not told
	root   Hash
	shown  []shownComponent
	proof  []Hash
}

type shownComponent struct {
	index     int
	nonce     Hash
	component []byte
}

// Filter makes a transaction of which only the named parts are shown. Groups that are not named stay hidden, apart from
// the metadata, which says how everything else is to be read and is always shown.
func (tx *Transaction) Filter(show map[Group]Show) (*Filtered, error) {
	f := &Filtered{id: tx.id}
	for g := range Groups {
		s := show[g]
		if g == GroupMetadata {
			s.All = true
		}
		components, leaves := tx.groups[g], tx.leaves(g)
		top := root(nodePrefix, leaves)
		if s.All {
			s.Components = nil
			for i := range components {
				s.Components = append(s.Components, i)
			}
			s.Count = true
		}
		out := &f.groups[g]
		out.count = -1
		if len(s.Components) == 0 {
			out.hidden = groupLeaf(g, len(components), top)
			if s.Count {
				out.count, out.root = len(components), top
			}
			continue
		}
		for n, i := range s.Components {
			if i < 0 || i >= len(components) || n > 0 && i <= s.Components[n-1] {
				return nil, fmt.Errorf("%s %d cannot be shown: there are %d, and their indexes must ascend", g, i, len(components))
			}
			out.shown = append(out.shown, shownComponent{i, tx.nonce(g, i), components[i]})
		}
		out.count, out.root = len(components), top
		out.hidden = groupLeaf(g, out.count, top)
		out.proof = prove(nodePrefix, leaves, s.Components, nil)
	}
	return f, nil
}

// ID is the id of the transaction whose parts these are: it was computed from them.
func (f *Filtered) ID() Hash { return f.id }

// Count tells how many components a group has; false when the group does not tell.
func (f *Filtered) Count(g Group) (int, bool) {
	if g < 0 || g >= Groups || f.groups[g].count < 0 {
		return 0, false
	}
	return f.groups[g].count, true
}

// Shown returns the shown components of a group by index.
func (f *Filtered) Shown(g Group) map[int][]byte {
	out := map[int][]byte{}
	if g < 0 || g >= Groups {
		return out
	}
	for _, s := range f.groups[g].shown {
		out[s.index] = s.component
	}
	return out
}

// whole tells whether all components of a group are shown.
func (f *Filtered) whole(g Group) bool {
	return f.groups[g].count == len(f.groups[g].shown)
}

// ErrHidden is returned for what a filtered transaction does not show.
var ErrHidden = errors.New("it is not shown")

// components returns all components of a group.
func (f *Filtered) components(g Group) ([][]byte, error) {
	if !f.whole(g) {
		return nil, fmt.Errorf("%s: %w", g, ErrHidden)
	}
	var out [][]byte
	for _, s := range f.groups[g].shown {
		out = append(out, s.component)
	}
	return out, nil
}

// Metadata, which is always shown.
func (f *Filtered) Metadata() (Metadata, error) {
	var m Metadata
	all, err := f.components(GroupMetadata)
	if err != nil {
		return m, err
	}
	if len(all) != 1 {
		return m, fmt.Errorf("%w: %d components of metadata", ErrTransaction, len(all))
	}
	if err := read(GroupMetadata, 0, all[0], m.take, func(w *canonical.Writer) { m.put(w) }); err != nil {
		return m, err
	}
	if m.LedgerVersion != Version {
		return m, fmt.Errorf("%w: ledger version %d is not known here, %d is", ErrTransaction, m.LedgerVersion, Version)
	}
	return m, m.check()
}

// Notary returns the notary and the time window.
func (f *Filtered) Notary() (Notary, TimeWindow, error) {
	var n Notary
	var w TimeWindow
	all, err := f.components(GroupNotary)
	if err != nil {
		return n, w, err
	}
	if len(all) != 2 {
		return n, w, fmt.Errorf("%w: %d components of the notary", ErrTransaction, len(all))
	}
	return n, w, errors.Join(
		read(GroupNotary, 0, all[0], n.take, func(w *canonical.Writer) { n.put(w) }),
		read(GroupNotary, 1, all[1], w.take, func(out *canonical.Writer) { w.put(out) }),
	)
}

// Inputs returns the states that are consumed, References those that are looked at; all of the group must be shown.
func (f *Filtered) Inputs() ([]StateRef, error) { return f.refs(GroupInputs) }

// References returns the states that are looked at; all of the group must be shown.
func (f *Filtered) References() ([]StateRef, error) { return f.refs(GroupReferences) }

func (f *Filtered) refs(g Group) ([]StateRef, error) {
	all, err := f.components(g)
	if err != nil {
		return nil, err
	}
	var out []StateRef
	for i, b := range all {
		var ref StateRef
		err = errors.Join(err, read(g, i, b, func(r *canonical.Reader) { ref = takeStateRef(r) }, func(w *canonical.Writer) { ref.put(w) }))
		out = append(out, ref)
	}
	return out, err
}

// Output returns an output of which both components are shown.
func (f *Filtered) Output(index int) (State, error) {
	var s State
	info, ok := f.Shown(GroupOutputInfos)[index]
	content, both := f.Shown(GroupOutputs)[index]
	if !ok || !both {
		return s, fmt.Errorf("output %d: %w", index, ErrHidden)
	}
	if a, b := f.groups[GroupOutputInfos].count, f.groups[GroupOutputs].count; a != b {
		return s, fmt.Errorf("%w: %d output infos and %d outputs", ErrTransaction, a, b)
	}
	err := errors.Join(
		read(GroupOutputInfos, index, info, s.takeInfo, func(w *canonical.Writer) { s.putInfo(w) }),
		read(GroupOutputs, index, content, s.takeContent, func(w *canonical.Writer) { s.putContent(w) }),
	)
	if err != nil {
		return State{}, err
	}
	if err := s.Check(); err != nil {
		return State{}, fmt.Errorf("%w: output %d: %w", ErrTransaction, index, err)
	}
	return s, nil
}

// Encode returns the canonical encoding.
func (f *Filtered) Encode() []byte {
	return message(func(w *canonical.Writer) {
		for _, g := range f.groups {
			w.Message(1, g.put)
		}
	})
}

func (g filteredGroup) put(w *canonical.Writer) {
	if g.count < 0 {
		w.Blob(1, g.hidden[:])
		return
	}
	w.Uint(2, uint64(g.count)+1) // so that a count of 0 is told
	if len(g.shown) == 0 {
		w.Blob(3, g.root[:])
		return
	}
	for _, s := range g.shown {
		w.Message(4, func(w *canonical.Writer) {
			w.Uint(1, uint64(s.index))
			w.Blob(2, s.nonce[:])
			w.Blob(3, s.component)
		})
	}
	for _, h := range g.proof {
		w.Item(5, h[:])
	}
}

// DecodeFiltered reads a filtered transaction and computes its id from what is shown. What does not fit together is an
// [ErrProof] or [ErrTransaction]. Whether the id is the one that was asked for is the caller's to compare.
func DecodeFiltered(b []byte) (*Filtered, error) {
	f := &Filtered{}
	if len(b) > 2*MaxTransaction {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrTransaction, len(b), 2*MaxTransaction)
	}
	b = bytes.Clone(b)
	r := canonical.NewReader(b)
	n := 0
	r.Messages(1, func(r *canonical.Reader) {
		if n < int(Groups) {
			f.groups[n].take(r)
		}
		n++
	})
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTransaction, err)
	}
	if n != int(Groups) {
		return nil, fmt.Errorf("%w: %d groups, %d are right", ErrTransaction, n, Groups)
	}
	if !bytes.Equal(f.Encode(), b) {
		return nil, fmt.Errorf("%w: %w: a part has another length or place", ErrTransaction, canonical.ErrNotCanonical)
	}
	var tops [Groups]Hash
	for g := range f.groups {
		top, err := f.groups[g].top(Group(g))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", Group(g), err)
		}
		tops[g] = top
	}
	f.id = root(nodePrefix, tops[:])
	if _, err := f.Metadata(); err != nil {
		return nil, err
	}
	return f, nil
}

func (g *filteredGroup) take(r *canonical.Reader) {
	g.hidden = takeHash(r, 1)
	g.count = int(r.Uint32(2)) - 1
	g.root = takeHash(r, 3)
	r.Messages(4, func(r *canonical.Reader) {
		g.shown = append(g.shown, shownComponent{int(r.Uint32(1)), takeHash(r, 2), r.Blob(3)})
	})
	r.Items(5, func(b []byte) {
		var h Hash
		if len(b) == len(h) {
			h = Hash(b)
		}
		g.proof = append(g.proof, h)
	})
}

// top computes the group's leaf.
func (g *filteredGroup) top(group Group) (Hash, error) {
	switch {
	case g.count < 0:
		return g.hidden, nil
	case g.count > MaxComponents:
		return Hash{}, fmt.Errorf("%w: %d components, at most %d are allowed", ErrTransaction, g.count, MaxComponents)
	case len(g.shown) == 0 && g.count == 0 && g.root != root(nodePrefix, nil):
		return Hash{}, fmt.Errorf("%w: a root of no components", ErrProof)
	case len(g.shown) == 0:
	default:
		leaves := make([]proven, len(g.shown))
		for i, s := range g.shown {
			leaves[i] = proven{s.index, leaf(s.nonce, s.component)}
		}
		var err error
		if g.root, err = rootOf(nodePrefix, g.count, leaves, g.proof); err != nil {
			return Hash{}, err
		}
	}
	g.hidden = groupLeaf(group, g.count, g.root)
	return g.hidden, nil
}

// ForNotary is what a notary that does not verify contracts must see: inputs, references, the notary with the time window,
// and how many outputs there are.
func ForNotary() map[Group]Show {
	return map[Group]Show{GroupNotary: {All: true}, GroupInputs: {All: true}, GroupReferences: {All: true}, GroupOutputs: {Count: true}}
}

// ForOutputs is what proves that outputs are a transaction's, to whoever spends or looks at them: the notary and these
// outputs.
func ForOutputs(indexes ...int) map[Group]Show {
	slices.Sort(indexes)
	indexes = slices.Compact(indexes)
	return map[Group]Show{GroupNotary: {All: true}, GroupOutputInfos: {Components: indexes}, GroupOutputs: {Components: indexes}}
}
