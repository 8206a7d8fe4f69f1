package flow_test

import (
	"bytes"
	"encoding/pem"
	"testing"

	"github.com/fairleadio/fairlead/processors/flow"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/sdk/finality/notary"
)

// Which kind a notary is, its application says: what only answers as one that verifies.
func TestKindsOfNotaries(t *testing.T) {
	d := flow.NewDirectory()
	d.VirtualNode("B", &vnodev1.VirtualNode{Identity: &vnodev1.HoldingIdentity{X500Name: "O=Notary, L=London, C=GB", GroupId: "g"}, Version: 1, CpiChecksum: "C"})
	d.Key("B/1", &cryptov1.Key{Category: "NOTARY", PublicKey: []byte("first"), Version: 1})
	cpi := func(protocols ...string) *cpiv1.Cpi {
		m := &cpiv1.Module{Flows: []*cpiv1.FlowClass{{Name: "f"}}}
		for _, p := range protocols {
			m.Flows = append(m.Flows, &cpiv1.FlowClass{Name: p + "-responder", Protocol: p, ProtocolVersions: []uint32{1}})
		}
		return &cpiv1.Cpi{Modules: []*cpiv1.Module{{}, m}}
	}
	is := func(what string, verifies bool) {
		t.Helper()
		published := map[string]string{}
		for _, p := range flow.MembersOf(d, "g").GetMembers()[0].GetContext() {
			published[p.GetName()] = p.GetValue()
		}
		protocol := notary.Protocol
		if verifies {
			protocol = notary.VerifyingProtocol
		}
		if notary.Verifies(published) != verifies || published[notary.PropertyProtocol] != protocol {
			t.Errorf("%s: %v", what, published)
		}
	}
	is("no package", false)
	d.Package("C", cpi(notary.VerifyingProtocol))
	is("one that verifies", true)
	d.Package("C", cpi(notary.VerifyingProtocol, notary.Protocol))
	is("both", false)
	d.Package("C", cpi(notary.VerifyingProtocol, "other"))
	is("one that verifies", true)
	d.Package("C", nil)
	is("gone", false)
	d.Package("C", cpi(notary.Protocol))
	d.Package("D", cpi(notary.VerifyingProtocol))
	is("one of another virtual node's", false)
	d.VirtualNode("B", &vnodev1.VirtualNode{Identity: &vnodev1.HoldingIdentity{X500Name: "O=Notary, L=London, C=GB", GroupId: "g"}, Version: 2, CpiChecksum: "D"})
	is("upgraded", true)
}

// A virtual node with a NOTARY key publishes that it is a notary, and no other does.
func TestNotariesAreFound(t *testing.T) {
	d := flow.NewDirectory()
	for hash, name := range map[string]string{"A": "O=Alice, L=London, C=GB", "B": "O=Notary, L=London, C=GB"} {
		d.VirtualNode(hash, &vnodev1.VirtualNode{Identity: &vnodev1.HoldingIdentity{X500Name: name, GroupId: "g"}, Version: 1})
	}
	d.Key("A/1", &cryptov1.Key{Category: "LEDGER", PublicKey: []byte("ledger"), Version: 1})
	d.Key("B/1", &cryptov1.Key{Category: "NOTARY", PublicKey: []byte("first"), Version: 1})
	d.Key("B/2", &cryptov1.Key{Category: "NOTARY", PublicKey: []byte("second"), Version: 1})
	context := func(m *appv1.Member) map[string]string {
		out := map[string]string{}
		for _, p := range m.GetContext() {
			out[p.GetName()] = p.GetValue()
		}
		return out
	}
	all := flow.MembersOf(d, "g").GetMembers()
	alice, notary := context(all[0]), context(all[1])
	if alice["corda.notary.service.name"] != "" || notary["corda.notary.service.name"] != "O=Notary, L=London, C=GB" || notary["corda.notary.service.backchain.required"] != "true" {
		t.Errorf("%v, %v", alice, notary)
	}
	for name, want := range map[string]string{"corda.notary.keys.0.pem": "first", "corda.notary.keys.1.pem": "second"} {
		if block, _ := pem.Decode([]byte(notary[name])); block == nil || !bytes.Equal(block.Bytes, []byte(want)) {
			t.Errorf("%s is %q", name, notary[name])
		}
	}
}
