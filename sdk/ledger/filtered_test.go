package ledger

import (
	"bytes"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/internal/canonical"
)

func filter(t testing.TB, tx *Transaction, show map[Group]Show) *Filtered {
	t.Helper()
	f, err := tx.Filter(show)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeFiltered(f.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != tx.ID() || !bytes.Equal(again.Encode(), f.Encode()) {
		t.Fatalf("what is shown of %s proves to be of %s", tx.ID(), again.ID())
	}
	return again
}

// A notary sees what it needs and no output.
func TestForNotary(t *testing.T) {
	c := pay()
	tx := mustNew(t, c, salt("n"))
	f := filter(t, tx, ForNotary())
	inputs, err1 := f.Inputs()
	references, err2 := f.References()
	notary, window, err3 := f.Notary()
	metadata, err4 := f.Metadata()
	n, told := f.Count(GroupOutputs)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(inputs, c.Inputs) || !slices.Equal(references, c.References) || notary.Name != c.Notary.Name || window != c.Window ||
		metadata.Packages[0] != c.Metadata.Packages[0] || n != 3 || !told {
		t.Errorf("it shows %v, %v, %v, %v, %v, %d", inputs, references, notary, window, metadata, n)
	}
	raw := f.Encode()
	for _, secret := range []string{"Alice", "Bob", "EUR", "amount", "pay", "Token"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("it tells of %s", secret)
		}
	}
	s := tx.Salt()
	if bytes.Contains(raw, s[:]) {
		t.Error("it tells the salt, from which everything can be guessed")
	}
	if _, told := f.Count(GroupCommands); told {
		t.Error("it tells how many commands there are")
	}
	if _, err := f.Output(0); !errors.Is(err, ErrHidden) {
		t.Errorf("output 0: %v", err)
	}
}

func TestForOutputs(t *testing.T) {
	c := pay()
	f := filter(t, mustNew(t, c, salt("o")), ForOutputs(2, 0, 2))
	for _, i := range []int{0, 2} {
		s, err := f.Output(i)
		if err != nil || s.Type != c.Outputs[i].Type || !bytes.Equal(s.Payload, c.Outputs[i].Payload) {
			t.Errorf("output %d: %+v, %v", i, s, err)
		}
	}
	if _, err := f.Output(1); !errors.Is(err, ErrHidden) {
		t.Errorf("output 1: %v", err)
	}
	if _, err := f.Inputs(); !errors.Is(err, ErrHidden) {
		t.Errorf("inputs: %v", err)
	}
	for _, indexes := range [][]int{{3}, {-1}} {
		if _, err := mustNew(t, c, salt("o")).Filter(ForOutputs(indexes...)); err == nil {
			t.Errorf("outputs %v were shown", indexes)
		}
	}
}

// An output is proven where there are as many infos as contents: whoever decodes such a transaction in whole refuses it, too.
func TestOutputsOfTwoCounts(t *testing.T) {
	for _, g := range []Group{GroupOutputInfos, GroupOutputs} {
		whole := mustNew(t, pay(), salt("u"))
		uneven := &Transaction{salt: whole.salt, groups: whole.groups}
		uneven.groups[g] = uneven.groups[g][:2]
		uneven.id = uneven.hash()
		if _, err := filter(t, whole, ForOutputs(0)).Output(0); err != nil {
			t.Error(err)
		}
		if s, err := filter(t, uneven, ForOutputs(0)).Output(0); !errors.Is(err, ErrTransaction) {
			t.Errorf("two %s of three: %+v, %v", g, s, err)
		}
	}
}

// Any choice of parts proves to be of the transaction; parts of another never do.
func TestFilterAnything(t *testing.T) {
	rnd := mathrand.New(mathrand.NewPCG(3, 4))
	tx, other := mustNew(t, pay(), salt("1")), mustNew(t, pay(), salt("2"))
	for range 300 {
		show := map[Group]Show{}
		for g := range Groups {
			switch rnd.IntN(4) {
			case 0:
				show[g] = Show{All: true}
			case 1:
				show[g] = Show{Count: true}
			case 2:
				var indexes []int
				for i := range tx.groups[g] {
					if rnd.IntN(2) == 0 {
						indexes = append(indexes, i)
					}
				}
				show[g] = Show{Components: indexes}
			}
		}
		f, o := filter(t, tx, show), filter(t, other, show)
		// A forger puts a part of another transaction into this one.
		g := Group(rnd.IntN(int(Groups)))
		forged := *f
		forged.groups[g] = o.groups[g]
		if got, err := DecodeFiltered(forged.Encode()); err == nil && got.ID() == tx.ID() {
			t.Fatalf("%s of another transaction passes", g)
		}
	}
}

