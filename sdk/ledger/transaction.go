package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/sdk/internal/canonical"
)

// Version is the version of the ledger's rules that this package makes and reads.
const Version = 1

// Group is a kind of component.
type Group int

// The groups, in the order in which they are hashed.
const (
	GroupMetadata     Group = iota // one component
	GroupNotary                    // the notary, the time window
	GroupSignatories               // keys that must sign, beside the notary's
	GroupOutputInfos               // what each output is
	GroupCommandInfos              // what each command is
	GroupInputs                    // states that are consumed
	GroupReferences                // states that are looked at
	GroupOutputs                   // what each output holds
	GroupCommands                  // what each command says
	Groups                         // how many groups there are
)

// String is the group's name.
func (g Group) String() string {
	names := [...]string{"metadata", "notary", "signatories", "output infos", "command infos", "inputs", "references", "outputs", "commands"}
	if g < 0 || int(g) >= len(names) {
		return fmt.Sprintf("group %d", int(g))
	}
	return names[g]
}

// Metadata says under which rules and by which code a transaction is verified.
type Metadata struct {
	// LedgerVersion is [Version].
	LedgerVersion uint32
	// PlatformVersion is that of the platform on which it was built.
	PlatformVersion uint32
	// GroupParameters is the hash of the group's parameters.
	GroupParameters Hash
	// Packages are those whose contracts hold.
	Packages []Package
}

// Package is a package of code.
type Package struct {
	Name, Version string
	// Checksum is the SHA-256 of its file, Signer the summary hash of its signers.
	Checksum, Signer Hash
}

// Notary decides which of two transactions that consume one state is the valid one.
type Notary struct {
	// Name is the X.500 name of the notary service.
	Name string
	// Key is what it signs with.
	Key PublicKey
}

// TimeWindow is when a notary may accept a transaction: From ≤ now < Until, in microseconds since 1970. From may be 0, for
// none; Until is always there.
type TimeWindow struct{ FromUs, UntilUs int64 }

// Contains tells whether a moment lies within.
func (t TimeWindow) Contains(at time.Time) bool {
	us := at.UnixMicro()
	return us >= t.FromUs && us < t.UntilUs
}

// Command says what a transaction does, for contracts.
type Command struct {
	// Type is the application's name for it, TypeVersion counts its versions from 1.
	Type        string
	TypeVersion uint32
	// Payload is JSON, or empty.
	Payload []byte
}

// Salt keeps hidden components from being guessed: 32 bytes that nobody can predict.
type Salt [32]byte

// Content is what a transaction says, typed.
type Content struct {
	Metadata    Metadata
	Notary      Notary
	Window      TimeWindow
	Signatories []PublicKey
	Inputs      []StateRef
	References  []StateRef
	Outputs     []State
	Commands    []Command
}

// Transaction is one in its canonical form. The zero value is none; [New] and [Decode] make them, always well-formed.
type Transaction struct {
	salt    Salt
	groups  [Groups][][]byte // parts of encoded
	content Content
	id      Hash
	encoded []byte
}

// ErrTransaction is what every error about what a transaction says is.
var ErrTransaction = errors.New("transaction")

// New makes the transaction of a content. The salt must come from a source that nobody can predict, such as the random
// bytes of a flow. What is wrong with the content is an [ErrTransaction] that names the place.
func New(c Content, salt Salt) (*Transaction, error) {
	if salt == (Salt{}) {
		return nil, fmt.Errorf("%w: the salt is all zero", ErrTransaction)
	}
	tx := &Transaction{salt: salt, groups: c.encode(), content: c}
	if err := tx.check(); err != nil {
		return nil, err
	}
	// What the caller keeps of the content and changes must not change the transaction.
	return decode(tx.encode())
}

func message(put func(*canonical.Writer)) []byte { return sized(smallMessage, put) }

// smallMessage is room for most components.
const smallMessage = 128

