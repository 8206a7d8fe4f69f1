package devenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// networkAt writes a network's file beside two applications.
func networkAt(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, app := range []string{"bank", "shop"} {
		if err := os.Mkdir(filepath.Join(dir, app), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, app, "go.mod"), "module "+app+"\n")
	}
	file := filepath.Join(dir, "network.yaml")
	put(t, file, text)
	return file
}

func TestNetwork(t *testing.T) {
	file := networkAt(t, `
group: trade
clusters: [here]
applications: {bank: bank, shop: ./shop}
members:
  - name: C=GB, L=London, O=Alice
    application: bank
  - name: O=Corner Shop, L=Paris, C=FR
    application: shop
    cluster: here
`)
	n, err := LoadNetwork(file)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := n.virtualNodes()
	if err != nil || len(nodes) != 2 || nodes[0].X500Name != "O=Alice, L=London, C=GB" || nodes[0].App != "bank" || nodes[1].Name != "Corner Shop" || nodes[1].App != "shop" {
		t.Errorf("%+v %v", nodes, err)
	}
	if n.GroupID == GroupID() || len(n.folders()) != 2 || !n.HasApps() {
		t.Errorf("%+v", n)
	}
	if _, err := n.withApp("/elsewhere"); err == nil || !strings.Contains(err.Error(), "--app /elsewhere") {
		t.Errorf("with --app: %v", err)
	}
	_, err = Start(t.Context(), Options{Dir: t.TempDir(), RestAddress: "127.0.0.1:0", Workers: Bare(), Network: n, Native: true})
	if err == nil || !strings.Contains(err.Error(), "it runs one application, and network") {
		t.Errorf("natively: %v", err)
	}

	n, err = LoadNetwork(networkAt(t, "group: 0e3e7a5c-5a4e-4d0c-8f0b-2f6d2a9d6f11\nmembers: [{name: 'O=Zoe, L=Rome, C=IT'}]\n"))
	if err != nil || n.GroupID != "0e3e7a5c-5a4e-4d0c-8f0b-2f6d2a9d6f11" || n.HasApps() {
		t.Errorf("%+v %v", n, err)
	}
	if n, err = n.withApp("/app"); err != nil || n.Members[0].App != "/app" {
		t.Errorf("%+v %v", n, err)
	}
	n, err = LoadNetwork(networkAt(t, "applications: {bank: bank}\nmembers: [{name: 'O=Zoe, L=Rome, C=IT'}]\n"))
	if err != nil || filepath.Base(n.Members[0].App) != "bank" {
		t.Errorf("the only application: %+v %v", n, err)
	}
	for _, name := range []string{"", OneCluster} {
		if n, err := LoadNetwork(name); err != nil || len(n.Members) != 2 || n.GroupID != GroupID() {
			t.Errorf("%q: %+v %v", name, n, err)
		}
	}
}