// Each way of lying about a group that its encoding allows.
func TestForgedParts(t *testing.T) {
	tx := mustNew(t, pay(), salt("f"))
	for name, spoil := range map[string]func(*Filtered){
		"component": func(f *Filtered) { f.groups[GroupInputs].shown[0].component[3] ^= 1 },
		"nonce":     func(f *Filtered) { f.groups[GroupInputs].shown[0].nonce[0] ^= 1 },
		"fewer inputs": func(f *Filtered) {
			f.groups[GroupInputs].count = 1
			f.groups[GroupInputs].shown = f.groups[GroupInputs].shown[:1]
		},
		"inputs left out": func(f *Filtered) { f.groups[GroupInputs] = filteredGroup{count: 0, root: root(nodePrefix, nil)} },
		"more outputs":    func(f *Filtered) { f.groups[GroupOutputs].count++ },
		"outputs' root":   func(f *Filtered) { f.groups[GroupOutputs].root[0] ^= 1 },
		"hidden leaf":     func(f *Filtered) { f.groups[GroupCommands].hidden[0] ^= 1 },
		"inputs exchanged": func(f *Filtered) {
			s := f.groups[GroupInputs].shown
			s[0].component, s[1].component = s[1].component, s[0].component
		},
		"groups exchanged": func(f *Filtered) {
			f.groups[GroupInputs], f.groups[GroupReferences] = f.groups[GroupReferences], f.groups[GroupInputs]
		},
		"root of nothing": func(f *Filtered) { f.groups[GroupOutputs].count = 0 },
		"metadata hidden": func(f *Filtered) {
			f.groups[GroupMetadata] = filteredGroup{count: -1, hidden: f.groups[GroupMetadata].hidden}
		},
		"metadata's number": func(f *Filtered) { f.groups[GroupMetadata].shown[0].component[1] ^= 3 },
	} {
		f := filter(t, tx, ForNotary())
		spoil(f)
		got, err := DecodeFiltered(f.Encode())
		if err == nil && got.ID() == tx.ID() {
			t.Errorf("%s: it passes", name)
		}
	}
	f := filter(t, tx, ForNotary())
	huge := *f
	huge.groups[GroupOutputs].count = MaxComponents + 1
	if _, err := DecodeFiltered(huge.Encode()); !errors.Is(err, ErrTransaction) {
		t.Errorf("too many components: %v", err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("x"), "eight groups": f.Encode()[:len(f.Encode())-34], "too long": make([]byte, 2*MaxTransaction+1),
	} {
		if _, err := DecodeFiltered(b); !errors.Is(err, ErrTransaction) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An encoding that another reader might take for the same transaction is refused.
func TestOneEncoding(t *testing.T) {
	tx := mustNew(t, pay(), salt("c"))
	spoil := func(g Group, component []byte) []byte {
		groups := tx.groups
		groups[g] = append([][]byte{component}, groups[g][1:]...)
		return (&Transaction{salt: tx.salt, groups: groups}).Encode()
	}
	for name, b := range map[string][]byte{
		"short hash":       spoil(GroupInputs, append([]byte{0x0a, 31}, make([]byte, 31)...)),
		"no hash":          spoil(GroupInputs, []byte{0x10, 1}),
		"index 0 written":  spoil(GroupInputs, append(slices.Clone(tx.groups[GroupInputs][0]), 0x10, 0)),
		"unknown field":    spoil(GroupSignatories, append(slices.Clone(tx.groups[GroupSignatories][0]), 0x78, 1)),
		"text as no UTF-8": spoil(GroupCommandInfos, []byte{0x0a, 1, 0xff, 0x10, 1}),
		"empty":            nil,
		"ten groups":       append(tx.Encode(), 0x12, 0),
		"salt of 31 bytes": append([]byte{0x0a, 31}, append(make([]byte, 31), tx.Encode()[34:]...)...),
		"something behind": append(tx.Encode(), 0),
		"no salt":          tx.Encode()[34:],
		"metadata missing": (&Transaction{salt: tx.salt}).Encode(),
		"half of an output": func() []byte {
			g := tx.groups
			g[GroupOutputInfos] = g[GroupOutputInfos][:1]
			return (&Transaction{salt: tx.salt, groups: g}).Encode()
		}(),
	} {
		if _, err := Decode(b); !errors.Is(err, ErrTransaction) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(mustNew(f, pay(), salt("fuzz")).Encode())
	small := pay()
	small.Inputs, small.References, small.Outputs = nil, nil, small.Outputs[:1]
	f.Add(mustNew(f, small, salt("small")).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrTransaction) || strings.Contains(err.Error(), "%!") {
				t.Fatalf("%v", err)
			}
			return
		}
		if !bytes.Equal(tx.Encode(), b) {
			t.Fatal("two encodings of one transaction")
		}
		again, err := New(tx.Content(), tx.Salt())
		if err != nil || again.ID() != tx.ID() {
			t.Fatalf("made again of what it says it is another: %v", err)
		}
		filter(t, tx, ForNotary())
	})
}

func FuzzDecodeFiltered(f *testing.F) {
	tx := mustNew(f, pay(), salt("fuzz"))
	for _, show := range []map[Group]Show{ForNotary(), ForOutputs(0), ForOutputs(1, 2), {}} {
		f.Add(filter(f, tx, show).Encode())
	}
	known := map[Group][][]byte{}
	for g := range Groups {
		known[g] = tx.groups[g]
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeFiltered(b)
		if err != nil {
			if !errors.Is(err, ErrTransaction) && !errors.Is(err, ErrProof) && !errors.Is(err, canonical.ErrNotCanonical) && !strings.Contains(err.Error(), "package") {
				t.Fatalf("%v", err)
			}
			return
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Fatal("two encodings of one thing")
		}
		if got.ID() != tx.ID() {
			return
		}
		for g := range Groups {
			for i, c := range got.Shown(g) {
				if i >= len(known[g]) || !bytes.Equal(c, known[g][i]) {
					t.Fatalf("%s %d is not the transaction's", g, i)
				}
			}
		}
	})
}

