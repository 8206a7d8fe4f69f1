package verification_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/processors/verification"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// release is a version of a package.
type release struct {
	name, version, from, signer string
	contracts                   []string
}

// file is what the release's file is called in these tests: it stands for its content.
func (r release) file() string {
	return r.name + r.version + r.from + r.signer + strings.Join(r.contracts, "")
}

func (r release) named() ledger.Package {
	p := ledger.Package{Name: r.name, Version: r.version, Checksum: hash(r.file()), Signer: hash(r.signer)}
	if r.signer == "" {
		p.Signer = p.Checksum
	}
	return p
}

// installRelease publishes a release.
func (f *facts) installRelease(r release) {
	info, chunks := cpi(r.file(), []byte("module of "+r.file()), r.contracts...)
	k, signer := info.GetCpks()[0], hash(r.signer)
	k.Name, k.Version, k.CompatibleFrom, k.SignerSummaryHash = r.name, r.version, r.from, "SHA-256:"+signer.String()
	if r.signer == "" {
		k.SignerSummaryHash = ""
	}
	f.mu.Lock()
	for _, c := range chunks {
		f.chunks[chunkKey(c)] = c
	}
	f.mu.Unlock()
	for _, w := range f.watchers {
		w(r.file(), info)
	}
}

// under is a transaction that names releases.
func under(t testing.TB, releases []release, change func(*ledger.Content)) *ledger.Transaction {
	t.Helper()
	c := making("token")
	c.Metadata.Packages = nil
	for _, r := range releases {
		c.Metadata.Packages = append(c.Metadata.Packages, r.named())
	}
	if change != nil {
		change(&c)
	}
	return transaction(t, c)
}

