package ledger

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/golden.json anew")

// h is a hash that tests name.
func h(s string) Hash { return sha256.Sum256([]byte(s)) }

func key(s string) PublicKey { return PublicKey("key " + s) }

// pay is a transaction as an application makes it.
func pay() Content {
	return Content{
		Metadata: Metadata{
			LedgerVersion: Version, PlatformVersion: 50200, GroupParameters: h("parameters"),
			Packages: []Package{{Name: "tokens", Version: "1.0", Checksum: h("file"), Signer: h("signer")}},
		},
		Notary:      Notary{Name: "O=Notary, L=London, C=GB", Key: key("notary")},
		Window:      TimeWindow{FromUs: 1_700_000_000_000_000, UntilUs: 1_700_000_060_000_000},
		Signatories: []PublicKey{key("Alice"), key("Bob")},
		Inputs:      []StateRef{{h("issue"), 0}, {h("issue"), 3}},
		References:  []StateRef{{h("rates"), 1}},
		Outputs: []State{
			{
				Type: "Token", TypeVersion: 1, Contract: "Token", Payload: []byte(`{"amount":"10"}`), Participants: []PublicKey{key("Bob")},
				Token: &Token{Type: "cash", Symbol: "EUR", Issuer: h("Bank"), Amount: "10", Owner: h("Bob"), Tag: "fast", Priority: 7},
			},
			{Type: "Token", TypeVersion: 1, Contract: "Token", Encumbrance: "pair", Payload: []byte(`{"amount":"0.25"}`), Participants: []PublicKey{key("Alice"), key("Bob")}},
			{Type: "Note", TypeVersion: 2, Contract: "Note", Encumbrance: "pair", Payload: []byte(`"ä"`), Participants: []PublicKey{key("Alice")}},
		},
		Commands: []Command{{Type: "pay", TypeVersion: 1, Payload: []byte(`{}`)}, {Type: "note", TypeVersion: 1}},
	}
}

func salt(s string) Salt { return Salt(h("salt " + s)) }

func mustNew(t testing.TB, c Content, s Salt) *Transaction {
	t.Helper()
	tx, err := New(c, s)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// The bytes and ids of version 1 never change.
func TestGolden(t *testing.T) {
	type vector struct{ Encoding, ID, ForNotary, ForOutput, Signed, BatchRoot string }
	small := pay()
	small.Inputs, small.References, small.Commands, small.Outputs = nil, nil, small.Commands[:1], small.Outputs[:1]
	small.Outputs[0].Token = nil
	small.Window.FromUs = 0
	got := map[string]vector{}
	for name, c := range map[string]Content{"pay": pay(), "small": small} {
		tx := mustNew(t, c, salt(name))
		notary, err := tx.Filter(ForNotary())
		if err != nil {
			t.Fatal(err)
		}
		output, err := tx.Filter(ForOutputs(0))
		if err != nil {
			t.Fatal(err)
		}
		signed := SignedBytes(tx.ID(), SignatureMetadata{TimeUs: 1, Scheme: "EdDSA", KeyID: KeyID(key("Alice")), PlatformVersion: 50200})
		root, _, err := BatchRoot([]Hash{tx.ID(), h("b"), h("c")})
		if err != nil {
			t.Fatal(err)
		}
		digest := func(b []byte) string { d := sha256.Sum256(b); return hex.EncodeToString(d[:]) }
		got[name] = vector{hex.EncodeToString(tx.Encode()), tx.ID().String(), digest(notary.Encode()), digest(output.Encode()), hex.EncodeToString(signed), root.String()}
	}
	raw, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/golden.json", append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(raw, '\n'), want) {
		t.Errorf("the vectors have changed: old transactions would lose their ids\n%s", raw)
	}
}

// The id is what the package comment says, computed here once more in the plainest way.
func TestIDByTheBook(t *testing.T) {
	tx := mustNew(t, pay(), salt("book"))
	hash := func(parts ...[]byte) []byte {
		s := sha256.Sum256(bytes.Join(parts, nil))
		return s[:]
	}
	u32 := func(n int) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }
	var tree func(leaves [][]byte) []byte
	tree = func(leaves [][]byte) []byte {
		switch len(leaves) {
		case 0:
			return hash()
		case 1:
			return leaves[0]
		}
		k := 1
		for k*2 < len(leaves) {
			k *= 2
		}
		return hash([]byte{1}, tree(leaves[:k]), tree(leaves[k:]))
	}
	var tops [][]byte
	s := tx.Salt()
	for g, components := range tx.groups {
		var leaves [][]byte
		for i, c := range components {
			leaves = append(leaves, hash([]byte{0}, hash([]byte{2}, s[:], u32(g), u32(i)), c))
		}
		tops = append(tops, hash([]byte{3}, u32(g), u32(len(components)), tree(leaves)))
	}
	if id := tx.ID(); !bytes.Equal(id[:], tree(tops)) {
		t.Errorf("the id is %s, by the book %X", id, tree(tops))
	}
}

