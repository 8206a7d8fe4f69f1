package development

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
)

// Flows issue tokens, claim them and pay with them, through all workers; a claim ends with its flow, and a second run of the
// cluster has the same tokens.
func TestTokens(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	type receipt struct{ Claimed, Total, Available, Error string }
	dir := shortDir(t)
	c := start(t, dir, "testdata/pays")
	n := 0
	pay := func(order map[string]any) (r receipt) {
		n++
		c.run(0, fmt.Sprintf("pay-%d", n), "pay", order, &r)
		return r
	}
	want := func(got, want receipt) {
		t.Helper()
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	want(pay(map[string]any{"issue": []string{"5", "0.5", "3"}, "claim": "8.5"}), receipt{Claimed: "8.5", Total: "8.5", Available: "0"})
	want(pay(map[string]any{"claim": "8.6"}), receipt{Total: "8.5", Available: "8.5", Error: "not-enough-tokens"})
	want(pay(map[string]any{"claim": "8.5", "spend": true}), receipt{Claimed: "8.5", Total: "8.5", Available: "8.5"})
	want(pay(map[string]any{"claim": "1"}), receipt{Claimed: "8.5", Total: "8.5", Available: "0"})
	c.stop()

	c = start(t, dir, "testdata/pays")
	defer c.stop()
	want(pay(map[string]any{"claim": "8", "spend": true}), receipt{Claimed: "8.5", Total: "8.5", Available: "8.5"})
}

// The built-in network pays as soon as it is ready, with no key made by hand, and goes on in a second run with the keys of
// the first. What is issued is what members have and what was redeemed.
func TestPayments(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	network, err := devenv.LoadNetwork(devenv.Payments, ".")
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	run := func() *cluster {
		t.Helper()
		c, err := try(t, func(o *devenv.Options) { o.Dir, o.Network, o.Workers = dir, network, app.Available() })
		if err != nil {
			t.Fatal(err)
		}
		return client(t, c)
	}
	const alice, bob, bank = 0, 1, 2
	type final struct{ Transaction, Change string }
	c := run()
	nodes := c.Info().VirtualNodes
	name := func(n int) string { return nodes[n].X500Name }
	money := func(amount string) map[string]string {
		return map[string]string{"issuer": name(bank), "symbol": "USD", "amount": amount}
	}
	pay := func(id string, from, to int, amount string) (f final) {
		t.Helper()
		m := money(amount)
		m["to"] = name(to)
		c.run(from, id, "tokens-pay", m, &f)
		return f
	}
	asked := 0
	has := func(want ...string) {
		t.Helper()
		for n, w := range want {
			var all []struct{ Issuer, Symbol, Amount string }
			asked++
			c.run(n, fmt.Sprintf("balance-%d", asked), "tokens-balance", map[string]string{}, &all)
			got := ""
			if len(all) == 1 && all[0].Issuer == name(bank) && all[0].Symbol == "USD" {
				got = all[0].Amount
			}
			if len(all) > 1 || got != w {
				t.Errorf("%s has %+v, want %q", nodes[n].Name, all, w)
			}
		}
	}
	keys := func() (out []string) {
		t.Helper()
		for _, n := range nodes {
			var all map[string]struct{ HsmCategory string }
			c.call("GET", "/api/v5_2/key/"+n.ShortHash, nil, &all)
			for id, k := range all {
				out = append(out, n.Name+" "+k.HsmCategory+" "+id)
			}
		}
		slices.Sort(out)
		return out
	}
	made := keys()
	if len(made) != len(nodes) {
		t.Errorf("the members have the keys %q", made)
	}
	var f final
	c.run(bank, "issue", "tokens-issue", map[string]string{"to": name(alice), "symbol": "USD", "amount": "100"}, &f)
	if f = pay("pay-1", alice, bob, "30.50"); f.Change != "69.5" || len(f.Transaction) != 64 {
		t.Errorf("%+v", f)
	}
	c.run(bob, "redeem", "tokens-redeem", money("10"), &f)
	has("69.5", "20.5", "")
	c.stop()

	c = run()
	defer c.stop()
	if again := keys(); !slices.Equal(made, again) {
		t.Errorf("the first run made the keys %q, the second has %q", made, again)
	}
	has("69.5", "20.5", "")
	pay("pay-2", bob, alice, "20.5")
	has("90", "", "")
}
