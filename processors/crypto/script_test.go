package crypto_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/processors/crypto"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

const vnode = "0123456789AB"

// publicOf makes a public key from a name.
func publicOf(name string) []byte {
	seed := sha256.Sum256([]byte(name))
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(seed[:]).Public())
	if err != nil {
		panic(err)
	}
	return der
}

// csr is the signed part of a certification request for a public key.
func csr(public []byte) []byte {
	out, err := asn1.Marshal(struct {
		Version    int
		Subject    []int
		PublicKey  asn1.RawValue
		Attributes []asn1.RawValue `asn1:"tag:0"`
	}{0, nil, asn1.RawValue{FullBytes: public}, nil})
	if err != nil {
		panic(err)
	}
	return out
}

func certificateVerify(side string, hash int) []byte {
	out := append(bytes.Repeat([]byte{' '}, 64), "TLS 1.3, "+side+" CertificateVerify\x00"...)
	return append(out, bytes.Repeat([]byte{'h'}, hash)...)
}

// desk is what a script works on: the keys that are known, and the last question to Vault.
type desk struct {
	keys    map[string]*cryptov1.Key
	pending *crypto.Asked
	need    crypto.Effect
}

func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		d := &desk{keys: map[string]*cryptov1.Key{}}
		datadriven.RunTest(t, path, func(t *testing.T, data *datadriven.TestData) string { return d.run(t, data) })
	}
}

// arg returns an argument, or what it is without one.
func arg(d *datadriven.TestData, name, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == name && len(a.Vals) > 0 {
			return strings.Join(a.Vals, ",")
		}
	}
	return otherwise
}

func (k *desk) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "key": // key NAME CATEGORY SCHEME
		name := d.CmdArgs[0].Key
		public := publicOf(name)
		short, full := signing.KeyID(public)
		tenant := arg(d, "tenant", vnode)
		k.keys[tenant+"/"+name] = &cryptov1.Key{
			Tenant: tenant, KeyId: short, FullId: full, Alias: name, Category: d.CmdArgs[1].Key, Scheme: d.CmdArgs[2].Key,
			PublicKey: public, VaultName: tenant + "." + name, Version: 1, RequestedScheme: arg(d, "asked", ""),
		}
		return short + "\n"
	case "ask": // ask REQUESTER OPERATION …
		return k.ask(t, d)
	case "vault": // vault made|signed|opened|refused …
		return k.vault(t, d)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
		return ""
	}
}