func FuzzDecodeSignature(f *testing.F) {
	f.Add(Signature{By: key("a"), Bytes: []byte("x"), Metadata: SignatureMetadata{Scheme: "EdDSA", KeyID: h("a")}, Proof: &BatchProof{Index: 1, Size: 2, Hashes: []Hash{h("b")}}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSignature(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Encode(), b) {
			t.Fatal("two encodings of one signature")
		}
		if err := s.Verify(h("x")); err == nil {
			t.Fatal("a signature by nobody holds")
		}
	})
}

// tokens is a transaction of n inputs and n outputs.
func tokens(n int) Content {
	c := pay()
	c.Inputs, c.Outputs = nil, nil
	for i := range n {
		c.Inputs = append(c.Inputs, StateRef{h("issue"), uint32(i)})
		c.Outputs = append(c.Outputs, pay().Outputs[0])
	}
	return c
}

func BenchmarkNew(b *testing.B) {
	for name, n := range map[string]int{"2 inputs and outputs": 2, "100 inputs and outputs": 100} {
		c := tokens(n)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				mustNew(b, c, salt("x"))
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := mustNew(b, tokens(2), salt("x")).Encode()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeForNotary(b *testing.B) {
	raw := filter(b, mustNew(b, tokens(2), salt("x")), ForNotary()).Encode()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := DecodeFiltered(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifySignature(b *testing.B) {
	for name, curve := range map[string]bool{"EdDSA": false, "ECDSA P-256": true} {
		public, scheme, sign := signer(b, curve)
		ids := make([]Hash, 500)
		for i := range ids {
			ids[i][0], ids[i][1] = byte(i), byte(i>>8)
		}
		root, proofs, err := BatchRoot(ids)
		if err != nil {
			b.Fatal(err)
		}
		m := SignatureMetadata{TimeUs: 1, Scheme: scheme, KeyID: KeyID(public)}
		s := Signature{By: public, Bytes: sign(SignedBytes(root, m)), Metadata: m, Proof: proofs[300]}
		b.Run(name+", of a batch of 500", func(b *testing.B) {
			for b.Loop() {
				if err := s.Verify(ids[300]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
