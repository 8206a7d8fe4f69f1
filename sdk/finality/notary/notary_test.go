package notary_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/finality/internal/travel"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

func TestMain(m *testing.M) {
	notary.Register()
	flow.Register("ask", ask)
	m.Run()
}

const notaryName = "O=Notary, L=London, C=GB"

// asking is the argument of flow ask: a transaction, and how it is shown.
type asking struct {
	Key    []byte
	Name   string
	Mode   notary.Mode
	Inputs []string
	Salt   byte
	Until  int64 // seconds from now; an hour when it is 0
	From   int64
	Hide   ledger.Group
	Raw    []byte
}

type told struct {
	ID, Reason string
	Class      notary.Class
	Result     flow.UniquenessResult
	Unknown    []string
	Conflicts  []string
}

func ask(ctx *flow.Context, in asking) (told, error) {
	until := ctx.Now().Truncate(time.Hour).Add(2 * time.Hour) // so that the same is the same later
	if in.Until != 0 {
		until = ctx.Now().Add(time.Duration(in.Until) * time.Second)
	}
	tx, err := transaction(in, until, ctx.Now())
	if err != nil {
		return told{}, err
	}
	show := ledger.ForNotary()
	delete(show, in.Hide)
	f, err := tx.Filter(show)
	if err != nil {
		return told{}, err
	}
	request := notary.Request{Mode: in.Mode, Filtered: f}.Encode()
	if in.Raw != nil {
		request = in.Raw
	}
	s, err := ctx.OpenSession(notaryName, notary.Protocol)
	if err != nil {
		return told{}, err
	}
	b, err := s.SendAndReceiveBytes(request)
	if err != nil {
		return told{}, err
	}
	a, err := notary.DecodeAnswer(b)
	if err == nil {
		err = a.Check(tx.ID(), tx.Content().Notary, nil)
	}
	out := told{ID: tx.ID().String(), Reason: a.Reason, Class: a.Class, Result: a.Result}
	for _, r := range a.Unknown {
		out.Unknown = append(out.Unknown, r.String())
	}
	for _, c := range a.Conflicts {
		out.Conflicts = append(out.Conflicts, c.State.String()+" by "+c.ConsumedBy.String())
	}
	return out, err
}

func transaction(in asking, until, now time.Time) (*ledger.Transaction, error) {
	c := ledger.Content{
		Metadata: ledger.Metadata{LedgerVersion: ledger.Version, Packages: []ledger.Package{{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}}},
		Notary:   ledger.Notary{Name: in.Name, Key: in.Key}, Window: ledger.TimeWindow{UntilUs: until.UnixMicro()}, Signatories: []ledger.PublicKey{[]byte("a")},
		Commands: []ledger.Command{{Type: "t", TypeVersion: 1}},
		Outputs:  []ledger.State{{Type: "T", TypeVersion: 1, Contract: "c", Payload: []byte(`1`), Participants: []ledger.PublicKey{[]byte("a")}}},
	}
	if in.From != 0 {
		c.Window.FromUs = now.Add(time.Duration(in.From) * time.Second).UnixMicro()
	}
	for _, s := range in.Inputs {
		r, err := ledger.ParseStateRef(s)
		if err != nil {
			return nil, err
		}
		c.Inputs = append(c.Inputs, r)
	}
	return ledger.New(c, ledger.Salt{1 + in.Salt})
}

