package cpi

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// noon is when the tests' certificates are valid.
var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// issue makes a key with a certificate, issued by a parent or by itself.
func issue(t testing.TB, key crypto.Signer, subject pkix.Name, parent *Key, change ...func(*x509.Certificate)) Key {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: noon.AddDate(10, 0, 0), BasicConstraintsValid: true, IsCA: parent == nil}
	for _, f := range change {
		f(c)
	}
	by, signer := c, key
	if parent != nil {
		by, signer = parent.Chain[0], parent.Signer
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	k := Key{Signer: key, Chain: []*x509.Certificate{parsed}}
	if parent != nil {
		k.Chain = append(k.Chain, parent.Chain...)
	}
	return k
}

func ec(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func name(cn string) pkix.Name {
	return pkix.Name{CommonName: cn, Organization: []string{"Pay Ltd"}, Country: []string{"GB"}}
}

func trusting(keys ...Key) Trust {
	t := Trust{At: noon}
	for _, k := range keys {
		t.Roots = append(t.Roots, k.Chain[len(k.Chain)-1])
	}
	return t
}

// wasm is the smallest module; nothing here runs it.
func wasm(tail string) []byte { return append([]byte("\x00asm\x01\x00\x00\x00"), tail...) }

func payCode() Code {
	return Code{
		Name: "pay", Version: "1.2.0", CompatibleFrom: "1.0",
		Modules: []CodeModule{
			{Name: "pay", Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, WASM: wasm("flows"), Flows: []*cpiv1.FlowClass{
				{Name: "pay", Startable: true}, {Name: "pay.responder", Protocol: "pay", ProtocolVersions: []uint32{1, 2}},
			}},
			{Name: "contract", Kind: cpiv1.ModuleKind_MODULE_KIND_CONTRACT, WASM: wasm("contract")},
		},
		Migrations: map[string]string{"002-more.sql": "ALTER TABLE payment ADD note text;\n", "001-payment.sql": "CREATE TABLE payment (id uuid PRIMARY KEY, owner text NOT NULL);\n"},
		Tables: []*cpiv1.TableDeclaration{{Name: "payment", PrimaryKey: []string{"id"}, Feed: true, Columns: []*cpiv1.ColumnDeclaration{
			{Name: "id", Type: "uuid", NotNull: true}, {Name: "owner", Type: "text", NotNull: true},
		}}},
		Queries: []*cpiv1.QueryDeclaration{{Name: "payments-of", Sql: "SELECT id FROM payment WHERE owner = :owner AND note <> ':x'", OrderBy: []string{"id"},
			Parameters: []*cpiv1.ColumnDeclaration{{Name: "owner", Type: "text", NotNull: true}}}},
		Channels: []*cpiv1.ChannelDeclaration{{Name: "orders", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE, FlowClass: "pay"}, {Name: "changes", Kind: cpiv1.ChannelKind_CHANNEL_KIND_FEED}},
	}
}

func cpkOf(t testing.TB, c Code, keys ...Key) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteCPK(&b, c, keys...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func part(b []byte) Part { return Part{Source: bytes.NewReader(b), Size: int64(len(b))} }

func cpbOf(t testing.TB, key Key, cpks ...[]byte) []byte {
	t.Helper()
	var parts []Part
	for _, c := range cpks {
		parts = append(parts, part(c))
	}
	var b bytes.Buffer
	if err := WriteCPB(&b, "pay-bundle", "1.2.0", parts, key); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func cpiOf(t testing.TB, key Key, bundle []byte) []byte {
	t.Helper()
	p := part(bundle)
	var b bytes.Buffer
	if err := WriteCPI(&b, "Pay CPI", "1.2.0", staticPolicy(t), &p, key); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const groupID = "8f5b6c1e-2a3b-4c5d-9e6f-0a1b2c3d4e5f"

// A CPI comes back as it was made, from code to record.
func TestWholeWay(t *testing.T) {
	author, operator := issue(t, ec(t), name("Author"), nil), issue(t, ec(t), name("Operator"), nil)
	plain := cpkOf(t, payCode())
	signed := cpkOf(t, payCode(), author)
	b := cpiOf(t, operator, cpbOf(t, operator, signed))
	p, err := OpenBytes(b, Options{Trust: trusting(author, operator), Kind: CPI})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "Pay CPI" || len(p.CPKs) != 1 || p.GroupPolicy.GroupID != groupID || len(p.Signers) != 1 || !p.Signers[0].Certificate.Equal(operator.Chain[0]) {
		t.Errorf("%+v", p)
	}
	c := p.CPKs[0]
	if c.CompatibleFrom != "1.0" || SummaryHash(c.Signers) == p.SignerSummaryHash() {
		t.Errorf("%+v", c)
	}
	if sql, err := c.Migrations[0].SQL(); err != nil || !strings.HasPrefix(sql, "CREATE TABLE") || c.Migrations[1].Name != "002-more.sql" {
		t.Errorf("migration %q, %v", sql, err)
	}
	if m, err := c.Modules[1].Bytes(); err != nil || !bytes.Equal(m, wasm("flows")) {
		t.Errorf("module %q, %v", m, err)
	}
	for chunk, err := range c.Modules[0].Chunks() {
		if err != nil || chunk.GetParts() != 1 || !bytes.Equal(chunk.GetData(), wasm("contract")) {
			t.Errorf("chunk %v, %v", chunk, err)
		}
	}
	r := p.ToProto()
	if len(r.GetModules()) != 2 || len(r.GetCpks()) != 1 || len(r.GetCpks()[0].GetModuleSha256S()) != 2 || r.GetGroupId() != groupID || r.GetChecksum() != p.Checksum() || len(r.GetChecksum()) != 12 {
		t.Errorf("%v", r)
	}
	if !proto.Equal(r.GetCpks()[0].GetTables()[0], payCode().Tables[0]) || !proto.Equal(r.GetCpks()[0].GetQueries()[0], payCode().Queries[0]) || !proto.Equal(r.GetModules()[1].GetFlows()[1], payCode().Modules[0].Flows[1]) {
		t.Errorf("declarations %v", r.GetCpks()[0])
	}
	// The same code makes the same bytes, and signing changes nothing but the signatures.
	if again := cpkOf(t, payCode()); !bytes.Equal(plain, again) {
		t.Error("the same code made other bytes")
	}
	var cut bytes.Buffer
	if err := Sign(&cut, bytes.NewReader(signed), int64(len(signed)), false); err != nil || !bytes.Equal(cut.Bytes(), plain) {
		t.Errorf("without its signature the package is another one: %v", err)
	}
}

// Signatures add up when they are kept, and each must be trusted.
func TestSeveralSigners(t *testing.T) {
	root := issue(t, ec(t), name("Root"), nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a, b := issue(t, ec(t), name("A"), &root), issue(t, rsaKey, name("B"), nil)
	plain := cpkOf(t, payCode(), a)
	var both, one bytes.Buffer
	if err := Sign(&both, bytes.NewReader(plain), int64(len(plain)), true, b); err != nil {
		t.Fatal(err)
	}
	p, err := OpenBytes(both.Bytes(), Options{Trust: trusting(root, b)})
	if err != nil || len(p.Signers) != 2 || p.Signers[0].Name() != "C=GB,O=Pay Ltd,CN=A" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := OpenBytes(both.Bytes(), Options{Trust: trusting(root)}); IDOf(err) != ErrUntrusted || !strings.Contains(err.Error(), "CN=B") {
		t.Errorf("one of two signers is not trusted: %v", err)
	}
	if err := Sign(&one, bytes.NewReader(both.Bytes()), int64(both.Len()), false, a); err != nil {
		t.Fatal(err)
	}
	if p, err = OpenBytes(one.Bytes(), Options{Trust: trusting(root)}); err != nil || len(p.Signers) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	// A trusted certificate need not be a root's.
	if _, err := OpenBytes(plain, Options{Trust: Trust{Roots: a.Chain[:1], At: noon}}); err != nil {
		t.Errorf("the signer's own certificate is trusted: %v", err)
	}
}

func TestWhoIsNotTrusted(t *testing.T) {
	k, stranger := issue(t, ec(t), name("K"), nil), issue(t, ec(t), name("Stranger"), nil)
	b := cpkOf(t, payCode(), k)
	old := trusting(k)
	old.At = noon.AddDate(20, 0, 0)
	for what, c := range map[string]struct {
		file  []byte
		trust Trust
		id    string
	}{
		"nobody":    {b, Trust{At: noon}, ErrUntrusted},
		"another":   {b, trusting(stranger), ErrUntrusted},
		"too late":  {b, old, ErrExpired},
		"unsigned":  {cpkOf(t, payCode()), trusting(k), ErrUnsigned},
		"CPK alone": {cpbOf(t, k, cpkOf(t, payCode(), stranger)), trusting(k), ErrUntrusted},
	} {
		if _, err := OpenBytes(c.file, Options{Trust: c.trust}); IDOf(err) != c.id {
			t.Errorf("%s: %v, want %s", what, err, c.id)
		}
	}
	if _, err := OpenBytes(b, Options{Trust: trusting(k), Kind: CPI}); IDOf(err) != ErrKind {
		t.Errorf("a CPK for a CPI: %v", err)
	}
}

// Every id has advice, and every advice an id.
func TestExplanations(t *testing.T) {
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`FL-CPI-\d{3}`).FindAllString(string(source), -1)
	for _, id := range ids {
		if Explanations()[id] == "" {
			t.Errorf("%s has no advice", id)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(ids)))); n != len(Explanations()) {
		t.Errorf("%d ids, %d with advice", n, len(Explanations()))
	}
}
