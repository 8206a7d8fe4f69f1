package verification_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/processors/verification"
	"github.com/fairleadio/fairlead/schemas"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// site is a worker with its engine on a broker.
type site struct {
	t       *testing.T
	c       *enginetest.Cluster
	facts   *facts
	worker  *verification.Worker
	metrics *prometheus.Registry
	asked   int
}

func newSite(t *testing.T, cfg verification.Config, s verification.Sandbox) *site {
	t.Helper()
	w := &site{t: t, c: enginetest.NewCluster(t), facts: newFacts(), metrics: prometheus.NewRegistry()}
	metrics, err := verification.NewMetrics(w.metrics)
	if err != nil {
		t.Fatal(err)
	}
	w.worker, err = verification.NewWorker(cfg, verification.Deps{Packages: w.facts, Code: &w.facts.kept, Chunks: w.facts, Sandbox: s, Metrics: metrics, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.worker.Close)
	g := w.worker.Graph()
	w.c.CreateTopics(t, 2, g)
	settings := w.c.Config(t)
	verification.Tune(&settings)
	enginetest.StartConfig(t, settings, g)
	return w
}

func (s *site) until(what string, cond func() bool) {
	s.t.Helper()
	ctx := enginetest.Context(s.t)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("waited until %s", what)
		}
	}
}

// ask writes a request and returns its id.
func (s *site) ask(key string, r *verificationv1.Request, headers ...string) string {
	s.t.Helper()
	s.asked++
	id := fmt.Sprintf("r%d", s.asked)
	if !slices.Contains(headers, engine.HeaderReply) {
		headers = append(headers, engine.HeaderReply, engine.ReplyTo(topics.FlowRepliesVerification, -1, id))
	}
	headers = append(headers, engine.HeaderRequest, id)
	s.c.Produce(s.t, topics.VerificationRequests, key, r, schemas.Codec[*verificationv1.Request](), headers...)
	return id
}

func (s *site) askFor(tx *ledger.Transaction, sources ...*ledger.Filtered) string {
	s.t.Helper()
	return s.ask(tx.ID().String(), ask(s.t, tx, sources...))
}