func (k *desk) ask(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	tenant := arg(d, "tenant", vnode)
	r := &cryptov1.Request{Tenant: tenant}
	var s crypto.State
	key := arg(d, "key", "")
	id, _ := signing.KeyID(publicOf(key))
	purpose := cryptov1.Purpose(cryptov1.Purpose_value["PURPOSE_"+strings.ToUpper(strings.ReplaceAll(arg(d, "purpose", ""), "-", "_"))])
	s.Known = k.keys[tenant+"/"+key]
	if key == "" {
		id = ""
	}
	var public []byte
	if of := arg(d, "public", ""); of != "" {
		public = publicOf(of)
	}
	switch d.CmdArgs[1].Key {
	case "sign":
		r.Operation = &cryptov1.Request_Sign{Sign: &cryptov1.Sign{Purpose: purpose, KeyId: id, PublicKey: public, Data: dataOf(t, d, key), Scheme: arg(d, "scheme", "")}}
	case "batch":
		b := &cryptov1.SignBatch{Purpose: purpose, KeyId: id, PublicKey: public, Scheme: arg(d, "scheme", "")}
		for line := range strings.Lines(d.Input) {
			b.Data = append(b.Data, []byte(unescape(strings.TrimSuffix(line, "\n"))))
		}
		r.Operation = &cryptov1.Request_SignBatch{SignBatch: b}
	case "generate":
		alias := arg(d, "alias", "")
		r.Operation = &cryptov1.Request_GenerateKey{GenerateKey: &cryptov1.GenerateKey{Alias: alias, Category: arg(d, "category", ""), Scheme: arg(d, "scheme", "")}}
		if known := k.keys[tenant+"/"+alias]; known != nil {
			s.Named = &cryptov1.KeyReservation{Key: known, Active: true}
		}
	case "list":
		r.Operation = &cryptov1.Request_ListKeys{ListKeys: &cryptov1.ListKeys{}}
		s.Listed = []*cryptov1.Key{{Alias: "one"}}
	case "schemes":
		r.Operation = &cryptov1.Request_SupportedSchemes{SupportedSchemes: &cryptov1.SupportedSchemes{Category: arg(d, "category", "")}}
	case "open":
		to, err := signing.NewReplyKey()
		if err != nil {
			t.Fatal(err)
		}
		o := &cryptov1.OpenEnvelope{KeyId: id, SealedContentKey: make([]byte, 384), ReplyTo: to.Public()}
		if arg(d, "reply-to", "") == "bad" {
			o.ReplyTo = []byte("short")
		}
		if arg(d, "sealed", "") == "short" {
			o.SealedContentKey = o.SealedContentKey[:100]
		}
		r.Operation = &cryptov1.Request_OpenEnvelope{OpenEnvelope: o}
	case "nothing":
	default:
		t.Fatalf("unknown operation %s", d.CmdArgs[1].Key)
	}
	a := crypto.Ask{Requester: crypto.Requester(d.CmdArgs[0].Key), Request: r, ID: "r-1", Key: arg(d, "record", tenant), NowUs: 100_000_000, SentUs: 90_000_000, Place: "0f0f"}
	switch arg(d, "sent", "") {
	case "now":
		a.SentUs = a.NowUs - 1000
	case "ahead":
		a.SentUs = a.NowUs + 3600_000_000
	}
	if arg(d, "deadline", "") == "past" {
		a.DeadlineUs = a.NowUs - 1
	}
	k.pending, k.need = &crypto.Asked{Ask: a}, nil
	return k.step(s, *k.pending)
}

// dataOf is what is to be signed: data=csr:NAME and data=verify:SIDE:N make the structures, the rest is text.
func dataOf(t *testing.T, d *datadriven.TestData, key string) []byte {
	t.Helper()
	kind, rest, _ := strings.Cut(arg(d, "data", ""), ":")
	switch kind {
	case "csr":
		name := rest
		if name == "" {
			name = key
		}
		return csr(publicOf(name))
	case "csr+":
		return append(csr(publicOf(key)), 'x')
	case "verify":
		side, n, _ := strings.Cut(rest, ":")
		size := 0
		if _, err := fmt.Sscan(n, &size); err != nil {
			t.Fatal(err)
		}
		return certificateVerify(side, size)
	}
	return []byte(unescape(strings.TrimSuffix(d.Input, "\n")))
}

// unescape reads NULs.
func unescape(s string) string { return strings.ReplaceAll(s, `\0`, "\x00") }

func (k *desk) vault(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	a := k.pending.Ask
	switch d.CmdArgs[0].Key {
	case "made":
		made := k.need.(crypto.MakeKey)
		e := crypto.KeyMade{Ask: a, Made: made, Type: arg(d, "type", "ecdsa-p256"), PublicKey: publicOf(arg(d, "public", "new")), Weakness: arg(d, "weakness", "")}
		var s crypto.State
		if same := arg(d, "same", ""); same != "" {
			s.Same = &cryptov1.KeyReservation{Key: k.keys[vnode+"/"+same]}
		}
		return k.step(s, e)
	case "signed":
		made := k.need.(crypto.MakeSignatures)
		e := crypto.SignaturesMade{Ask: a, Made: made}
		for i := range made.Messages {
			e.Signatures = append(e.Signatures, fmt.Appendf(nil, "signature %d", i))
		}
		return k.step(crypto.State{}, e)
	case "opened":
		return k.step(crypto.State{}, crypto.EnvelopeOpened{Ask: a, Secret: make([]byte, len(arg(d, "secret", strings.Repeat("x", 32))))})
	case "refused":
		return k.step(crypto.State{}, crypto.VaultRefused{Ask: a, Reason: "no such key"})
	default:
		t.Fatalf("unknown answer %s", d.CmdArgs[0].Key)
		return ""
	}
}