// Which package's states a transaction may consume and look at under which. The cluster has only what is named "now", and
// what is to be here beside.
func TestVersionsOfPackages(t *testing.T) {
	token := func(version, from string) release { return release{"pay", version, from, "bank", []string{"token"}} }
	lib := release{"lib", "1.0", "", "bank", []string{"accept.lib"}}
	evil := release{"evil", "1.0", "1.0", "thief", []string{"token"}}
	named := release{"pay", "2.0", "1.0", "thief", []string{"token"}}
	moved := release{"lib", "2.0", "1.0", "thief", []string{"token"}}
	renewed := release{"pay", "2.0", "1.0", "bank", []string{"token", "accept.more"}}
	for name, c := range map[string]struct {
		made, now, here []release
		reference       bool
		want            string
	}{
		"the same package":                       {made: []release{token("1.0", "")}, now: []release{token("1.0", "")}, want: "VERIFIED"},
		"a later version that says so":           {made: []release{token("1.0", "")}, now: []release{token("2.0", "1.0")}, want: "VERIFIED"},
		"a later version that says so of others": {made: []release{token("1.0", "")}, now: []release{token("2.0", "1.5")}, want: "token|input 0|… was made by package pay 1.0, and version 2.0 takes states of version 1.5 and later (compatible_from)"},
		"a later version that says nothing":      {made: []release{token("1.0", "")}, now: []release{token("2.0", "")}, want: "token|input 0|… was made by package pay 1.0, and version 2.0 takes only states of its own: it has no compatible_from"},
		"numbers are compared as numbers":        {made: []release{token("1.9", "")}, now: []release{token("1.10", "1.9")}, want: "VERIFIED"},
		"an earlier version":                     {made: []release{token("2.0", "")}, now: []release{token("1.0", "1.0")}, want: "token|input 0|… was made by package pay 2.0, which is later than version 1.0"},
		"the version built anew":                 {made: []release{token("2.0", "1.0")}, now: []release{renewed}, want: "VERIFIED"},
		"another package with the contract":      {made: []release{token("1.0", "")}, now: []release{evil}, want: "token|input 0|… was made by package pay 1.0, and its contract is here that of package evil: name a version of package pay"},
		"another signer":                         {made: []release{token("1.0", "")}, now: []release{named}, want: "token|input 0|… was made by package pay 1.0, signed by "},
		"of a reference the same":                {made: []release{token("1.0", "")}, now: []release{token("1.0", ""), lib}, reference: true, want: "VERIFIED"},
		"of a reference another package":         {made: []release{evil}, now: []release{token("1.0", "")}, reference: true, want: "token|reference 0|… was made by package evil 1.0"},
		"of a reference no package":              {made: []release{evil}, now: []release{lib}, reference: true, want: "token|reference 0|… has a contract that 0 of the packages"},
		"of a reference two packages":            {made: []release{evil}, now: []release{token("1.0", ""), evil}, reference: true, want: "token|reference 0|… has a contract that 2 of the packages"},
		"of several packages the same":           {made: []release{lib, token("1.0", "")}, now: []release{token("1.0", "")}, want: "VERIFIED"},
		"of several packages one that is here":   {made: []release{lib, token("1.0", "")}, now: []release{token("2.0", "1.0")}, here: []release{token("1.0", "")}, want: "VERIFIED"},
		"of several packages one that is not":    {made: []release{lib, token("1.0", "")}, now: []release{token("2.0", "1.0")}, want: "package-missing FL-VERIFICATION-004"},
		"of another of several packages":         {made: []release{lib, token("1.0", "")}, now: []release{moved}, here: []release{lib, token("1.0", "")}, want: "token|input 0|… was made by package pay 1.0, and its contract is here that of package lib"},
		"of none of several packages":            {made: []release{lib, {"lab", "1.0", "", "bank", nil}}, now: []release{moved}, here: []release{lib, {"lab", "1.0", "", "bank", nil}}, want: "token|input 0|… was made by packages none of which has its contract"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newJudge(t)
			for _, r := range append(c.here, c.now...) {
				w.facts.installRelease(r)
			}
			from := under(t, c.made, nil)
			tx := under(t, c.now, func(content *ledger.Content) {
				if content.Inputs = []ledger.StateRef{from.Output(0)}; c.reference {
					content.Inputs, content.References = nil, content.Inputs
					content.Outputs[0].Contract = "accept.lib"
				}
			})
			got := w.verdict(t, tx, source(t, from, 0))
			got = strings.ReplaceAll(got, "state "+from.ID().String()+":0", "…")
			if !strings.HasPrefix(strings.TrimPrefix(got, "INVALID\n"), c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// A contract of the name of one of the asker's own is not judged by a package of other signers, although the asker has an earlier
// version of it that has no such contract.
func TestOwnContracts(t *testing.T) {
	own := func(signer string) []*verificationv1.OwnContract {
		o := &verificationv1.OwnContract{Contract: "token"}
		if signer != "" {
			sum := hash(signer)
			o.Signer = sum[:]
		}
		return []*verificationv1.OwnContract{{Contract: "another"}, o}
	}
	pay, later := release{"pay", "1.0", "", "bank", []string{"token"}}, release{"pay", "2.0", "1.0", "bank", []string{"token"}}
	before := release{"pay", "0.9", "", "bank", []string{"accept.more"}}
	loyalty := release{"loyalty", "2.0", "", "thief", []string{"token", "accept.points"}}
	unsigned := release{"pay", "3.0", "", "", []string{"token"}}
	const strange = "package-untrusted FL-VERIFICATION-006: transaction … contract token would be judged by package "
	for name, c := range map[string]struct {
		made, now []release
		own       []*verificationv1.OwnContract
		reference bool
		output    string
		want      string
	}{
		"its own":                              {now: []release{pay}, own: own("bank"), want: "VERIFIED"},
		"a later version":                      {made: []release{pay}, now: []release{later}, own: own("bank"), want: "VERIFIED"},
		"not signed, as its own":               {now: []release{unsigned}, own: own(""), want: "VERIFIED"},
		"not signed":                           {now: []release{unsigned}, own: own("bank"), want: strange + "pay 3.0"},
		"another's":                            {now: []release{loyalty}, own: own("bank"), want: strange + "loyalty 2.0, signed by " + hash("thief").String()},
		"another's, and its own is not signed": {now: []release{loyalty}, own: own(""), want: strange + "loyalty 2.0"},
		"another's beside a version without":   {now: []release{before, loyalty}, own: own("bank"), want: strange + "loyalty 2.0"},
		"another's states are ended":           {made: []release{loyalty}, now: []release{loyalty}, own: own("bank"), output: "accept.points", want: strange + "loyalty 2.0"},
		"another's states are looked at":       {made: []release{loyalty}, now: []release{loyalty}, own: own("bank"), output: "accept.points", reference: true, want: strange + "loyalty 2.0"},
		"another contract of another's":        {now: []release{loyalty}, own: own("bank"), output: "accept.points", want: "VERIFIED"},
		"who has none":                         {now: []release{loyalty}, want: "VERIFIED"},
		"two have it, which is for ever":       {now: []release{pay, loyalty}, own: own("bank"), want: "INVALID\ntoken||packages pay, loyalty all have this contract"},
		"its own state, by another's":          {made: []release{pay}, now: []release{loyalty}, own: own("bank"), want: "INVALID\ntoken|input 0|"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newJudge(t)
			for _, r := range append(c.made, c.now...) {
				w.facts.installRelease(r)
			}
			var sources []*ledger.Filtered
			tx := under(t, c.now, func(content *ledger.Content) {
				if c.output != "" {
					content.Outputs[0].Contract = c.output
				}
				if c.made != nil {
					from := under(t, c.made, nil)
					sources = append(sources, source(t, from, 0))
					if content.Inputs = []ledger.StateRef{from.Output(0)}; c.reference {
						content.Inputs, content.References = nil, content.Inputs
					}
				}
			})
			r := ask(t, tx, sources...)
			r.Own = c.own
			if got := strings.ReplaceAll(w.answer(t, tx, r), tx.ID().String()+":", "…"); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// Version 1 issues, version 2 pays: who has only version 2 verifies the payment, and says of the issue what it lacks.
func TestMemberWithTheNewVersion(t *testing.T) {
	one, two := release{"pay", "1.0", "", "bank", []string{"token"}}, release{"pay", "2.0", "1.0", "bank", []string{"token"}}
	w := newJudge(t)
	w.facts.installRelease(two)
	issue := under(t, []release{one}, nil)
	pay := under(t, []release{two}, func(c *ledger.Content) { c.Inputs = []ledger.StateRef{issue.Output(0)} })
	again := under(t, []release{two}, func(c *ledger.Content) { c.Inputs = []ledger.StateRef{pay.Output(0)} })
	for _, c := range []struct {
		tx      *ledger.Transaction
		sources []*ledger.Filtered
		want    string
	}{
		{pay, []*ledger.Filtered{source(t, issue, 0)}, "VERIFIED"}, {again, []*ledger.Filtered{source(t, pay, 0)}, "VERIFIED"}, {issue, nil, "package-missing"},
	} {
		if got := w.verdict(t, c.tx, c.sources...); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	w.facts.installRelease(one)
	if got := w.verdict(t, issue); got != "VERIFIED" {
		t.Error(got)
	}
}

// judge is a worker without a broker.
type judge struct {
	facts  *facts
	worker *verification.Worker
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	w := &judge{facts: newFacts()}
	var err error
	w.worker, err = verification.NewWorker(verification.Config{PackageWait: time.Nanosecond}, verification.Deps{Packages: w.facts, Chunks: w.facts, Sandbox: newFakeSandbox()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.worker.Close)
	return w
}

// verdict takes a request through its steps.
func (w *judge) verdict(t testing.TB, tx *ledger.Transaction, sources ...*ledger.Filtered) string {
	t.Helper()
	return w.answer(t, tx, ask(t, tx, sources...))
}

func (w *judge) answer(t testing.TB, tx *ledger.Transaction, r *verificationv1.Request) string {
	t.Helper()
	a := asked(tx, r)
	effects, err := verification.Step(verification.State{}, verification.Asked{Ask: a})
	if err != nil {
		t.Fatal(err)
	}
	if need, ok := effects[0].(verification.RunContracts); ok {
		out := verification.Run(t.Context(), w.worker, need)
		for out.Later != nil { // its module is being compiled
			out = verification.Run(t.Context(), w.worker, need)
		}
		if effects, err = verification.Step(verification.State{PackageWaitUs: -1}, verification.Ran{Ask: a, Outcome: out}); err != nil {
			t.Fatal(err)
		}
	}
	reply := effects[0].(verification.Respond).Reply
	if e := reply.GetError(); e != nil {
		return e.GetType() + " " + e.GetMessage()
	}
	return line(decodeResult(t, reply.GetResult()))
}