// reply waits for the answer to a request.
func (s *site) reply(id string) *rpcv1.Reply {
	s.t.Helper()
	var found *rpcv1.Reply
	s.c.ConsumeUntil(s.t, topics.FlowRepliesVerification, func(recs []*kgo.Record) bool {
		for _, r := range recs {
			if string(r.Key) == id {
				found = &rpcv1.Reply{}
				if err := proto.Unmarshal(r.Value, found); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		return found != nil
	})
	return found
}

func (s *site) verdict(id string) string {
	s.t.Helper()
	r := s.reply(id)
	if e := r.GetError(); e != nil {
		return e.GetType() + " " + e.GetMessage()
	}
	return line(decodeResult(s.t, r.GetResult()))
}

// metric is the sum of a counter or gauge, over the label values that are asked for.
func (s *site) metric(name string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := ""
			for _, l := range m.GetLabel() {
				has += l.GetValue()
			}
			if strings.Join(labels, "") == has || len(labels) == 0 {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestVerdicts(t *testing.T) {
	sandbox := newFakeSandbox()
	s := newSite(t, verification.Config{}, sandbox)
	s.facts.install("app", []byte("module of app"), "accept", "refuse", "refuse.too", "loop", "list")
	s.facts.install("lib", []byte("module of lib"), "accept.lib", "refuse")
	s.facts.install("twin", []byte("bad module of twin"), "accept.twin")
	named := func(packages []ledger.Package, contracts ...string) *ledger.Transaction {
		c := making(contracts...)
		c.Metadata.Packages = packages
		return transaction(t, c)
	}
	s.facts.installUnsigned("draft", []byte("module of draft"), "accept.draft")
	draft, claimed := pack("draft"), pack("draft")
	draft.Signer = draft.Checksum
	misnamed, forged := pack("app"), pack("app")
	misnamed.Version, forged.Signer = "2.0", hash("somebody")
	const refused = "refuse||no\nrefuse|output 0|never"
	for name, c := range map[string]struct {
		tx   *ledger.Transaction
		want string
	}{
		"valid":                 {named([]ledger.Package{pack("app")}, "accept"), "VERIFIED"},
		"refused":               {named([]ledger.Package{pack("app")}, "refuse", "accept"), "INVALID\n" + refused},
		"all are told":          {named([]ledger.Package{pack("app")}, "refuse.too", "loop", "refuse", "unknown"), "INVALID\nloop||the contract did not end within its instructions: look for a loop, or let it do less\n" + refused + "\n" + strings.ReplaceAll(refused, "refuse|", "refuse.too|") + "\nunknown||none of the packages that the transaction names has this contract"},
		"of another package":    {named([]ledger.Package{pack("app")}, "accept.lib"), "INVALID\naccept.lib||none of the packages that the transaction names has this contract"},
		"of two packages":       {named([]ledger.Package{pack("app"), pack("lib")}, "accept", "accept.lib"), "VERIFIED"},
		"in two packages":       {named([]ledger.Package{pack("lib"), pack("app")}, "refuse"), "INVALID\nrefuse||packages lib, app all have this contract; a transaction names one that has"},
		"another version":       {named([]ledger.Package{misnamed}, "accept"), "INVALID\n|metadata|package app 2.0: the file with that checksum is package app 1.0"},
		"another signer":        {named([]ledger.Package{forged}, "accept"), "INVALID\n|metadata|package app 1.0: the file with that checksum is signed by " + hash("signer").String() + ", not by " + hash("somebody").String()},
		"not signed":            {named([]ledger.Package{draft}, "accept.draft"), "VERIFIED"},
		"not signed, it says":   {named([]ledger.Package{claimed}, "accept.draft"), "INVALID\n|metadata|package draft 1.0: the file with that checksum is not signed, and not by " + hash("signer").String()},
		"a module that is none": {named([]ledger.Package{pack("twin")}, "accept.twin"), "INVALID\naccept.twin||the package's module cannot be run: import env.now: a module may import from wasi_snapshot_preview1 only"},
		"no verdict":            {named([]ledger.Package{pack("app")}, "list"), "INVALID\nlist||its module answers with a list of contracts: build it with an SDK of this version"},
	} {
		if got := s.verdict(s.askFor(c.tx)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	from := named([]ledger.Package{pack("app")}, "refuse", "accept")
	c := making("accept")
	c.Inputs, c.References = []ledger.StateRef{from.Output(1)}, []ledger.StateRef{from.Output(0)}
	if got := s.verdict(s.askFor(transaction(t, c), source(t, from, 0, 1))); got != "VERIFIED" {
		t.Errorf("what is looked at has no say: %q", got)
	}
	c.Inputs, c.References = c.References, c.Inputs
	if got := s.verdict(s.askFor(transaction(t, c), source(t, from, 0, 1))); got != "INVALID\n"+refused {
		t.Errorf("what is consumed has: %q", got)
	}
	if got := s.metric("fairlead_verification_requests_total", "verified"); got != 4 {
		t.Errorf("%v verified", got)
	}
}

// A second request is answered from the cache, unless it does not show what is consumed: the cache says nothing of what
// a request shows.
func TestCache(t *testing.T) {
	sandbox := newFakeSandbox()
	s := newSite(t, verification.Config{CacheEntries: 1}, sandbox)
	s.facts.install("app", []byte("module"), "accept")
	from := transaction(t, making("accept"))
	c := making("accept")
	c.Inputs = []ledger.StateRef{from.Output(0)}
	tx := transaction(t, c)
	for range 3 {
		if got := s.verdict(s.askFor(tx, source(t, from, 0))); got != "VERIFIED" {
			t.Fatal(got)
		}
	}
	if _, runs, _ := sandbox.count(); runs != 1 || s.metric("fairlead_verification_remembered_total") != 2 || s.metric("fairlead_verification_cache_entries") != 1 {
		t.Errorf("%d runs, %v remembered", runs, s.metric("fairlead_verification_remembered_total"))
	}
	if got := s.verdict(s.askFor(tx)); !strings.HasPrefix(got, "unresolved ") {
		t.Error(got)
	}
	own := ask(t, tx, source(t, from, 0)) // of somebody to whom the package is strange
	own.Own = []*verificationv1.OwnContract{{Contract: "accept", Signer: []byte("another")}}
	if got := s.verdict(s.ask(tx.ID().String(), own)); !strings.HasPrefix(got, "package-untrusted FL-VERIFICATION-006: ") {
		t.Error(got)
	}
	s.verdict(s.askFor(from)) // takes the one place
	s.verdict(s.askFor(tx, source(t, from, 0)))
	if _, runs, _ := sandbox.count(); runs != 3 {
		t.Errorf("%d runs", runs)
	}
}

// A package that is not there: waited for a little, then said; asked again when it came, the answer is another.
func TestMissingPackage(t *testing.T) {
	s := newSite(t, verification.Config{PackageWait: time.Millisecond}, newFakeSandbox())
	tx := transaction(t, making("accept"))
	got := s.verdict(s.askFor(tx))
	if !strings.HasPrefix(got, "package-missing FL-VERIFICATION-004: transaction "+tx.ID().String()+" needs packages that this cluster does not have: app 1.0 (SHA-256 "+hash("app").String()) {
		t.Error(got)
	}
	s.facts.install("app", []byte("module"), "accept")
	if got := s.verdict(s.askFor(tx)); got != "VERIFIED" {
		t.Error(got)
	}
}

// A package that comes while a request waits for it answers it.
func TestPackageOnItsWay(t *testing.T) {
	s := newSite(t, verification.Config{PackageWait: time.Hour}, newFakeSandbox())
	tx := transaction(t, making("accept"))
	id := s.askFor(tx)
	s.until("it waits", func() bool { return s.metric("fairlead_verification_requests_total", "later") > 0 })
	s.facts.install("app", []byte("module"), "accept")
	if got := s.verdict(id); got != "VERIFIED" {
		t.Error(got)
	}
}

// While a module is compiled, other requests go on.
func TestCompiling(t *testing.T) {
	sandbox := newFakeSandbox()
	s := newSite(t, verification.Config{}, sandbox)
	s.facts.install("lib", []byte("module of lib"), "accept.lib")
	s.until("the first module is there", func() bool { _, _, here := sandbox.count(); return here == 1 })
	sandbox.hold = make(chan struct{})
	s.facts.install("app", []byte("module of app"), "accept")
	slow := s.askFor(transaction(t, making("accept")))
	s.until("it waits", func() bool { return s.metric("fairlead_verification_requests_total", "later") > 0 })
	c := making("accept.lib")
	c.Metadata.Packages = []ledger.Package{pack("lib")}
	if got := s.verdict(s.askFor(transaction(t, c))); got != "VERIFIED" {
		t.Error(got)
	}
	if got := s.metric("fairlead_verification_modules_installing"); got != 1 {
		t.Errorf("%v modules are being installed", got)
	}
	close(sandbox.hold)
	if got := s.verdict(slow); got != "VERIFIED" {
		t.Error(got)
	}
	s.until("both are ready", func() bool {
		return s.metric("fairlead_verification_modules") == 2 && s.metric("fairlead_verification_modules_installing") == 0
	})
}

// What is no fault of a contract's is not held against a transaction.
func TestNoFault(t *testing.T) {
	sandbox := newFakeSandbox()
	s := newSite(t, verification.Config{}, sandbox)
	s.facts.install("app", []byte("module"), "accept")
	sandbox.setFail(errors.New("the disk is full"))
	id := s.askFor(transaction(t, making("accept")))
	s.until("it waits", func() bool { return s.metric("fairlead_verification_requests_total", "later") > 1 })
	sandbox.setFail(nil)
	if got := s.verdict(id); got != "VERIFIED" {
		t.Error(got)
	}
}

// A module that no package names any more is uninstalled, and one that names it again has it installed again.
func TestUninstall(t *testing.T) {
	sandbox := newFakeSandbox()
	s := newSite(t, verification.Config{PackageWait: time.Millisecond}, sandbox)
	s.facts.install("app", []byte("module"), "accept")
	s.until("it is there", func() bool { _, _, here := sandbox.count(); return here == 1 })
	s.facts.remove("app")
	if _, _, here := sandbox.count(); here != 0 {
		t.Errorf("%d modules are left", here)
	}
	if got := s.verdict(s.askFor(transaction(t, making("accept")))); !strings.HasPrefix(got, "package-missing") {
		t.Error(got)
	}
	s.facts.install("app", []byte("module"), "accept")
	if got := s.verdict(s.askFor(transaction(t, making("accept", "accept")))); got != "VERIFIED" {
		t.Error(got)
	}
	if installed, _, _ := sandbox.count(); installed != 2 {
		t.Errorf("installed %d times", installed)
	}
}

// A package without a CPI verifies as one with: when it came from elsewhere, and when its CPI was replaced. Its module is
// installed when it is asked for, and not before.
func TestPackagesWithoutCPI(t *testing.T) {
	sandbox := newFakeSandbox()
	s := newSite(t, verification.Config{PackageWait: time.Minute}, sandbox)
	id := s.askFor(transaction(t, making("accept")))
	s.until("it waits", func() bool { return s.metric("fairlead_verification_requests_total", "later") > 0 })
	s.facts.keep("app", []byte("module"), "accept")
	if _, _, here := sandbox.count(); here != 0 {
		t.Errorf("%d modules are there before they are asked for", here)
	}
	if got := s.verdict(id); got != "VERIFIED" {
		t.Error(got)
	}
	s.facts.install("app", []byte("module"), "accept")
	s.facts.remove("app")
	if _, _, here := sandbox.count(); here != 0 {
		t.Errorf("%d modules are left", here)
	}
	if got := s.verdict(s.askFor(transaction(t, making("accept", "accept")))); got != "VERIFIED" {
		t.Error(got)
	}
}

func TestDeadLetters(t *testing.T) {
	s := newSite(t, verification.Config{}, newFakeSandbox())
	s.facts.install("app", []byte("module"), "accept")
	tx := transaction(t, making("accept"))
	r := ask(t, tx)
	if got := s.verdict(s.ask("another key", r)); !strings.HasPrefix(got, "platform FL-VERIFICATION-005: the request is in verification.dlq: ") || !strings.Contains(got, "FL-VERIFICATION-002") {
		t.Error(got)
	}
	raw, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	s.c.ProduceRaw(t, &kgo.Record{Topic: topics.VerificationRequests, Key: []byte(tx.ID().String()), Value: raw[:len(raw)-3]}) // nobody waits
	s.ask(tx.ID().String(), r, engine.HeaderReply, engine.ReplyTo(topics.RpcReplies, -1, "x"))
	s.ask(tx.ID().String(), r, engine.HeaderDeadline, "soon")
	dead := s.c.Consume(t, topics.DeadLetterTopic(topics.VerificationGroup), 4)
	reasons := ""
	for _, d := range dead {
		for _, h := range d.Headers {
			if strings.HasPrefix(h.Key, "fl-dlq-") {
				reasons += string(h.Value) + "\n"
			}
		}
	}
	for _, want := range []string{"must be the record's key", "may not go to", "FL-VERIFICATION-001"} {
		if !strings.Contains(reasons, want) {
			t.Errorf("no dead letter says %q:\n%s", want, reasons)
		}
	}
}

// A request whose requester has given up is dropped and counted.
func TestExpired(t *testing.T) {
	sandbox := newFakeSandbox()
	s := newSite(t, verification.Config{}, sandbox)
	s.facts.install("app", []byte("module"), "accept")
	tx := transaction(t, making("accept"))
	s.ask(tx.ID().String(), ask(t, tx), engine.HeaderDeadline, strconv.FormatInt(time.Now().Add(-time.Second).UnixMicro(), 10))
	s.until("it was dropped", func() bool { return s.metric("fairlead_verification_requests_total", "expired") == 1 })
	if _, runs, _ := sandbox.count(); runs != 0 {
		t.Errorf("%d contracts ran", runs)
	}
}
