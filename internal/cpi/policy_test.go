package cpi

import (
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/identity"
)

func members(t testing.TB, names ...string) []identity.Name {
	t.Helper()
	var out []identity.Name
	for _, n := range names {
		parsed, err := identity.ParseName(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, parsed)
	}
	return out
}

func staticPolicy(t testing.TB) []byte {
	t.Helper()
	raw, err := StaticGroupPolicy(groupID, members(t, "O=Bob, L=Paris, C=FR", "O=Alice, L=London, C=GB"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestStaticGroupPolicy(t *testing.T) {
	p, err := ParseGroupPolicy(staticPolicy(t))
	if err != nil || !p.Static() || len(p.ProtocolParameters.StaticNetwork.Members) != 2 || !strings.Contains(p.ProtocolParameters.StaticNetwork.Members[0]["name"].(string), "Alice") {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := StaticGroupPolicy("dev", members(t, "O=Bob, L=Paris, C=FR")); IDOf(err) != ErrGroupPolicy {
		t.Errorf("a group id that is no UUID: %v", err)
	}
	if _, err := StaticGroupPolicy(groupID, nil); IDOf(err) != ErrGroupPolicy {
		t.Errorf("no members: %v", err)
	}
}

// dynamic is a policy as a manager exports it.
func dynamic(t testing.TB) map[string]any {
	t.Helper()
	root := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issue(t, ec(t), name("Root"), nil).Chain[0].Raw}))
	return map[string]any{
		"fileFormatVersion": 1, "groupId": groupID, "registrationProtocol": RegistrationDynamic,
		"synchronisationProtocol": "net.corda.membership.impl.synchronisation.MemberSynchronisationServiceImpl",
		"protocolParameters":      map[string]any{"sessionKeyPolicy": "Distinct"},
		"p2pParameters": map[string]any{"sessionTrustRoots": []any{root}, "tlsTrustRoots": []any{root}, "sessionPki": "Standard", "tlsPki": "Standard", "tlsVersion": "1.3",
			"protocolMode": "Authenticated_Encryption", "tlsType": "OneWay"},
		"mgmInfo": map[string]any{"corda.name": "O=Manager, L=London, C=GB"}, "cipherSuite": map[string]any{},
	}
}

func TestGroupPolicies(t *testing.T) {
	p2p := func(p map[string]any) map[string]any { return p["p2pParameters"].(map[string]any) }
	for what, c := range map[string]struct {
		change func(p map[string]any)
		want   string // in the refusal; empty: it is taken
	}{
		"as exported":  {func(map[string]any) {}, ""},
		"no sessions":  {func(p map[string]any) { p2p(p)["sessionPki"] = "NoPKI"; delete(p2p(p), "sessionTrustRoots") }, ""},
		"mutual TLS":   {func(p map[string]any) { p2p(p)["tlsType"] = "Mutual" }, "mtlsMgmClientCertificateSubject"},
		"no manager":   {func(p map[string]any) { delete(p, "mgmInfo") }, "mgmInfo is missing"},
		"no p2p":       {func(p map[string]any) { delete(p, "p2pParameters") }, "p2pParameters is missing"},
		"bad group":    {func(p map[string]any) { p["groupId"] = "x" }, "a UUID is needed"},
		"bad version":  {func(p map[string]any) { p["fileFormatVersion"] = 2 }, "fileFormatVersion is 2"},
		"misspelt":     {func(p map[string]any) { p["cypherSuite"] = 1 }, `unknown field "cypherSuite"`},
		"TLS 1.1":      {func(p map[string]any) { p2p(p)["tlsVersion"] = "1.1" }, "use 1.2 or 1.3"},
		"no root":      {func(p map[string]any) { p2p(p)["tlsTrustRoots"] = []any{"x"} }, "tlsTrustRoots[0]: one certificate in PEM"},
		"key policy":   {func(p map[string]any) { p["protocolParameters"] = map[string]any{"sessionKeyPolicy": "Some"} }, "use Combined or Distinct"},
		"manager with": {func(p map[string]any) { p["groupId"] = CreateID }, "has no staticNetwork and no mgmInfo"},
		"manager":      {func(p map[string]any) { p["groupId"] = CreateID; delete(p, "mgmInfo"); delete(p, "p2pParameters") }, ""},
	} {
		p := dynamic(t)
		c.change(p)
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseGroupPolicy(raw)
		if c.want == "" && err != nil || c.want != "" && (IDOf(err) != ErrGroupPolicy || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	for _, text := range []string{"", "null", "{}", "[]", `{"fileFormatVersion":1} x`} {
		if _, err := ParseGroupPolicy([]byte(text)); IDOf(err) != ErrGroupPolicy {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzGroupPolicy(f *testing.F) {
	f.Add(staticPolicy(f))
	raw, err := json.Marshal(dynamic(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := ParseGroupPolicy(raw); err != nil && IDOf(err) != ErrGroupPolicy {
			t.Error(err)
		}
	})
}
