package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
)

// groupID is the application network of the tests.
const groupID = "8f5b6c1e-2a3b-4c5d-9e6f-0a1b2c3d4e5f"

const (
	alice = "O=Alice, L=London, C=GB"
	bob   = "O=Bob, L=Paris, C=FR"
)

// signer makes the key of somebody who signs packages. Who it is, is the subject of the certificate.
func (w *world) signer(name string) cpi.Key {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{name}, Country: []string{"GB"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	w.must(err)
	c, err = x509.ParseCertificate(der)
	w.must(err)
	return cpi.Key{Signer: key, Chain: []*x509.Certificate{c}}
}

func part(b []byte) cpi.Part { return cpi.Part{Source: bytes.NewReader(b), Size: int64(len(b))} }

// installer packs code for Alice and Bob.
func (w *world) installer(name, version string, k cpi.Key, code ...cpi.Code) []byte {
	w.Helper()
	var members []identity.Name
	for _, m := range []string{alice, bob} {
		n, err := identity.ParseName(m)
		w.must(err)
		members = append(members, n)
	}
	policy, err := cpi.StaticGroupPolicy(groupID, members)
	w.must(err)
	within := part(w.bundle(name, version, k, code...))
	var whole bytes.Buffer
	w.must(cpi.WriteCPI(&whole, name, version, policy, &within, k))
	return whole.Bytes()
}

func (w *world) bundle(name, version string, k cpi.Key, code ...cpi.Code) []byte {
	w.Helper()
	var parts []cpi.Part
	for _, c := range code {
		var b bytes.Buffer
		w.must(cpi.WriteCPK(&b, c, k))
		parts = append(parts, part(b.Bytes()))
	}
	var b bytes.Buffer
	w.must(cpi.WriteCPB(&b, name, version, parts, k))
	return b.Bytes()
}

// Six workers with exactly the rules of the catalogue run two applications: sessions and tables between virtual nodes, a
// key, a row and a record on an external channel. No rule is missing.
func TestWorkersNeedNoOtherRules(t *testing.T) {
	w := newWorld(t)
	k := w.signer("developer")
	w.trust("developer", k)
	build := func(dir string) cpi.Code {
		built, err := appbuild.Builder{Runtime: w.runtime}.Package(t.Context(), dir)
		w.must(err)
		return built.Code
	}
	checksum, err := w.upload(w.installer("both", "1", k, build("../../apps/chat"), build("../../apps/notes")))
	w.must(err)
	a, err := w.vnode(alice, checksum)
	w.must(err)
	b, err := w.vnode(bob, checksum)
	w.must(err)
	var key, note struct {
		ID    string
		KeyID string `json:"key_id"`
	}
	w.must(w.post("/key/"+a+"/alias/notes/category/LEDGER/scheme/CORDA.ECDSA.SECP256R1", nil, &key))
	w.must(w.flow(a, "note", "note", map[string]string{"text": "milk"}, &note))
	if note.KeyID != key.ID || key.ID == "" {
		t.Errorf("signed with %q, the key is %q", note.KeyID, key.ID)
	}
	var told []string
	w.must(w.admin.Read(t.Context(), kafkaadmin.Range{Topics: []string{"ext." + a + ".notes.receive"}, From: kafkaadmin.Start()}, func(r kafkaadmin.Record) error {
		told = append(told, string(r.Value))
		return nil
	}))
	if len(told) != 1 || !strings.Contains(told[0], note.ID) {
		t.Errorf("the channel has %v", told)
	}
	var sent struct{ ID string }
	w.must(w.flow(a, "send", "chat-send", map[string]string{"to": bob, "text": "hello"}, &sent))
	var kept []struct{ Sender, Text string }
	w.must(w.flow(b, "list", "chat-list", map[string]string{}, &kept))
	if len(kept) != 1 || kept[0].Text != "hello" {
		t.Errorf("Bob kept %+v", kept)
	}
	w.hostilePackages(k, a, checksum)
}
