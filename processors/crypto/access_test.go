package crypto_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/processors/crypto"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
)

// table renders the rules as docs/security/crypto.md has them.
func table() string {
	var b strings.Builder
	b.WriteString("| requester | operation | purpose | keys of category | tenants |\n|---|---|---|---|---|\n")
	for _, r := range crypto.Rules() {
		purpose, categories := "", strings.Join(r.Categories, ", ")
		if r.Operation == crypto.OpSign {
			purpose = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(r.Purpose.String(), "PURPOSE_"), "_", "-"))
		}
		var tenants []string
		for _, k := range r.Tenants {
			tenants = append(tenants, string(k))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Requester, r.Operation, purpose, categories, strings.Join(tenants, ", "))
	}
	return b.String()
}

// What the documents say is allowed is what the code allows.
func TestTableIsDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "security", "crypto.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), table()) {
		t.Errorf("docs/security/crypto.md lacks the table as it is in the code:\n%s", table())
	}
}

// allowed tells what the table allows, written again: the union of the design's sentences, not of the code's rows.
func allowed(r crypto.Requester, p cryptov1.Purpose, category string) bool {
	in := func(list ...string) bool { return slices.Contains(list, category) }
	switch r {
	case crypto.Flows:
		return p == cryptov1.Purpose_PURPOSE_APPLICATION && in("ACCOUNTS", "CI", "LEDGER") ||
			p == cryptov1.Purpose_PURPOSE_LEDGER && in("ACCOUNTS", "CI", "LEDGER", "NOTARY")
	case crypto.Administrators:
		return p == cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST && in("LEDGER", "NOTARY", "SESSION_INIT", "TLS")
	case crypto.Gateways:
		return p == cryptov1.Purpose_PURPOSE_TLS_CERTIFICATE_VERIFY && in("TLS")
	case crypto.LinkManagers:
		return p == cryptov1.Purpose_PURPOSE_LINK_HANDSHAKE && in("SESSION_INIT")
	case crypto.Membership:
		return p == cryptov1.Purpose_PURPOSE_MEMBER_CONTEXT && in("LEDGER", "NOTARY", "SESSION_INIT") ||
			p == cryptov1.Purpose_PURPOSE_GROUP && in("SESSION_INIT")
	}
	return false
}

// sample returns bytes of a purpose's form.
func sample(p cryptov1.Purpose, public []byte) []byte {
	switch p {
	case cryptov1.Purpose_PURPOSE_LEDGER:
		return []byte(signing.LedgerPrefix + "x")
	case cryptov1.Purpose_PURPOSE_LINK_HANDSHAKE:
		return []byte(signing.LinkPrefix + "x")
	case cryptov1.Purpose_PURPOSE_MEMBER_CONTEXT:
		return []byte(signing.MemberPrefix + "x")
	case cryptov1.Purpose_PURPOSE_GROUP:
		return []byte(signing.GroupPrefix + "x")
	case cryptov1.Purpose_PURPOSE_TLS_CERTIFICATE_VERIFY:
		return certificateVerify("server", 32)
	case cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST:
		return csr(public)
	default:
		return []byte("x")
	}
}

// A requester's class that has been taken over asks for everything: every purpose with every category, with the bytes
// of every purpose. It gets what it may have, and nothing of another purpose's form is ever signed.
func TestTakenOver(t *testing.T) {
	public := publicOf("key")
	id, full := signing.KeyID(public)
	categories := []string{"ACCOUNTS", "CI", "LEDGER", "NOTARY", "PRE_AUTH", "SESSION_INIT", "TLS", "JWT_KEY", "ENCRYPTION_SECRET"}
	signed, refused := 0, 0
	for _, r := range crypto.Requesters() {
		for number := range cryptov1.Purpose_name {
			for _, category := range categories {
				for bytes := range cryptov1.Purpose_name {
					purpose := cryptov1.Purpose(number)
					data := sample(cryptov1.Purpose(bytes), public)
					key := &cryptov1.Key{Tenant: vnode, KeyId: id, FullId: full, Category: category, Scheme: signing.P256, PublicKey: public, VaultName: "k"}
					request := &cryptov1.Request{Tenant: vnode, Operation: &cryptov1.Request_Sign{Sign: &cryptov1.Sign{Purpose: purpose, KeyId: id, Data: data}}}
					effects, err := crypto.Step(crypto.State{Known: key}, crypto.Asked{Ask: crypto.Ask{Requester: r, Request: request, ID: "1"}})
					if err != nil {
						t.Fatal(err)
					}
					made, ok := effects[0].(crypto.MakeSignatures)
					// Applications get a prefix in front of whatever they send; all others must send what fits.
					want := allowed(r, purpose, category) && (purpose == cryptov1.Purpose_PURPOSE_APPLICATION || cryptov1.Purpose(bytes) == purpose)
					if ok != want {
						t.Errorf("%s, %s, key of category %s, bytes of %s: signed %v, should be %v", r, purpose, category, cryptov1.Purpose(bytes), ok, want)
					}
					if !ok {
						refused++
						audited := slices.ContainsFunc(effects, func(e crypto.Effect) bool { _, ok := e.(crypto.Audit); return ok })
						if !audited {
							t.Errorf("%s, %s, key of category %s: refused and not audited", r, purpose, category)
						}
						continue
					}
					signed++
					for other := range cryptov1.Purpose_name {
						p := cryptov1.Purpose(other)
						if p == purpose || p == cryptov1.Purpose_PURPOSE_APPLICATION {
							continue
						}
						if _, err := signing.Check(p, vnode, made.Messages[0], public); err == nil {
							t.Errorf("what %s got signed for %s passes for %s", r, purpose, p)
						}
					}
				}
			}
		}
	}
	t.Logf("%d were signed, %d refused", signed, refused)
}

// Every id that a user can see has advice, and every advice an id.
func TestExplanations(t *testing.T) {
	advice := crypto.Explanations()
	ids := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f == "explain.go" {
			continue
		}
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range regexp.MustCompile(`FL-CRYPTO-\d{3}`).FindAllString(string(source), -1) {
			ids[id] = true
		}
	}
	for id := range ids {
		if advice[id] == "" {
			t.Errorf("%s has no advice", id)
		}
	}
	if len(advice) != len(ids) {
		t.Errorf("%d ids, %d with advice", len(ids), len(advice))
	}
}