// A notary is its name, or more; it has an application of its own, and members have the other one.
func TestNetworkWithNotary(t *testing.T) {
	const head = "applications: {bank: bank, notary: shop}\nmembers: [{name: 'O=Zoe, L=Rome, C=IT'}]\n"
	for text, app := range map[string]string{
		head + "notary: C=GB, L=London, O=Notary\n":           "shop",
		head + "notary: {name: 'O=Notary, L=London, C=GB'}\n": "shop",
		"applications: {bank: bank, n: shop}\nmembers: [{name: 'O=Zoe, L=Rome, C=IT', application: bank}]\n" +
			"notary: {name: 'O=Notary, L=London, C=GB', application: n}\n": "shop",
		"applications: {bank: bank}\nmembers: [{name: 'O=Zoe, L=Rome, C=IT'}]\nnotary: {name: 'O=Notary, L=London, C=GB', application: bank}\n": "bank",
	} {
		n, err := LoadNetwork(networkAt(t, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		nodes, err := n.virtualNodes()
		if err != nil || len(nodes) != 2 || !nodes[1].Notary || nodes[0].Notary || nodes[1].X500Name != "O=Notary, L=London, C=GB" || nodes[1].App != app {
			t.Errorf("%s: %+v %v", text, nodes, err)
		}
		if app != "bank" && nodes[0].App != "bank" {
			t.Errorf("%s: the member has %q", text, nodes[0].App)
		}
	}

	// Members have the application of --app, and the notary keeps its own.
	n, err := LoadNetwork(networkAt(t, "applications: {notary: shop}\nmembers: [{name: 'O=Zoe, L=Rome, C=IT'}]\nnotary: O=Notary, L=London, C=GB\n"))
	if err == nil {
		n, err = n.withApp("/app")
	}
	if err != nil || n.Members[0].App != "/app" || filepath.Base(n.Members[1].App) != "shop" {
		t.Errorf("%+v %v", n, err)
	}
	if _, err = Start(t.Context(), Options{Dir: t.TempDir(), RestAddress: "127.0.0.1:0", Workers: Bare(), Network: n}); err == nil || !strings.Contains(err.Error(), "the crypto worker makes") {
		t.Errorf("without the crypto worker: %v", err)
	}

	// In the repository, or where its program lies, there is one that is ready to pay.
	n, err = LoadNetwork(Payments, t.TempDir(), ".")
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := n.virtualNodes()
	if err != nil || len(nodes) != 4 || !n.HasApps() {
		t.Fatalf("%+v %v", nodes, err)
	}
	for i, want := range []string{"Alice tokens", "Bob tokens", "Bank tokens", "Notary notary"} {
		if got := nodes[i].Name + " " + nodes[i].App; got != want || nodes[i].Notary != (i == 3) {
			t.Errorf("%+v, want %s", nodes[i], want)
		}
	}
}

// Every field that cannot be used is named, with what to do.
func TestNetworkIsRefused(t *testing.T) {
	const member = "members: [{name: 'O=Zoe, L=Rome, C=IT'}]\n"
	for text, want := range map[string][]string{
		"clusters: [a, b]\n" + member:               {"clusters: 2 are named", "cannot be linked yet"},
		"notary: {name: 'O=N'}\n" + member:          {"notary: ", "a right one: O=Alice", "notary: its application is missing: name its folder in applications"},
		"notary: [x]\n" + member:                    {"line 1", "notary is the notary's name"},
		"notary: {nam: x}\n" + member:               {"line 1", "field nam not found in notary"},
		"notary: {name: [x]}\n" + member:            {"line 1", "notary.name is no text"},
		"notaries: [x]\n" + member:                  {"notaries: a network has one notary"},
		"mgm: O=M\n" + member:                       {"mgm: there is no membership manager yet"},
		"":                                          {"members: is empty"},
		"member: []\n":                              {"line 1", "field member not found", "known are group"},
		"members: 7\n":                              {"line 1", "known are group"},
		"members: [{name: Zoe}]\n":                  {"members[0].name", "a right one: O=Alice"},
		"members: [{name: 'O=Z, L=R, C=IT', x: 1}]": {"field x not found"},
		"members: [{name: 'O=Z, L=R, C=IT'}, {name: 'C=IT, L=R, O=Z'}]":                                  {"members[1].name: is the name of members[0] too"},
		"members: [{name: 'O=Z, L=R, C=IT', application: pay}]":                                          {"members[0].application", "names none"},
		"members: [{name: 'O=Z, L=R, C=IT', notary: true}]":                                              {"members[0].notary", "write it at the top, as notary: O=Z, L=R, C=IT"},
		"applications: {notary: bank}\nnotary: 'C=IT, L=Rome, O=Zoe'\n" + member:                         {"notary: is the name of members[0] too"},
		"notary: {name: 'O=N, L=R, C=IT', application: pay}\n" + member:                                  {`notary: its application "pay" is not in applications`},
		"notary: {name: 'O=N, L=R, C=IT', cluster: there}\n" + member:                                    {"notary.cluster", `"there" is not in clusters`},
		"members: [{name: 'O=Z, L=R, C=IT', cluster: there}]":                                            {"members[0].cluster", `"there" is not in clusters`},
		"applications: {bank: nowhere}\n" + member:                                                       {"applications.bank", `"nowhere" is not the folder`},
		"applications: {bank: bank, shop: shop}\n" + member:                                              {"members[0].application: is missing", "bank, shop"},
		"applications: {bank: bank}\nmembers: [{name: 'O=Z, L=R, C=IT', application: pay}]":              {"members[0].application", "which has bank"},
		"clusters: [a, b]\nnotary: x\nmembers: [{name: 'O=Z, L=R, C=IT', cluster: b, application: pay}]": {"clusters: 2", "notary: ", "members[0].application"},
	} {
		file := networkAt(t, text)
		_, err := LoadNetwork(file)
		if err == nil {
			t.Errorf("%q is taken", text)
			continue
		}
		for _, w := range append(want, "FL-DEV-012: --network "+file) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %q is not in\n%v", text, w, err)
			}
		}
		if strings.Contains(err.Error(), "devenv.") {
			t.Errorf("%q: Go's own words: %v", text, err)
		}
	}
	for name, want := range map[string]string{twoBanks: "clusters that are linked, which are not there yet", Payments: "apps/tokens and apps/notary", "none.yaml": "neither a built-in network"} {
		if _, err := LoadNetwork(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two members with applications of their own run beside each other, and another member joins at the next start.
func TestNetworkRuns(t *testing.T) {
	dir := t.TempDir()
	second := nativeApp(t, `package main

import "github.com/fairleadio/fairlead/sdk/flow"

func init() {
	flow.Register("shop", func(ctx *flow.Context, _ struct{}) (string, error) { return "open", nil })
}

func main() {}
`)
	absolute, err := filepath.Abs(hello)
	if err != nil {
		t.Fatal(err)
	}
	n := Network{Name: "test", GroupID: GroupID(), Members: []Member{{Name: "O=Alice, L=London, C=GB", App: absolute}, {Name: "O=Corner Shop, L=Paris, C=FR", App: second}}}
	c := start(t, dir, "", func(o *Options) { o.Network = n })
	nodes := c.Info().VirtualNodes
	if len(nodes) != 2 || nodes[0].App != "hello" || nodes[1].App != "debugged" {
		t.Fatalf("%+v", nodes)
	}
	api := newClient(t, c)
	api.start("hello", "hello", `{"name":"World"}`)
	if got := api.result("hello"); !strings.Contains(got, "World") {
		t.Errorf("%s", got)
	}
	api.info.VirtualNodes = nodes[1:]
	api.start("shop", "shop", `{}`)
	if got := api.result("shop"); !strings.Contains(got, "open") {
		t.Errorf("%s", got)
	}
	if code, text := api.do("POST", "/api/v5_2/flow/"+nodes[1].ShortHash, `{"clientRequestId":"x","flowClassName":"hello","requestBody":{}}`); code < 400 {
		t.Errorf("the shop has Alice's application: %d %s", code, text)
	}
	stop(t, c)
	n.Members = append(n.Members, Member{Name: "O=Zoe, L=Rome, C=IT", App: second})
	c = start(t, dir, "", func(o *Options) { o.Network = n })
	defer stop(t, c)
	api = newClient(t, c)
	api.info.VirtualNodes = c.Info().VirtualNodes[2:]
	api.start("zoe", "shop", `{}`)
	if got := api.result("zoe"); !strings.Contains(got, "open") {
		t.Errorf("%s", got)
	}
}

// A notary that verifies contracts has them in its package, or can make nothing final: which is said before anything starts.
func TestNotaryThatCannotVerify(t *testing.T) {
	apps := map[string]Application{
		"pay": {Name: "pay", Contracts: []string{"Coin"}}, "notary": {Name: "notary", Answers: []string{"fairlead.notary.nonvalidating"}},
		"verifying": {Name: "notary-verifying", Answers: []string{"fairlead.notary.contractverifying"}}, "both": {Name: "both", Answers: []string{"x", "fairlead.notary.contractverifying"}},
	}
	for _, c := range []struct {
		members, notary string
		want            string
	}{
		{"pay", "notary", ""},
		{"both", "both", ""},
		{"pay", "verifying", "FL-DEV-012: --network n.yaml: notary.application: notary-verifying verifies contracts, so its package must have those of pay"},
	} {
		n := Network{Name: "n.yaml", Members: []Member{{Name: "O=Alice, L=London, C=GB", App: c.members}, {Name: "O=Notary, L=London, C=GB", App: c.notary, Notary: true}}}
		err := n.verifiable(apps)
		if err == nil && c.want != "" || err != nil && (c.want == "" || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s, %s: %v, want %q", c.members, c.notary, err, c.want)
		}
	}
}

// Members without contracts need none of them at a notary, and one that answers to both protocols counts as one that does not verify.
func TestNotaryThatNeedsNoContracts(t *testing.T) {
	apps := map[string]Application{
		"orders": {Name: "orders"},
		"bank":   {Name: "bank", Contracts: []string{"Coin"}, Answers: []string{"fairlead.notary.contractverifying"}},
		"both":   {Name: "both", Answers: []string{"fairlead.notary.nonvalidating", "fairlead.notary.contractverifying"}},
		"pay":    {Name: "pay", Contracts: []string{"Coin"}},
	}
	for _, c := range []struct{ members, notary string }{{"orders", "bank"}, {"pay", "both"}} {
		n := Network{Name: "n.yaml", Members: []Member{{Name: "O=Alice, L=London, C=GB", App: c.members}, {Name: "O=Notary, L=London, C=GB", App: c.notary, Notary: true}}}
		if err := n.verifiable(apps); err != nil {
			t.Errorf("%s, %s: %v", c.members, c.notary, err)
		}
	}
}