func sized(n int, put func(*canonical.Writer)) []byte {
	w := canonical.Sized(n)
	put(&w)
	return w.Bytes()
}

func (c Content) encode() (g [Groups][][]byte) {
	g[GroupMetadata] = [][]byte{message(c.Metadata.put)}
	g[GroupNotary] = [][]byte{message(c.Notary.put), message(c.Window.put)}
	for _, k := range c.Signatories {
		g[GroupSignatories] = append(g[GroupSignatories], message(func(w *canonical.Writer) { w.Blob(1, k) }))
	}
	for _, s := range c.Outputs {
		g[GroupOutputInfos] = append(g[GroupOutputInfos], message(s.putInfo))
		g[GroupOutputs] = append(g[GroupOutputs], message(s.putContent))
	}
	for _, x := range c.Commands {
		g[GroupCommandInfos] = append(g[GroupCommandInfos], message(func(w *canonical.Writer) {
			w.Text(1, x.Type)
			w.Uint(2, uint64(x.TypeVersion))
		}))
		g[GroupCommands] = append(g[GroupCommands], message(func(w *canonical.Writer) { w.Blob(1, x.Payload) }))
	}
	for _, r := range c.Inputs {
		g[GroupInputs] = append(g[GroupInputs], message(r.put))
	}
	for _, r := range c.References {
		g[GroupReferences] = append(g[GroupReferences], message(r.put))
	}
	return g
}

func (m Metadata) put(w *canonical.Writer) {
	w.Uint(1, uint64(m.LedgerVersion))
	w.Uint(2, uint64(m.PlatformVersion))
	w.Blob(3, hashOrNone(m.GroupParameters))
	for _, p := range m.Packages {
		w.Message(4, func(w *canonical.Writer) {
			w.Text(1, p.Name)
			w.Text(2, p.Version)
			w.Blob(3, hashOrNone(p.Checksum))
			w.Blob(4, hashOrNone(p.Signer))
		})
	}
}

func (m *Metadata) take(r *canonical.Reader) {
	m.LedgerVersion, m.PlatformVersion, m.GroupParameters = r.Uint32(1), r.Uint32(2), takeHash(r, 3)
	r.Messages(4, func(r *canonical.Reader) {
		m.Packages = append(m.Packages, Package{r.Text(1), r.Text(2), takeHash(r, 3), takeHash(r, 4)})
	})
}

func (n Notary) put(w *canonical.Writer) {
	w.Text(1, n.Name)
	w.Blob(2, n.Key)
}

func (n *Notary) take(r *canonical.Reader) { n.Name, n.Key = r.Text(1), r.Blob(2) }

func (t TimeWindow) put(w *canonical.Writer) {
	w.Int(1, t.FromUs)
	w.Int(2, t.UntilUs)
}

func (t *TimeWindow) take(r *canonical.Reader) { t.FromUs, t.UntilUs = r.Int(1), r.Int(2) }

// Encode returns the transaction's canonical encoding, salt included: who has it can show all of it.
func (tx *Transaction) Encode() []byte { return bytes.Clone(tx.encoded) }

func (tx *Transaction) encode() []byte {
	n := 2 + len(tx.salt)
	for _, g := range tx.groups {
		n += 1 + 5
		for _, c := range g {
			n += 1 + 5 + len(c) // tag and length of each, at most
		}
	}
	return sized(n, func(w *canonical.Writer) {
		w.Blob(1, tx.salt[:])
		for _, g := range tx.groups {
			w.Message(2, func(w *canonical.Writer) {
				for _, c := range g {
					w.Item(1, c)
				}
			})
		}
	})
}

// Decode reads a transaction. What is not the one encoding of a well-formed transaction is an [ErrTransaction].
func Decode(b []byte) (*Transaction, error) { return decode(bytes.Clone(b)) }