func TestContentSurvives(t *testing.T) {
	c := pay()
	tx := mustNew(t, c, salt("x"))
	again, err := Decode(tx.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Content(), c) || again.ID() != tx.ID() || again.Salt() != tx.Salt() {
		t.Errorf("read again it is %+v, want %+v", again.Content(), c)
	}
	// What the caller does to its content afterwards changes nothing.
	c.Outputs[0].Payload[2] = 'X'
	if tx.hash() != tx.ID() || string(tx.Content().Outputs[0].Payload) != `{"amount":"10"}` {
		t.Error("the transaction changed with what it was made of")
	}
	if d := tx.Dependencies(); len(d) != 2 || !slices.Contains(d, h("issue")) || !slices.Contains(d, h("rates")) {
		t.Errorf("dependencies %v", d)
	}
	if other := mustNew(t, pay(), salt("y")); other.ID() == tx.ID() {
		t.Error("another salt makes the same id")
	}
}

// Each rule of a well-formed transaction, by what breaks it.
func TestWhatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Content)
		says  string
	}{
		"version":              {func(c *Content) { c.Metadata.LedgerVersion = 2 }, "ledger version 2"},
		"no package":           {func(c *Content) { c.Metadata.Packages = nil }, "no package"},
		"package twice":        {func(c *Content) { c.Metadata.Packages = append(c.Metadata.Packages, c.Metadata.Packages[0]) }, "there twice"},
		"package without sum":  {func(c *Content) { c.Metadata.Packages[0].Checksum = Hash{} }, "no checksum"},
		"package without name": {func(c *Content) { c.Metadata.Packages[0].Name = "" }, "name is empty"},
		"no notary":            {func(c *Content) { c.Notary.Name = "" }, "notary: name is empty"},
		"no key of the notary": {func(c *Content) { c.Notary.Key = nil }, "no key"},
		"empty window":         {func(c *Content) { c.Window.UntilUs = c.Window.FromUs }, "holds no moment"},
		"no window":            {func(c *Content) { c.Window = TimeWindow{} }, "holds no moment"},
		"window before 1970":   {func(c *Content) { c.Window.FromUs = -1 }, "holds no moment"},
		"nobody signs":         {func(c *Content) { c.Signatories = nil }, "no signatory"},
		"signs twice":          {func(c *Content) { c.Signatories = append(c.Signatories, c.Signatories[0]) }, "signatory 2"},
		"empty signatory":      {func(c *Content) { c.Signatories[1] = nil }, "signatory 1"},
		"no command":           {func(c *Content) { c.Commands = nil }, "no command"},
		"command without type": {func(c *Content) { c.Commands[0].Type = "" }, "command 0: type is empty"},
		"command's version":    {func(c *Content) { c.Commands[1].TypeVersion = 0 }, "command 1"},
		"command's payload":    {func(c *Content) { c.Commands[0].Payload = []byte("{") }, "not JSON"},
		"nothing done":         {func(c *Content) { c.Inputs, c.Outputs = nil, nil }, "no input and no output"},
		"input twice":          {func(c *Content) { c.Inputs[1] = c.Inputs[0] }, "is input and input"},
		"reference twice":      {func(c *Content) { c.References = append(c.References, c.References[0]) }, "is reference and reference"},
		"input and reference":  {func(c *Content) { c.References[0] = c.Inputs[1] }, "is input and reference"},
		"output without type":  {func(c *Content) { c.Outputs[1].Type = "" }, "output 1"},
		"output's version":     {func(c *Content) { c.Outputs[1].TypeVersion = 0 }, "begin with 1"},
		"output's contract":    {func(c *Content) { c.Outputs[0].Contract = "" }, "contract is empty"},
		"output's payload":     {func(c *Content) { c.Outputs[2].Payload = []byte("\"\xff\"") }, "not JSON in UTF-8"},
		"no payload":           {func(c *Content) { c.Outputs[2].Payload = nil }, "not JSON"},
		"nobody's output":      {func(c *Content) { c.Outputs[0].Participants = nil }, "no participants"},
		"participant twice":    {func(c *Content) { c.Outputs[1].Participants[1] = c.Outputs[1].Participants[0] }, "participant"},
		"alone in a pair":      {func(c *Content) { c.Outputs[2].Encumbrance = "" }, "encumbrance"},
		"amount":               {func(c *Content) { c.Outputs[0].Token.Amount = "010" }, "amount"},
		"issuer":               {func(c *Content) { c.Outputs[0].Token.Issuer = Hash{} }, "issuer"},
		"long name":            {func(c *Content) { c.Outputs[0].Type = strings.Repeat("x", MaxName+1) }, "at most"},
		"long component":       {func(c *Content) { c.Outputs[0].Payload = []byte(`"` + strings.Repeat("x", MaxComponent) + `"`) }, "outputs 0 has"},
		"too long": {func(c *Content) {
			for range 40 {
				c.Commands = append(c.Commands, Command{Type: "x", TypeVersion: 1, Payload: []byte(`"` + strings.Repeat("x", MaxComponent-100) + `"`)})
			}
		}, "at most 16777216"},
		"too many": {func(c *Content) {
			c.Inputs = nil
			for i := range MaxComponents + 1 {
				c.Inputs = append(c.Inputs, StateRef{h("many"), uint32(i)})
			}
		}, "components of inputs"},
	} {
		content := pay()
		c.spoil(&content)
		if _, err := New(content, salt(name)); !errors.Is(err, ErrTransaction) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := New(pay(), Salt{}); !errors.Is(err, ErrTransaction) {
		t.Errorf("no salt: %v", err)
	}
}