func TestNotary(t *testing.T) {
	net := flowtest.New(t)
	alice, bank := net.Member("O=Alice, L=London, C=GB"), net.Member(notaryName)
	key := bank.NewKey("NOTARY", "notary")
	tell := func(in asking) told {
		t.Helper()
		if in.Key == nil {
			in.Key = key
		}
		if in.Name == "" {
			in.Name = notaryName
		}
		if in.Mode == 0 {
			in.Mode = notary.Write
		}
		var out told
		alice.Start("ask", in).Wait().Result(t, &out)
		return out
	}
	is := func(what string, a told, class notary.Class, reason string) {
		t.Helper()
		if a.Class != class || !strings.Contains(a.Reason, reason) {
			t.Errorf("%s: %+v", what, a)
		}
	}
	issued := tell(asking{})
	is("an issue", issued, notary.Signed, "")
	is("the same again", tell(asking{}), notary.Signed, "")
	first := tell(asking{Inputs: []string{issued.ID + ":0"}, Salt: 1})
	is("a payment", first, notary.Signed, "")
	second := tell(asking{Inputs: []string{issued.ID + ":0"}, Salt: 2})
	is("a double spend", second, notary.Fatal, "consumes states that were consumed before: "+issued.ID+":0 by transaction "+first.ID)
	if len(second.Conflicts) != 1 || second.Conflicts[0] != issued.ID+":0 by "+first.ID || second.Result != flow.InputConflict {
		t.Errorf("%+v", second)
	}
	none := tell(asking{Inputs: []string{strings.Repeat("AB", 32) + ":0"}, Salt: 3})
	is("an unknown input", none, notary.Fatal, "has not seen made")
	if len(none.Unknown) != 1 {
		t.Errorf("%+v", none)
	}
	is("too early", tell(asking{Salt: 4, From: 60}), notary.Fatal, "was not open: from ")
	is("too early, read", tell(asking{Salt: 5, From: 60, Mode: notary.Read}), notary.Unknown, "has not begun")
	is("not seen", tell(asking{Salt: 6, Mode: notary.Read}), notary.Unknown, "has not seen it")
	is("not seen, then decided", tell(asking{Salt: 6}), notary.Signed, "")
	is("decided, read", tell(asking{Salt: 6, Mode: notary.Read}), notary.Signed, "")
	is("too late", tell(asking{Salt: 7, Until: -60}), notary.Fatal, "was not open: until ")
	// That the notary is not the one, or lacks the key, is no word about the transaction.
	for _, mode := range []notary.Mode{notary.Write, notary.Read} {
		is("another notary", tell(asking{Salt: 8, Name: "O=Other, L=Rome, C=IT", Mode: mode}), notary.General, "asked was "+notaryName)
	}
	is("another key", tell(asking{Salt: 8, Key: []byte("key")}), notary.General, "is not one of notary")
	is("another key, read", tell(asking{Salt: 8, Key: []byte("key"), Mode: notary.Read}), notary.Unknown, "has not seen it")
	is("another key, read too late", tell(asking{Salt: 10, Key: []byte("key"), Mode: notary.Read, Until: -60}), notary.Fatal, "was not open")
	bank.Publish(notary.PropertyBackchain, "false")
	is("a notary that says it verifies", tell(asking{Salt: 8}), notary.General, "would have to verify")
	is("the same, of what it has accepted", tell(asking{Salt: 6, Mode: notary.Read}), notary.General, "has accepted the transaction, and cannot sign it now")
	bank.Publish(notary.PropertyBackchain, "true")
	is("decided, read again", tell(asking{Salt: 6, Mode: notary.Read}), notary.Signed, "")
	for _, g := range []ledger.Group{ledger.GroupNotary, ledger.GroupInputs, ledger.GroupReferences, ledger.GroupOutputs} {
		is(g.String(), tell(asking{Salt: 8, Hide: g}), notary.Fatal, "it is not shown")
	}
	is("none of that was decided", tell(asking{Salt: 8}), notary.Signed, "")
	bank.Fail("check_uniqueness", &flow.Error{Type: flow.ErrTimeout.Type, Message: "secret"})
	failed := tell(asking{Salt: 9})
	is("no memory", failed, notary.General, "its memory did not answer (timeout)")
	if strings.Contains(failed.Reason, "secret") {
		t.Errorf("%+v", failed)
	}
	bank.Fail("sign_transactions", &flow.Error{Type: "vault-sealed"})
	is("no signature", tell(asking{Salt: 9}), notary.General, "could not sign it (vault-sealed)")
	is("signed later", tell(asking{Salt: 9}), notary.Signed, "")
	o := alice.Start("ask", asking{Key: key, Name: notaryName, Mode: notary.Write, Raw: []byte("nonsense")}).Wait()
	if o.Err == nil || !strings.Contains(o.Err.Message, "request to the notary") {
		t.Errorf("nonsense: %v", o.Err)
	}
}