func (k *desk) step(s crypto.State, e crypto.Event) string {
	effects, err := crypto.Step(s, e)
	if err != nil {
		return fmt.Sprintf("poison: %v\n", err)
	}
	var out []string
	for _, effect := range effects {
		out = append(out, show(k.pending.Request, effect))
		switch effect.(type) {
		case crypto.MakeKey, crypto.MakeSignatures, crypto.OpenEnvelope:
			k.need = effect
		}
	}
	return strings.Join(out, "\n") + "\n"
}

func show(request *cryptov1.Request, effect crypto.Effect) string {
	switch e := effect.(type) {
	case crypto.MakeKey:
		return fmt.Sprintf("vault: make %s as %s", e.VaultName, e.Scheme)
	case crypto.MakeSignatures:
		out := fmt.Sprintf("vault: sign with %s, %s", e.Key.GetVaultName(), e.Scheme)
		for _, m := range e.Messages {
			out += fmt.Sprintf("\n  %.110q", m)
		}
		return out
	case crypto.OpenEnvelope:
		return fmt.Sprintf("vault: open %d bytes with %s", len(e.Sealed), e.Key.GetVaultName())
	case crypto.Reserve:
		return fmt.Sprintf("publish %s/%s alias %s, %s, %s, in Vault %s", e.Key.GetTenant(), e.Key.GetKeyId(), e.Key.GetAlias(), e.Key.GetCategory(), e.Key.GetScheme(), e.Key.GetVaultName())
	case crypto.Respond:
		return "reply " + showReply(request, e.Reply)
	case crypto.RespondSealed:
		return fmt.Sprintf("reply %d sealed bytes", len(e.Secret))
	case crypto.Audit:
		return fmt.Sprintf("audit %s: %s by %s on %s", strings.TrimPrefix(e.Entry.GetOutcome().String(), "OUTCOME_"), e.Entry.GetAction(), e.Entry.GetBy(), e.Entry.GetEntity())
	case crypto.WaitForKey:
		return "wait for key " + e.KeyID
	case crypto.Note:
		return "count " + string(e.Outcome)
	default:
		return fmt.Sprintf("%T", effect)
	}
}

func showReply(request *cryptov1.Request, r *rpcv1.Reply) string {
	if e := r.GetError(); e != nil {
		return fmt.Sprintf("%s %s", e.GetType(), e.GetMessage())
	}
	out := ""
	read := func(m proto.Message) {
		if err := proto.Unmarshal(r.GetResult(), m); err != nil {
			panic(err)
		}
	}
	switch request.GetOperation().(type) {
	case *cryptov1.Request_GenerateKey:
		var m cryptov1.GeneratedKey
		read(&m)
		if out = "key " + m.GetKey().GetKeyId(); m.GetWarning() != "" {
			out += ", warning: " + m.GetWarning()
		}
	case *cryptov1.Request_Sign:
		var m cryptov1.Signature
		read(&m)
		out = fmt.Sprintf("%s, %s", m.GetSignature(), m.GetScheme())
	case *cryptov1.Request_SignBatch:
		var m cryptov1.SignatureBatch
		read(&m)
		out = fmt.Sprintf("%q, %s", m.GetSignatures(), m.GetScheme())
	case *cryptov1.Request_ListKeys:
		var m cryptov1.KeyList
		read(&m)
		out = fmt.Sprintf("%d keys", len(m.GetKeys()))
	case *cryptov1.Request_SupportedSchemes:
		var m cryptov1.SchemeList
		read(&m)
		out = strings.Join(m.GetSchemes(), ", ")
	}
	for _, f := range r.GetFacts() {
		out += fmt.Sprintf("; fact %s %s at %d", f.GetTopic(), f.GetKey(), f.GetVersion())
	}
	return out
}