func TestAmounts(t *testing.T) {
	for _, good := range []string{"1", "10", "0.25", "12345678901234567890.000001"} {
		if err := CheckAmount(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "0", "0.0", "-1", "+1", "1e3", "01", "1.", ".5", "1.50", "1,5", " 1", "٣", "0x1", strings.Repeat("9", 200)} {
		if err := CheckAmount(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if AmountOf("0.25").Cmp(AmountOf("0.5")) >= 0 {
		t.Error("0.25 is not less than 0.5")
	}
}

// A time window is half-open.
func TestWindow(t *testing.T) {
	w := TimeWindow{FromUs: 1000, UntilUs: 2000}
	for us, want := range map[int64]bool{999: false, 1000: true, 1999: true, 2000: false} {
		if w.Contains(time.UnixMicro(us)) != want {
			t.Errorf("%d is within: %v", us, !want)
		}
	}
}

func TestStateRefs(t *testing.T) {
	for _, r := range []StateRef{{h("a"), 0}, {h("b"), 1<<32 - 1}} {
		if got, err := ParseStateRef(r.String()); err != nil || got != r {
			t.Errorf("%s: %v, %v", r, got, err)
		}
	}
	for _, bad := range []string{"", "x:0", h("a").String(), h("a").String() + ":", h("a").String() + ":-1", h("a").String() + ":01", h("a").String() + ":4294967296", h("a").String() + ": 1"} {
		if _, err := ParseStateRef(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if (StateRef{h("a"), 1}).Compare(StateRef{h("a"), 2}) >= 0 || (StateRef{Hash{1}, 9}).Compare(StateRef{Hash{2}, 0}) >= 0 {
		t.Error("references are out of order")
	}
}

// Any choice of components of trees of any size is proven, and no other root is.
func TestProofs(t *testing.T) {
	rnd := mathrand.New(mathrand.NewPCG(1, 2))
	for n := 1; n <= 40; n++ {
		leaves := make([]Hash, n)
		for i := range leaves {
			leaves[i] = h(fmt.Sprint(n, i))
		}
		want := root(nodePrefix, leaves)
		for range 30 {
			var shown []int
			for i := range n {
				if rnd.IntN(3) == 0 {
					shown = append(shown, i)
				}
			}
			if len(shown) == 0 {
				shown = []int{rnd.IntN(n)}
			}
			proof := prove(nodePrefix, leaves, shown, nil)
			var given []proven
			for _, i := range shown {
				given = append(given, proven{i, leaves[i]})
			}
			if got, err := rootOf(nodePrefix, n, given, proof); err != nil || got != want {
				t.Fatalf("%d of %d: %s, %v", shown, n, got, err)
			}
			if _, err := rootOf(nodePrefix, n, given, append(slices.Clone(proof), Hash{})); !errors.Is(err, ErrProof) {
				t.Fatalf("a proof that is too long: %v", err)
			}
			if len(proof) > 0 {
				if _, err := rootOf(nodePrefix, n, given, proof[1:]); !errors.Is(err, ErrProof) {
					t.Fatalf("a proof that is too short: %v", err)
				}
				spoilt := slices.Clone(proof)
				spoilt[rnd.IntN(len(spoilt))][5] ^= 1
				if got, err := rootOf(nodePrefix, n, given, spoilt); err == nil && got == want {
					t.Fatal("a changed proof leads to the same root")
				}
			}
			if n > 1 {
				moved := slices.Clone(given)
				if moved[len(moved)-1].index = (moved[len(moved)-1].index + 1) % n; len(moved) == 1 {
					if got, err := rootOf(nodePrefix, n, moved, proof); err == nil && got == want {
						t.Fatal("a leaf is proven to stand where it does not")
					}
				}
			}
		}
	}
	for name, given := range map[string][]proven{"nothing": nil, "beyond": {{3, Hash{}}}, "before": {{-1, Hash{}}}, "twice": {{1, Hash{}}, {1, Hash{}}}, "backwards": {{2, Hash{}}, {1, Hash{}}}} {
		if _, err := rootOf(nodePrefix, 3, given, nil); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func signer(t testing.TB, curve bool) (PublicKey, string, func([]byte) []byte) {
	t.Helper()
	if curve {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		return public, "SHA256withECDSA", func(b []byte) []byte {
			d := sha256.Sum256(b)
			s, err := k.Sign(rand.Reader, d[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	}
	pub, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return public, "EdDSA", func(b []byte) []byte { return ed25519.Sign(k, b) }
}

// A signature of a batch holds for each of its transactions and for no other, and nothing of it can be changed.
func TestSignatures(t *testing.T) {
	for n := 1; n <= 9; n++ {
		public, scheme, sign := signer(t, n%2 == 0)
		var ids []Hash
		for i := range n {
			ids = append(ids, h(fmt.Sprint("tx", n, i)))
		}
		root, proofs, err := BatchRoot(ids)
		if err != nil {
			t.Fatal(err)
		}
		m := SignatureMetadata{TimeUs: 5, Scheme: scheme, KeyID: KeyID(public), PlatformVersion: 50200}
		bytesSigned := sign(SignedBytes(root, m))
		for i, id := range ids {
			s := Signature{By: public, Bytes: bytesSigned, Metadata: m, Proof: proofs[i]}
			if s, err = DecodeSignature(s.Encode()); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(id); err != nil {
				t.Errorf("%d of %d: %v", i, n, err)
			}
			for name, spoil := range map[string]func(*Signature){
				"time":   func(s *Signature) { s.Metadata.TimeUs++ },
				"scheme": func(s *Signature) { s.Metadata.Scheme = "SHA512withECDSA" },
				"key":    func(s *Signature) { s.Metadata.KeyID[0] ^= 1 },
				"bytes":  func(s *Signature) { s.Bytes[len(s.Bytes)-1] ^= 1 },
				"other": func(s *Signature) {
					s.By, _, _ = signer(t, false)
					s.Metadata.KeyID = KeyID(s.By)
				},
				"proof": func(s *Signature) {
					if s.Proof == nil {
						s.Proof = &BatchProof{Size: 2, Hashes: []Hash{{}}}
					} else {
						s.Proof.Hashes[0][3] ^= 1
					}
				},
				"no proof": func(s *Signature) {
					if s.Proof = nil; n == 1 {
						s.By = nil
					}
				},
			} {
				other, err := DecodeSignature(s.Encode())
				if err != nil {
					t.Fatal(err)
				}
				spoil(&other)
				if err := other.Verify(id); !errors.Is(err, ErrSignature) {
					t.Errorf("%d of %d with another %s: %v", i, n, name, err)
				}
			}
			if err := s.Verify(h("another")); !errors.Is(err, ErrSignature) {
				t.Errorf("it holds for another transaction: %v", err)
			}
		}
	}
	for _, n := range []int{0, MaxBatch + 1} {
		if _, _, err := BatchRoot(make([]Hash, n)); err == nil {
			t.Errorf("a batch of %d was made", n)
		}
	}
}

// The root of a batch is no transaction's id, whatever the batch holds: nodes of both have first bytes of their own.
func TestBatchIsNoTransaction(t *testing.T) {
	tx := mustNew(t, pay(), salt("a"))
	var tops [Groups]Hash
	for g, components := range tx.groups {
		tops[g] = groupLeaf(Group(g), len(components), root(nodePrefix, tx.leaves(Group(g))))
	}
	left, right := root(nodePrefix, tops[:8]), tops[8]
	if node(nodePrefix, left, right) != tx.ID() {
		t.Fatal("the test does not know how an id is made")
	}
	if batch, _, err := BatchRoot([]Hash{left, right}); err != nil || batch == tx.ID() {
		t.Errorf("a batch of two parts has the transaction's id: %v", err)
	}
}