// decode is [Decode] of bytes that nobody else has. There is one encoding of a transaction, so it is this.
func decode(b []byte) (*Transaction, error) {
	tx := &Transaction{encoded: b}
	r := canonical.NewReader(b)
	salt, n := r.Blob(1), 0
	r.Messages(2, func(r *canonical.Reader) {
		if n < int(Groups) {
			r.Items(1, func(c []byte) { tx.groups[n] = append(tx.groups[n], c) })
		}
		n++
	})
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTransaction, err)
	}
	if len(salt) != len(tx.salt) || n != int(Groups) {
		return nil, fmt.Errorf("%w: a salt of %d bytes and %d groups, %d and %d are right", ErrTransaction, len(salt), n, len(tx.salt), Groups)
	}
	if tx.salt = Salt(salt); tx.salt == (Salt{}) {
		return nil, fmt.Errorf("%w: the salt is all zero", ErrTransaction)
	}
	var err error
	if tx.content, err = decodeContent(tx.groups); err != nil {
		return nil, err
	}
	if err := tx.check(); err != nil {
		return nil, err
	}
	tx.id = tx.hash()
	return tx, nil
}

// read decodes a component and refuses what is not its one encoding.
func read(g Group, i int, b []byte, take func(*canonical.Reader), put func(*canonical.Writer)) error {
	r := canonical.NewReader(b)
	take(r)
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: %s %d: %w", ErrTransaction, g, i, err)
	}
	if !bytes.Equal(sized(len(b), put), b) {
		return fmt.Errorf("%w: %s %d: %w: a hash of another length than %d bytes", ErrTransaction, g, i, canonical.ErrNotCanonical, len(Hash{}))
	}
	return nil
}

func decodeContent(g [Groups][][]byte) (Content, error) {
	var c Content
	if len(g[GroupMetadata]) != 1 || len(g[GroupNotary]) != 2 {
		return c, fmt.Errorf("%w: %d components of metadata and %d of the notary, 1 and 2 are right", ErrTransaction, len(g[GroupMetadata]), len(g[GroupNotary]))
	}
	if a, b := len(g[GroupOutputInfos]), len(g[GroupOutputs]); a != b {
		return c, fmt.Errorf("%w: %d output infos and %d outputs", ErrTransaction, a, b)
	}
	if a, b := len(g[GroupCommandInfos]), len(g[GroupCommands]); a != b {
		return c, fmt.Errorf("%w: %d command infos and %d commands", ErrTransaction, a, b)
	}
	err := errors.Join(
		read(GroupMetadata, 0, g[GroupMetadata][0], c.Metadata.take, func(w *canonical.Writer) { c.Metadata.put(w) }),
		read(GroupNotary, 0, g[GroupNotary][0], c.Notary.take, func(w *canonical.Writer) { c.Notary.put(w) }),
		read(GroupNotary, 1, g[GroupNotary][1], c.Window.take, func(w *canonical.Writer) { c.Window.put(w) }),
	)
	for i, b := range g[GroupSignatories] {
		var k PublicKey
		err = errors.Join(err, read(GroupSignatories, i, b, func(r *canonical.Reader) { k = r.Blob(1) }, func(w *canonical.Writer) { w.Blob(1, k) }))
		c.Signatories = append(c.Signatories, k)
	}
	for i := range g[GroupOutputs] {
		var s State
		err = errors.Join(err, read(GroupOutputInfos, i, g[GroupOutputInfos][i], s.takeInfo, func(w *canonical.Writer) { s.putInfo(w) }),
			read(GroupOutputs, i, g[GroupOutputs][i], s.takeContent, func(w *canonical.Writer) { s.putContent(w) }))
		c.Outputs = append(c.Outputs, s)
	}
	for i := range g[GroupCommands] {
		var x Command
		err = errors.Join(err,
			read(GroupCommandInfos, i, g[GroupCommandInfos][i], func(r *canonical.Reader) { x.Type, x.TypeVersion = r.Text(1), r.Uint32(2) }, func(w *canonical.Writer) {
				w.Text(1, x.Type)
				w.Uint(2, uint64(x.TypeVersion))
			}),
			read(GroupCommands, i, g[GroupCommands][i], func(r *canonical.Reader) { x.Payload = r.Blob(1) }, func(w *canonical.Writer) { w.Blob(1, x.Payload) }))
		c.Commands = append(c.Commands, x)
	}
	refs := func(group Group) (out []StateRef) {
		for i, b := range g[group] {
			var ref StateRef
			err = errors.Join(err, read(group, i, b, func(r *canonical.Reader) { ref = takeStateRef(r) }, func(w *canonical.Writer) { ref.put(w) }))
			out = append(out, ref)
		}
		return out
	}
	c.Inputs, c.References = refs(GroupInputs), refs(GroupReferences)
	return c, err
}