// Both sides read nothing but messages, each in its one encoding.
func TestDecoders(t *testing.T) {
	tx, err := transaction(asking{Name: notaryName, Key: []byte("k")}, time.Unix(1, 0), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	f, err := tx.Filter(ledger.ForNotary())
	if err != nil {
		t.Fatal(err)
	}
	b := notary.Request{Mode: notary.Write, Filtered: f}.Encode()
	for _, c := range []struct {
		change func([]byte) []byte
		text   string
	}{
		{func(b []byte) []byte { b[1] = 2; return b }, "version 2 is not known here"},
		{func(b []byte) []byte { b[3] = 3; return b }, "mode 3 is not known here"},
		{func(b []byte) []byte { return b[:4] }, "either in parts or in whole"},
		{func(b []byte) []byte { return b[:len(b)-1] }, "not canonical"},
		{func(b []byte) []byte { return append(b, 0x20, 1) }, "not canonical"},
		{func(b []byte) []byte { return make([]byte, notary.MaxRequest+1) }, "at most"},
	} {
		if _, err := notary.DecodeRequest(c.change(bytes.Clone(b))); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	whole := wholeOf(t, tx).Encode()
	if r, err := notary.DecodeRequest(whole); err != nil || r.ID() != tx.ID() || len(r.Whole.Signatures) != 1 || len(r.Whole.Proofs) != 1 || !bytes.Equal(r.Encode(), whole) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, b := range [][]byte{whole[:len(whole)-1], append(bytes.Clone(whole), 0x28, 1), bytes.Replace(whole, []byte("EdDSA"), []byte("Ed\xffSA"), 1), append(bytes.Clone(b), whole[4:]...)} {
		if _, err := notary.DecodeRequest(b); err == nil {
			t.Errorf("%x is read", b)
		}
	}
	for _, a := range answers(tx.ID()) {
		again, err := notary.DecodeAnswer(a.Encode())
		if x, y := fmt.Sprint(again), fmt.Sprint(a); err != nil || x != y {
			t.Errorf("%s, %s, %v", x, y, err)
		}
	}
	wrong := answers(tx.ID())[1]
	if err := wrong.Check(ledger.Hash{1}, tx.Content().Notary, nil); err == nil {
		t.Error("an answer about another transaction")
	}
}

// wholeOf is a request to a notary that verifies; the transaction does not depend on what it proves.
func wholeOf(t testing.TB, tx *ledger.Transaction) notary.Request {
	t.Helper()
	source, err := tx.Source(0)
	if err != nil {
		t.Fatal(err)
	}
	s := answers(tx.ID())[0].Signature
	return notary.Request{Mode: notary.Write, Whole: &notary.Whole{Transaction: tx, Signatures: []ledger.Signature{s}, Proofs: []notary.Proof{{Filtered: source, Signature: s}}}}
}

func answers(id ledger.Hash) []notary.Answer {
	signature := ledger.Signature{By: []byte("k"), Bytes: []byte("s"), Metadata: ledger.SignatureMetadata{Scheme: "EdDSA", KeyID: ledger.Hash{1}}}
	return []notary.Answer{
		{Transaction: id, Class: notary.Signed, Signature: signature, Result: flow.Accepted},
		{Transaction: id, Class: notary.Fatal, Result: flow.InputConflict, Reason: "r", Conflicts: []notary.Conflict{{State: ledger.StateRef{Transaction: id, Index: 3}, ConsumedBy: ledger.Hash{4}}}},
		{Transaction: id, Class: notary.Fatal, Result: flow.InputUnknown, Reason: "r", Unknown: []ledger.StateRef{{Transaction: id}}},
		{Transaction: id, Class: notary.General, Reason: "r"},
		{Transaction: id, Class: notary.Wants, Wanted: travel.Parts{Checksum: ledger.Hash{1}, First: 2}},
	}
}

// A package that is asked for or given is as long as it says, and nothing else.
func TestParts(t *testing.T) {
	given := notary.Given{Transaction: ledger.Hash{1}, Parts: travel.Parts{Checksum: ledger.Hash{2}, First: 1, Count: 3, Data: [][]byte{make([]byte, vault.PackagePartBytes), []byte("end")}}}
	b := given.Encode()
	if got, err := notary.DecodeGiven(b); err != nil || !bytes.Equal(got.Encode(), b) || len(got.Parts.Data) != 2 {
		t.Errorf("%v", err)
	}
	with := func(change func(*travel.Parts)) []byte {
		g := given
		g.Parts.Data = slices.Clone(g.Parts.Data)
		change(&g.Parts)
		return g.Encode()
	}
	for text, b := range map[string][]byte{
		"version 2 is not known here":          append([]byte{8, 2}, b[2:]...),
		"has 4194305 bytes, at most":           make([]byte, notary.MaxRequest+1),
		"more than 7 parts":                    with(func(p *travel.Parts) { p.Count, p.Data = 8, slices.Repeat(p.Data[:1], 8) }),
		"other parts of a package than":        with(func(p *travel.Parts) { p.Count = 2 }),
		"or of another length":                 with(func(p *travel.Parts) { p.Data[0] = []byte("short") }),
		"a package than it says, or":           with(func(p *travel.Parts) { p.Data = nil }),
		"than it says, or of another length":   with(func(p *travel.Parts) { p.Data[1] = nil }),
		"it says, or of another length":        with(func(p *travel.Parts) { p.Data[1] = make([]byte, vault.PackagePartBytes+1) }),
		"a part has another length or place":   bytes.Replace(b, append([]byte{0x12, 32}, given.Transaction[:]...), append([]byte{0x12, 31}, given.Transaction[:31]...), 1),
		"what is given to the notary: the enc": b[:len(b)-1],
	} {
		if _, err := notary.DecodeGiven(b); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, a := range map[string]notary.Answer{
		"asks for a package, and gives": {Class: notary.Wants, Wanted: given.Parts},
		"more than 7 parts":             {Class: notary.Wants, Wanted: travel.Parts{Data: slices.Repeat([][]byte{{1}}, 8)}},
	} {
		if _, err := notary.DecodeAnswer(a.Encode()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	other := notary.Answer{Class: notary.Wants}.Encode()
	other[bytes.Index(other, []byte{0x18, byte(notary.Wants)})+1] = byte(notary.General)
	if _, err := notary.DecodeAnswer(other); err == nil {
		t.Error("an answer of another class asks for a package")
	}
}

// What is too much is not read, however much follows.
func TestManyParts(t *testing.T) {
	many := func(n int) []byte {
		return notary.Given{Parts: travel.Parts{Count: 1, Data: make([][]byte, n)}}.Encode()
	}
	few, lots := many(10), many(1_900_000)
	cost := func(b []byte) float64 {
		return testing.AllocsPerRun(1, func() {
			if _, err := notary.DecodeGiven(b); err == nil || !strings.Contains(err.Error(), "more than 7 parts") {
				t.Error(err)
			}
		})
	}
	if a, b := cost(few), cost(lots); b > 2*a {
		t.Errorf("%.0f allocations for 10 parts, %.0f for 1,900,000", a, b)
	}
}

func FuzzGiven(f *testing.F) {
	f.Add(notary.Given{Transaction: ledger.Hash{1}, Parts: travel.Parts{Checksum: ledger.Hash{2}, Count: 1, Data: [][]byte{[]byte("file")}}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := notary.DecodeGiven(b); err == nil && !bytes.Equal(g.Encode(), b) {
			t.Errorf("%x is read as %x", b, g.Encode())
		}
	})
}

func FuzzRequest(f *testing.F) {
	tx, err := transaction(asking{Name: notaryName, Key: []byte("k")}, time.Unix(1, 0), time.Unix(0, 0))
	if err != nil {
		f.Fatal(err)
	}
	shown, err := tx.Filter(ledger.ForNotary())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(notary.Request{Mode: notary.Read, Filtered: shown}.Encode())
	f.Add(wholeOf(f, tx).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := notary.DecodeRequest(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Errorf("%x is read as %x", b, r.Encode())
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, a := range answers(ledger.Hash{1}) {
		f.Add(a.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := notary.DecodeAnswer(b); err == nil && !bytes.Equal(a.Encode(), b) {
			t.Errorf("%x is read as %x", b, a.Encode())
		}
	})
}
