package cpi

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/fairleadio/fairlead/internal/cpi/archive"
)

// file is an entry of a package made by hand.
type file struct {
	name, content string
	stored        bool
}

// packed writes entries as they are given.
func packed(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	for _, f := range files {
		if err := w.Add(f.name, io.NewSectionReader(strings.NewReader(f.content), 0, int64(len(f.content))), f.stored); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpacked returns the entries of a package.
func unpacked(t testing.TB, b []byte) []file {
	t.Helper()
	a, err := archive.Open(bytes.NewReader(b), int64(len(b)), archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out []file
	for _, e := range a.Entries {
		content, err := e.ReadAll(1 << 30)
		if err != nil {
			t.Fatal(err)
		}
		_, stored := e.Stored()
		out = append(out, file{e.Name, string(content), stored})
	}
	return out
}

// changed unpacks a package, changes its entries and packs them again. The signatures stay as they are.
func changed(t testing.TB, b []byte, change func([]file) []file) []byte {
	t.Helper()
	return packed(t, change(unpacked(t, b))...)
}

// resigned makes a package of a manifest and files by hand and signs it rightly: an author who attacks.
func resigned(t testing.TB, key Key, manifest string, files ...file) []byte {
	t.Helper()
	s, err := key.sign([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	return packed(t, append([]file{{manifestFile, manifest, false}, {signatureName(key.Chain[0]), string(s), false}}, files...)...)
}

// manifestOf lists files rightly.
func manifestOf(t testing.TB, kind Kind, name string, files ...file) string {
	t.Helper()
	m := Manifest{Format: Format, Kind: kind, Name: name, Version: "1.2.0", Files: []File{}}
	for _, f := range files {
		sum := sha256.Sum256([]byte(f.content))
		m.Files = append(m.Files, File{Name: f.name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(f.content))})
	}
	raw, err := canonical(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestHostilePackages(t *testing.T) {
	k := issue(t, ec(t), name("K"), nil)
	other := issue(t, ec(t), name("K2"), nil)
	good := cpkOf(t, payCode(), k)
	bundle := cpbOf(t, k, good)
	installer := cpiOf(t, k, bundle)
	manifest := unpacked(t, good)[0].content
	signature := signatureName(k.Chain[0])
	application := func(change func(string) string) []byte {
		files := unpacked(t, good)[2:]
		for i := range files {
			if files[i].name == applicationFile {
				files[i].content = change(files[i].content)
			}
		}
		return resigned(t, k, manifestOf(t, CPK, "pay", files...), files...)
	}
	replace := func(name, content string) func([]file) []file {
		return func(all []file) []file {
			for i := range all {
				if all[i].name == name {
					all[i].content = content
				}
			}
			return all
		}
	}
	withSignature := func(content string) []byte { return changed(t, good, replace(signature, content)) }
	one := file{policyFile, string(staticPolicy(t)), false}
	for _, c := range []struct {
		what string
		file []byte
		id   string
		say  string
	}{
		{"a file added", changed(t, good, func(f []file) []file { return append(f, file{"modules/more.wasm", "x", false}) }), ErrUnlisted, "modules/more.wasm"},
		{"a file added beside the manifest", changed(t, good, func(f []file) []file { return append(f, file{"META-INF/evil", "x", false}) }), ErrUnlisted, "META-INF/evil"},
		{"a file removed", changed(t, good, func(f []file) []file { return f[:len(f)-1] }), ErrMissing, "modules/pay.wasm"},
		{"a module changed", changed(t, good, replace("modules/pay.wasm", string(wasm("FLOWS")))), ErrContent, "modules/pay.wasm"},
		{"a module longer", changed(t, good, replace("modules/pay.wasm", string(wasm("flows!")))), ErrContent, "has 14 bytes, the manifest says 13"},
		{"the manifest changed", changed(t, good, replace(manifestFile, strings.Replace(manifest, "1.2.0", "9.9.9", 1))), ErrSignature, "does not fit"},
		{"no manifest", packed(t, file{"a", "x", false}), ErrManifest, "no fairlead package"},
		{"a JAR of Corda", packed(t, file{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n", false}), ErrManifest, "no fairlead package"},
		{"an oversized manifest", packed(t, file{manifestFile, strings.Repeat(" ", maxManifest+1), true}), ErrTooLarge, manifestFile},
		{"white space in the manifest", resigned(t, k, " "+manifest), ErrManifest, "not canonical at byte 0"},
		{"unknown member", resigned(t, k, strings.Replace(manifest, `"format"`, `"evil":1,"format"`, 1)), ErrManifest, "not canonical"},
		{"member twice", resigned(t, k, strings.Replace(manifest, `"format":1`, `"format":1,"format":1`, 1)), ErrManifest, "not canonical"},
		{"member in capitals", resigned(t, k, strings.Replace(manifest, `"kind"`, `"Kind"`, 1)), ErrManifest, "not canonical"},
		{"a manifest that is not JSON", resigned(t, k, "x"), ErrManifest, "invalid character"},
		{"broken text", resigned(t, k, strings.Replace(manifest, "pay", "p\xffy", 1)), ErrManifest, "not canonical"},
		{"a later format", resigned(t, k, strings.Replace(manifest, `"format":1`, `"format":2,"new":3`, 1)), ErrFormat, "format 2"},
		{"format nought", resigned(t, k, strings.Replace(manifest, `"format":1`, `"format":0`, 1)), ErrManifest, "format is 0"},
		{"unknown kind", resigned(t, k, strings.Replace(manifest, `"CPK"`, `"CPX"`, 1)), ErrManifest, `"CPX"`},
		{"a name that is a path", resigned(t, k, manifestOf(t, CPI, "../x", one), one), ErrManifest, "name"},
		{"a version that is a path", resigned(t, k, strings.Replace(manifest, "1.2.0", "../1", 1)), ErrManifest, "version"},
		{"compatible from the future", resigned(t, k, strings.Replace(manifest, `"compatibleFrom":"1.0"`, `"compatibleFrom":"3"`, 1)), ErrManifest, "later than its own version"},
		{"files unsorted", resigned(t, k, manifestOf(t, CPK, "pay", file{"modules/b.wasm", "", false}, file{"modules/a.wasm", "", false})), ErrManifest, "not sorted"},
		{"a listed file that its kind cannot have", resigned(t, k, manifestOf(t, CPK, "pay", file{"bin/sh", "", false})), ErrManifest, "it lists bin/sh"},
		{"the manifest lists itself", resigned(t, k, manifestOf(t, CPK, "pay", file{manifestFile, "", false})), ErrManifest, "it lists META-INF"},
		{"no files", resigned(t, k, manifestOf(t, CPK, "pay")), ErrManifest, "no files"},

		{"a signature of nobody", withSignature("x"), ErrSignature, "DER"},
		{"an empty signature", withSignature(""), ErrSignature, "DER"},
		{"a signature of another package", withSignature(unpacked(t, cpkOf(t, Code{Name: "pay", Version: "2", Modules: payCode().Modules[:1]}, k))[1].content), ErrSignature, "does not fit"},
		{"a signature under another's name", changed(t, good, func(f []file) []file { f[1].name = signatureName(other.Chain[0]); return f }), ErrSignature, "belongs into"},
		{"an oversized signature", withSignature(strings.Repeat("x", maxSignature+1)), ErrTooLarge, ".p7s"},
		{"bytes behind a signature", withSignature(unpacked(t, good)[1].content + "x"), ErrSignature, "behind it"},
		{"a signature nested deep", withSignature(nested(5000)), ErrSignature, "nested more than 32"},
		{"a signature of indefinite length", withSignature("\x30\x80\x00\x00"), ErrSignature, "DER"},
		{"a signature with a content", withSignature(attached(t, k, []byte("other"), pkcs7.OIDDigestAlgorithmSHA256)), ErrSignature, "content of its own"},
		{"a SHA-1 signature", withSignature(detached(t, k, []byte(manifest), pkcs7.OIDDigestAlgorithmSHA1)), ErrSignature, "1.3.14.3.2.26"},
		{"a signature without attributes", withSignature(bare(t, k, []byte(manifest))), ErrSignature, "no signed attributes"},
		{"two signers in one file", withSignature(twoSigners(t, k, other, []byte(manifest))), ErrSignature, "2 signers"},
		{"signatures without end", changed(t, good, func(f []file) []file {
			for i := range maxSignatures + 1 {
				k := issue(t, k.Signer, name(strings.Repeat("k", i+1)), nil)
				s, _ := k.sign([]byte(manifest))
				f = append(f, file{signatureName(k.Chain[0]), string(s), false})
			}
			return f
		}), ErrTooLarge, "has 18 signatures"},

		{"a CPI in a CPB", resigned(t, k, manifestOf(t, CPB, "b", file{"cpks/x-1.cpk", string(installer), true}), file{"cpks/x-1.cpk", string(installer), true}), ErrKind, "is a CPI, a CPK is needed"},
		{"a CPK as bundle", nestedIn(t, k, CPI, file{bundleFile, string(good), true}, one), ErrKind, "is a CPK, a CPB is needed"},
		{"a CPK in another's place", nestedIn(t, k, CPB, file{"cpks/other-1.cpk", string(good), true}), ErrNested, "cpks/pay-1.2.0.cpk"},
		{"a compressed CPK", nestedIn(t, k, CPB, file{"cpks/pay-1.2.0.cpk", string(good), false}), ErrNested, "compressed"},
		{"an unsigned CPK", nestedIn(t, k, CPB, file{"cpks/pay-1.2.0.cpk", string(cpkOf(t, payCode())), true}), ErrUnsigned, "cpks/pay-1.2.0.cpk"},
		{"a CPI without policy", nestedIn(t, k, CPI, file{bundleFile, string(bundle), true}), ErrMissing, policyFile},
		{"a CPI without code", nestedIn(t, k, CPI, one), ErrMissing, bundleFile},
		{"a CPI with a broken policy", nestedIn(t, k, CPI, file{policyFile, "{}", false}), ErrGroupPolicy, "fileFormatVersion"},
		{"a damaged CPK within", changed(t, installer, func(f []file) []file { f[3].content = f[3].content[1:]; return f }), ErrContent, ""},

		{"no declarations", resigned(t, k, manifestOf(t, CPK, "pay", file{"modules/a.wasm", "x", false}), file{"modules/a.wasm", "x", false}), ErrMissing, applicationFile},
		{"white space in the declarations", application(func(s string) string { return s + "\n" }), ErrManifest, "not canonical"},
		{"a declared module that is not there", application(func(s string) string { return strings.Replace(s, `"name":"contract"`, `"name":"contrac"`, 1) }), ErrManifest, "module contrac is not in the package"},
		{"a module of a third kind", application(func(s string) string { return strings.Replace(s, `"kind":"contract"`, `"kind":"virus"`, 1) }), ErrManifest, `"virus"`},
		{"a migration that is not declared", application(func(s string) string { return strings.Replace(s, `"001-payment.sql",`, ``, 1) }), ErrManifest, "names 4 files, the package has 5"},
		{"a migration of another folder", application(func(s string) string { return strings.Replace(s, `"001-payment.sql"`, `"../application.json"`, 1) }), ErrManifest, "not in the package"},
		{"a wrong declaration", application(func(s string) string { return strings.Replace(s, `"type":"uuid"`, `"type":"blob"`, 1) }), ErrDeclaration, `type "blob"`},
	} {
		_, err := OpenBytes(c.file, Options{Trust: trusting(k, other)})
		if IDOf(err) != c.id || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v; want %s, %q", c.what, err, c.id, c.say)
		}
	}
	for what, b := range map[string][]byte{"CPK": good, "CPB": bundle, "CPI": installer} {
		if _, err := OpenBytes(b, Options{Trust: trusting(k)}); err != nil {
			t.Errorf("the %s that was attacked: %v", what, err)
		}
	}
}

// nestedIn makes a signed package of a kind by hand.
func nestedIn(t testing.TB, key Key, kind Kind, files ...file) []byte {
	t.Helper()
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return resigned(t, key, manifestOf(t, kind, "x", files...), files...)
}

func nested(depth int) string {
	b := []byte{}
	for range depth {
		next, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: b})
		if err != nil {
			return ""
		}
		b = next
	}
	return string(b)
}

// made makes a PKCS#7 signature in a way that fairlead does not.
func made(t testing.TB, content []byte, do func(*pkcs7.SignedData) error) string {
	t.Helper()
	s, err := pkcs7.NewSignedData(content)
	if err != nil {
		t.Fatal(err)
	}
	s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := do(s); err != nil {
		t.Fatal(err)
	}
	b, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func attached(t testing.TB, k Key, content []byte, digest asn1.ObjectIdentifier) string {
	return made(t, content, func(s *pkcs7.SignedData) error {
		s.SetDigestAlgorithm(digest)
		return s.AddSigner(k.Chain[0], k.Signer, pkcs7.SignerInfoConfig{})
	})
}

func detached(t testing.TB, k Key, content []byte, digest asn1.ObjectIdentifier) string {
	return made(t, content, func(s *pkcs7.SignedData) error {
		s.SetDigestAlgorithm(digest)
		defer s.Detach()
		return s.AddSigner(k.Chain[0], k.Signer, pkcs7.SignerInfoConfig{})
	})
}

func bare(t testing.TB, k Key, content []byte) string {
	return made(t, content, func(s *pkcs7.SignedData) error {
		defer s.Detach()
		return s.SignWithoutAttr(k.Chain[0], k.Signer, pkcs7.SignerInfoConfig{})
	})
}

func twoSigners(t testing.TB, a, b Key, content []byte) string {
	return made(t, content, func(s *pkcs7.SignedData) error {
		defer s.Detach()
		return errors.Join(s.AddSigner(a.Chain[0], a.Signer, pkcs7.SignerInfoConfig{}), s.AddSigner(b.Chain[0], b.Signer, pkcs7.SignerInfoConfig{}))
	})
}

// Two packages in one bundle cannot both have the same things.
func TestCollisions(t *testing.T) {
	k := issue(t, ec(t), name("K"), nil)
	second := func(change func(*Code)) []byte {
		c := Code{Name: "second", Version: "1", Modules: payCode().Modules[1:]}
		change(&c)
		return cpkOf(t, c, k)
	}
	for _, c := range []struct {
		change func(*Code)
		say    string
	}{
		{func(*Code) {}, ""},
		{func(c *Code) { c.Name, c.Version = "pay", "2" }, `package "pay" is also in pay`},
		{func(c *Code) { c.Modules = payCode().Modules[:1] }, `flow "pay" is also in pay 1.2.0`},
		{func(c *Code) { c.Tables, c.Migrations = payCode().Tables, payCode().Migrations }, `table "payment"`},
		{func(c *Code) { c.Queries = payCode().Queries }, `query "payments-of"`},
	} {
		_, err := OpenBytes(cpbOf(t, k, cpkOf(t, payCode(), k), second(c.change)), Options{Trust: trusting(k)})
		if c.say == "" && err != nil || c.say != "" && (IDOf(err) != ErrNested || !strings.Contains(err.Error(), c.say)) {
			t.Errorf("%v, want %q", err, c.say)
		}
	}
}

// The subject is hashed as Corda hashes it; what stands here was written by Java.
func TestSummaryHashIsCordas(t *testing.T) {
	oid := func(n int, v string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, n}, Value: v}
	}
	mail := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@b"}
	key := ec(t)
	var signers []Signer
	for _, c := range []struct {
		names      []pkix.AttributeTypeAndValue
		text, hash string
	}{
		{[]pkix.AttributeTypeAndValue{mail, oid(6, "GB"), oid(8, "Kent"), oid(7, "London"), oid(10, "Alice, Bob & Co"), oid(11, "R3"), oid(3, "CPI Signer")},
			`C=GB,ST=Kent,L=London,O=Alice\, Bob & Co,OU=R3,CN=CPI Signer`, "SHA-256:A7F83BB585368F4A3780EE0C72390447E5A6021D944CCD9440804716E63F0ECB"},
		{[]pkix.AttributeTypeAndValue{oid(3, "x"), oid(10, `#1 \ a;b<c>`), oid(7, "K=1"), oid(6, "DE")},
			`C=DE,L=K\=1,O=\#1 \\ a\;b\<c\>,CN=x`, "SHA-256:717A85E8FA0734F5FEE1987E273149AAD9628AB334E7402F4035A0971822B33C"},
		{[]pkix.AttributeTypeAndValue{oid(10, "Müller, Söhne"), oid(6, "DE")}, `C=DE,O=Müller\, Söhne`, "SHA-256:C6BF22B24432CF0ED478AC077CD6CE932F5A7EF664DD5046C478A3A89ACFC95A"},
	} {
		var raw pkix.RDNSequence
		for _, a := range c.names {
			raw = append(raw, pkix.RelativeDistinguishedNameSET{a})
		}
		der, err := asn1.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		s := Signer{Certificate: issue(t, key, pkix.Name{}, nil, func(x *x509.Certificate) { x.RawSubject = der }).Chain[0]}
		if s.Name() != c.text || SummaryHash([]Signer{s}) != c.hash {
			t.Errorf("%s, %s; want %s, %s", s.Name(), SummaryHash([]Signer{s}), c.text, c.hash)
		}
		signers = append(signers, s)
	}
	if escape("  a b  ") != `\ \ a b\ \ ` {
		t.Errorf("%q", escape("  a b  "))
	}
	turned := slices.Clone(signers)
	slices.Reverse(turned)
	if SummaryHash(signers) != SummaryHash(append(turned, signers[0])) || SummaryHash(nil) != "" {
		t.Error("the order of signers counts")
	}
}

func TestKeysThatCannotSign(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	k := issue(t, ec(t), name("K"), nil)
	for what, key := range map[string]Key{
		"no certificate": {Signer: k.Signer}, "another's certificate": {Signer: ec(t), Chain: k.Chain}, "no key": {Chain: k.Chain},
		"1024 bits": issue(t, weak, name("Weak"), nil), "a chain that is none": {Signer: k.Signer, Chain: append(k.Chain[:1:1], issue(t, ec(t), name("X"), nil).Chain[0])},
	} {
		if err := WriteCPK(io.Discard, payCode(), key); err == nil {
			t.Errorf("%s: it signs", what)
		}
	}
}

// FuzzOpen: whatever the bytes of a package or of a signature, they are refused with an id or are whole.
func FuzzOpen(f *testing.F) {
	k := issue(f, ec(f), name("K"), nil)
	good := cpkOf(f, payCode(), k)
	f.Add(good, []byte(nil))
	f.Add(cpiOf(f, k, cpbOf(f, k, good)), []byte(unpacked(f, good)[1].content))
	f.Add([]byte(nil), []byte(nested(40)))
	f.Fuzz(func(t *testing.T, b, signature []byte) {
		if _, err := OpenBytes(b, Options{Trust: Trust{AnySigner: true, Unsigned: true}}); err != nil && IDOf(err) == "" {
			t.Errorf("no id: %v", err)
		}
		_, _ = verifySignature(signature, []byte("{}"))
	})
}

// FuzzDeclarations: whatever an author declares and migrates, it is refused with an id, or it is what comes out again.
// The packages are not signed: signing is random, and the search would take every input for a new one.
func FuzzDeclarations(f *testing.F) {
	k := issue(f, ec(f), name("K"), nil)
	for _, e := range unpacked(f, cpkOf(f, payCode(), k)) {
		if e.name == applicationFile {
			f.Add(e.content, "SELECT 1")
		}
	}
	f.Add(`{"channels":[],"migrations":["001.sql"],"modules":[{"flows":[],"kind":"flow","name":"a"}],"queries":[],"tables":[]}`, "")
	f.Fuzz(func(t *testing.T, application, sql string) {
		files := []file{{applicationFile, application, false}, {migrationFolder + "001.sql", sql, false}, {moduleFolder + "a.wasm", string(wasm("")), false}}
		all := append([]file{{manifestFile, manifestOf(t, CPK, "pay", files...), false}}, files...)
		p, err := OpenBytes(packed(t, all...), Options{Trust: Trust{Unsigned: true}})
		if err != nil {
			if IDOf(err) == "" {
				t.Errorf("no id: %v", err)
			}
			return
		}
		raw, err := canonical(p.CPKs[0].file())
		if err != nil || string(raw) != application {
			t.Errorf("%s became %s, %v", application, raw, err)
		}
		if got, err := p.CPKs[0].Migrations[0].SQL(); err != nil || got != sql {
			t.Errorf("the migration became %q, %v", got, err)
		}
	})
}

// The limit of what is inflated holds for all packages within together, and is found out before a byte is inflated.
func TestNestedBomb(t *testing.T) {
	k := issue(t, ec(t), name("K"), nil)
	text := strings.Repeat("-- a long comment\n", 1000)
	cpk := func(name string) []byte {
		c := payCode()
		c.Name, c.Modules, c.Tables, c.Queries, c.Channels = name, c.Modules[1:], nil, nil, nil
		c.Migrations = map[string]string{"001.sql": text}
		return cpkOf(t, c, k)
	}
	bundle := cpbOf(t, k, cpk("a"), cpk("b"))
	limit := func(n int) archive.Limits { return archive.Limits{Total: int64(n*len(text) + 20<<10), Entry: 1 << 20} }
	if _, err := OpenBytes(bundle, Options{Trust: trusting(k), Limits: limit(2)}); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	_, err := OpenBytes(bundle, Options{Trust: trusting(k), Limits: limit(1)})
	if IDOf(err) != ErrTooLarge || !strings.Contains(err.Error(), "cpks/b-1.2.0.cpk: the packages within inflate to more than is allowed together") {
		t.Errorf("over it: %v", err)
	}
}