// check holds the rules that need nothing but the transaction.
func (tx *Transaction) check() error {
	c, total := tx.content, 0
	for g, components := range tx.groups {
		if len(components) > MaxComponents {
			return fmt.Errorf("%w: %d components of %s, at most %d are allowed", ErrTransaction, len(components), Group(g), MaxComponents)
		}
		for i, b := range components {
			if total += len(b); len(b) > MaxComponent {
				return fmt.Errorf("%w: %s %d has %d bytes, at most %d are allowed", ErrTransaction, Group(g), i, len(b), MaxComponent)
			}
		}
	}
	switch {
	case total > MaxTransaction:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrTransaction, total, MaxTransaction)
	case c.Metadata.LedgerVersion != Version:
		return fmt.Errorf("%w: ledger version %d is not known here, %d is", ErrTransaction, c.Metadata.LedgerVersion, Version)
	case len(c.Notary.Key) == 0:
		return fmt.Errorf("%w: the notary has no key", ErrTransaction)
	case c.Window.FromUs < 0 || c.Window.UntilUs <= c.Window.FromUs:
		return fmt.Errorf("%w: the time window from %d until %d holds no moment", ErrTransaction, c.Window.FromUs, c.Window.UntilUs)
	case len(c.Signatories) == 0:
		return fmt.Errorf("%w: it has no signatory", ErrTransaction)
	case len(c.Commands) == 0:
		return fmt.Errorf("%w: it has no command", ErrTransaction)
	case len(c.Inputs)+len(c.Outputs) == 0:
		return fmt.Errorf("%w: it has no input and no output", ErrTransaction)
	}
	err := name("name", c.Notary.Name, true)
	if err != nil {
		return fmt.Errorf("%w: notary: %w", ErrTransaction, err)
	}
	if err := c.Metadata.check(); err != nil {
		return fmt.Errorf("%w: metadata: %w", ErrTransaction, err)
	}
	seen := map[string]bool{}
	for i, k := range c.Signatories {
		if len(k) == 0 || seen[string(k)] {
			return fmt.Errorf("%w: signatory %d is empty or there twice", ErrTransaction, i)
		}
		seen[string(k)] = true
	}
	if err := checkRefs(c.Inputs, c.References); err != nil {
		return fmt.Errorf("%w: %w", ErrTransaction, err)
	}
	tags := map[string]int{}
	for i, s := range c.Outputs {
		if err := s.Check(); err != nil {
			return fmt.Errorf("%w: output %d: %w", ErrTransaction, i, err)
		}
		tags[s.Encumbrance]++
	}
	for tag, n := range tags {
		if tag != "" && n < 2 {
			return fmt.Errorf("%w: one output alone has the encumbrance %q, which ties two or more", ErrTransaction, tag)
		}
	}
	for i, x := range c.Commands {
		switch err := name("type", x.Type, true); {
		case err != nil:
			return fmt.Errorf("%w: command %d: %w", ErrTransaction, i, err)
		case x.TypeVersion == 0:
			return fmt.Errorf("%w: command %d: its type has no version, they begin with 1", ErrTransaction, i)
		case len(x.Payload) > 0 && (!utf8.Valid(x.Payload) || !json.Valid(x.Payload)):
			return fmt.Errorf("%w: command %d: its payload is not JSON in UTF-8", ErrTransaction, i)
		}
	}
	return nil
}

func (m Metadata) check() error {
	if len(m.Packages) == 0 {
		return errors.New("it names no package, so nobody's rules would hold")
	}
	seen := map[string]bool{}
	for i, p := range m.Packages {
		if err := errors.Join(name("name", p.Name, true), name("version", p.Version, true)); err != nil {
			return fmt.Errorf("package %d: %w", i, err)
		}
		if p.Checksum == (Hash{}) || p.Signer == (Hash{}) {
			return fmt.Errorf("package %s: it has no checksum or no signer", p.Name)
		}
		if seen[p.Name] {
			return fmt.Errorf("package %s is there twice", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// checkRefs refuses what is consumed or looked at twice, or both.
func checkRefs(inputs, references []StateRef) error {
	seen := make(map[StateRef]string, len(inputs)+len(references))
	for _, list := range []struct {
		what string
		refs []StateRef
	}{{"input", inputs}, {"reference", references}} {
		for _, r := range list.refs {
			if before := seen[r]; before != "" {
				return fmt.Errorf("state %s is %s and %s", r, before, list.what)
			}
			seen[r] = list.what
		}
	}
	return nil
}

// ID names the transaction: it commits to every component.
func (tx *Transaction) ID() Hash { return tx.id }

// Content is what the transaction says; it must not be changed.
func (tx *Transaction) Content() Content { return tx.content }

// Salt is what its hashes are salted with.
func (tx *Transaction) Salt() Salt { return tx.salt }

// Output names an output of the transaction.
func (tx *Transaction) Output(index int) StateRef {
	return StateRef{Transaction: tx.id, Index: uint32(index)}
}

// Dependencies are the transactions that made the states it consumes or looks at, each once, in order.
func (tx *Transaction) Dependencies() []Hash {
	var out []Hash
	for _, r := range slices.Concat(tx.content.Inputs, tx.content.References) {
		out = append(out, r.Transaction)
	}
	slices.SortFunc(out, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

func (tx *Transaction) hash() Hash {
	var tops [Groups]Hash
	for g, components := range tx.groups {
		tops[g] = groupLeaf(Group(g), len(components), root(nodePrefix, tx.leaves(Group(g))))
	}
	return root(nodePrefix, tops[:])
}

func (tx *Transaction) leaves(g Group) []Hash {
	out := make([]Hash, len(tx.groups[g]))
	for i, b := range tx.groups[g] {
		out[i] = leaf(tx.nonce(g, i), b)
	}
	return out
}

func (tx *Transaction) nonce(g Group, index int) Hash {
	var b [1 + len(Salt{}) + 8]byte
	b[0] = noncePrefix
	copy(b[1:], tx.salt[:])
	binary.BigEndian.PutUint32(b[1+len(Salt{}):], uint32(g))
	binary.BigEndian.PutUint32(b[5+len(Salt{}):], uint32(index))
	return sha256.Sum256(b[:])
}

func leaf(nonce Hash, component []byte) Hash {
	var small [512]byte // of most components; on the stack, which a hash that is written to is not
	b := append(append(append(small[:0], leafPrefix), nonce[:]...), component...)
	return sha256.Sum256(b)
}

func groupLeaf(g Group, count int, root Hash) Hash {
	var b [1 + 8 + sha256.Size]byte
	b[0] = groupPrefix
	binary.BigEndian.PutUint32(b[1:], uint32(g))
	binary.BigEndian.PutUint32(b[5:], uint32(count))
	copy(b[9:], root[:])
	return sha256.Sum256(b[:])
}
