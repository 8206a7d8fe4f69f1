package pay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/flows"
	"github.com/fairleadio/fairlead/integration/party"
	"github.com/fairleadio/fairlead/integration/replica"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// Environment of a run.
const (
	paymentsVariable = "FAIRLEAD_PAYMENTS" // how many random operations there are, at most 9,999
	faultsVariable   = "FAIRLEAD_FAULTS"   // 0 does no harm
)

const (
	defaultPayments = 80
	processes       = 2
	clients         = 8
	// patience is how long everything may take that must come to an end; more for each operation.
	patience      = 4 * time.Minute
	patiencePerOp = 2 * time.Second
	// storm is how long faults come for as many operations as there are by default: then the flows come to their ends.
	storm = 40 * time.Second
	// glance is the pause between two looks at a flow.
	glance    = 300 * time.Millisecond
	shown     = 30
	overrides = "sets: {flow: {partitions: 6}, flow-mapper: {partitions: 6}, flow-status: {partitions: 6}, persistence: {partitions: 6}, persistence.feed: {partitions: 3}, " +
		"tokens: {partitions: 6}, uniqueness: {partitions: 3}, verification: {partitions: 6}, crypto: {partitions: 3}, database: {partitions: 3}, facts: {partitions: 1}, tools: {partitions: 1}}\n"
)

// TestPay is the proof.
func TestPay(t *testing.T) {
	count := int(party.Number(t, paymentsVariable, defaultPayments))
	if count > 9999 {
		t.Fatalf("%s is %d; at most 9,999 operations can be told from each other", paymentsVariable, count)
	}
	r := &run{Run: party.New(t, "pay", patience+time.Duration(count)*patiencePerOp), faults: map[string]int{}, nodes: map[string]flows.Vnode{}, names: map[string]string{}}
	r.start()
	r.open()
	r.trade(count)
	r.settle("after repair")
	r.spendAll()
	r.settle("after all was spent once more")
	r.end()
}

// run is one run of TestPay.
type run struct {
	*party.Run
	client *flows.Client
	admin  *kafkaadmin.Admin
	db     *postgres.Pool
	nodes  map[string]flows.Vnode // by the members' names
	names  map[string]string      // of members, by short hash
	asked  atomic.Int64           // counts client requests
	faults map[string]int

	mu  sync.Mutex
	ops []Op
}

// start brings servers and workers up, and makes the members, their keys and the notary.
func (r *run) start() {
	r.Processes, r.Members = processes, append(slices.Clone(traders), Notary)
	r.All(overrides)
	r.client = &flows.Client{User: party.User, Password: r.Password, HTTP: r.HTTP, URLs: r.URLs}
	var err error
	r.admin, err = kafkaadmin.New(kafkaadmin.Connection{Brokers: r.Cluster.Brokers(), Prefix: r.Prefix})
	r.Must("connect to Kafka", err)
	r.T.Cleanup(r.admin.Close)
	r.db = pgtest.Open(r.T, postgres.Config{URL: r.Postgres.URL("vnodes")})
	holdings := append(r.InstallFrom(r.application(), "tokens", traders...), r.Install("notary", Notary)...)
	for i, h := range holdings {
		name := r.Members[i]
		r.nodes[name], r.names[h.ShortHash()] = flows.Vnode{ShortHash: h.ShortHash(), X500Name: h.Name.String()}, name
		if name == Notary {
			r.Fairlead("key", "generate", h.ShortHash(), "notary", "NOTARY")
		} else {
			r.Fairlead("key", "generate", h.ShortHash(), "ledger", "LEDGER")
		}
	}
	r.Say("%d members have keys", len(r.nodes))
}

// application copies application tokens and adds the flows that go past token selection.
func (r *run) application() string {
	r.T.Helper()
	dir := filepath.Join(r.Dir, "tokens")
	r.Must("copy the application", os.CopyFS(dir, os.DirFS("../../apps/tokens")))
	more, err := os.ReadFile("testdata/spend/spend.go")
	r.Must("read the test's flows", err)
	r.Must("add the test's flows", os.WriteFile(filepath.Join(dir, "spend.go"), more, 0o600))
	module, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	r.Must("read go.mod", err)
	sdk, err := filepath.Abs("../../sdk")
	r.Must("find the kit", err)
	r.Must("write go.mod", os.WriteFile(filepath.Join(dir, "go.mod"), []byte(strings.Replace(string(module), "=> ../../sdk", "=> "+sdk, 1)), 0o600))
	return dir
}

// outcome is what became of a flow.
type outcome struct {
	FlowStatus string
	FlowResult *string
	FlowError  *struct{ Type, Message string }
}

func (o outcome) over() bool {
	return slices.Contains([]string{Completed, Failed, Killed}, o.FlowStatus)
}

// flow has a member run a flow, and waits for its end.
func (r *run) flow(ctx context.Context, rnd *rand.Rand, member, class string, in any) (id string, o outcome, err error) {
	input, err := json.Marshal(in)
	if err != nil {
		return "", o, fmt.Errorf("encode the argument of %s: %w", class, err)
	}
	q := flows.Request{ID: fmt.Sprintf("r%d", r.asked.Add(1)), Vnode: r.nodes[member], Class: class, Input: string(input), Twice: rnd.IntN(20) == 0}
	a, err := r.client.Start(ctx, rnd, q)
	if err == nil && len(slices.Compact(slices.Sorted(slices.Values(a.FlowIDs)))) > 1 {
		err = fmt.Errorf("request %s was accepted as flows %v", q.ID, a.FlowIDs)
	}
	for n := 0; err == nil; n++ {
		last := r.Get(ctx, r.URLs[n%len(r.URLs)], "/flow/"+q.Vnode.ShortHash+"/"+q.ID, &o)
		if last == nil && o.over() {
			return q.ID, o, nil
		}
		if replica.Wait(ctx, glance); ctx.Err() != nil {
			err = fmt.Errorf("%s %s of %s does not end: it is %s: %w", class, q.ID, member, o.FlowStatus, errors.Join(ctx.Err(), last))
		}
	}
	return q.ID, o, err
}

// result runs a flow that must succeed, and decodes what it returns.
func (r *run) result(ctx context.Context, rnd *rand.Rand, member, class string, in, into any) error {
	id, o, err := r.flow(ctx, rnd, member, class, in)
	if err != nil {
		return err
	}
	if o.FlowStatus != Completed || o.FlowResult == nil {
		return fmt.Errorf("%s %s of %s is %s: %v", class, id, member, o.FlowStatus, o.FlowError)
	}
	return json.Unmarshal([]byte(*o.FlowResult), into)
}

// do does an operation, and keeps what came of it.
func (r *run) do(ctx context.Context, rnd *rand.Rand, o Op, coin json.RawMessage) (Op, error) {
	var offered struct{ Offer string }
	if o.Class == Swap {
		if err := r.result(ctx, rnd, o.To, "tokens-offer", o.offer(), &offered); err != nil {
			return o, err
		}
	}
	id, end, err := r.flow(ctx, rnd, o.From, string(o.Class), o.argument(coin, offered.Offer))
	if err != nil {
		return o, err
	}
	o.ID, o.Status = id, end.FlowStatus
	if end.FlowError != nil {
		o.ErrorType, o.Error = end.FlowError.Type, end.FlowError.Message
	}
	if end.FlowStatus == Completed && end.FlowResult != nil {
		var final struct{ Transaction string }
		if err := json.Unmarshal([]byte(*end.FlowResult), &final); err != nil {
			return o, fmt.Errorf("read the result of %s: %w", o, err)
		}
		o.Transaction = final.Transaction
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
	return o, nil
}

// job is an operation that waits for a client.
type job struct {
	Op
	coin json.RawMessage
	// must: it is tried until it succeeds.
	must bool
}

// all has clients do jobs, side by side.
func (r *run) all(ctx context.Context, jobs []job) error {
	queue := make(chan job)
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		rnd := rand.New(rand.NewPCG(r.Rnd.Uint64(), 3))
		wg.Go(func() {
			for j := range queue {
				for tries := 0; errs[i] == nil; tries++ {
					if j.Class != Swap && j.Class != Redeem {
						j.Tag = fmt.Sprintf("%s-%d", j.Tag, tries)
					}
					o, err := r.do(ctx, rnd, j.Op, j.coin)
					if errs[i] = err; !j.must || o.Status == Completed {
						break
					}
					replica.Wait(ctx, time.Second)
				}
			}
		})
	}
	for _, j := range jobs {
		select {
		case queue <- j:
		case <-ctx.Done():
		}
	}
	close(queue)
	wg.Wait()
	return errors.Join(errs...)
}

// open issues what is paid with. The first tries fail as long as not every worker knows the keys.
func (r *run) open() {
	ctx, cancel := r.Patient()
	defer cancel()
	var jobs []job
	for i, o := range opening() {
		o.Tag = fmt.Sprintf("o%d", i)
		jobs = append(jobs, job{Op: o, must: true})
	}
	r.Must("issue", r.all(ctx, jobs[:1]))
	r.Must("issue", r.all(ctx, jobs[1:]))
	r.Say("%d tokens are issued", len(jobs))
}

// coins asks a member for its tokens to spend twice.
func (r *run) coins(ctx context.Context, member string) (out []json.RawMessage) {
	r.T.Helper()
	r.Must("ask for tokens", r.result(ctx, r.Rnd, member, "test-hold", map[string]string{"symbol": spare}, &out))
	return out
}

// twice makes the two operations that spend one token.
func (r *run) twice(member string, coin json.RawMessage) []job {
	r.T.Helper()
	var c struct{ Ref string }
	r.Must("read a token", json.Unmarshal(coin, &c))
	var out []job
	for i, to := range traders {
		if to != member && len(out) < 2 {
			o := Op{Class: Spend, From: member, To: to, Symbol: spare, Amount: "1", Input: c.Ref, Tag: fmt.Sprintf("s%d-%.16s", i, c.Ref)}
			out = append(out, job{Op: o, coin: coin})
		}
	}
	return out
}

// trade does the random operations while faults happen. A token is spent twice before, one after the other, and some are
// spent twice at once among the others.
func (r *run) trade(count int) {
	ctx, cancel := r.Patient()
	defer cancel()
	var jobs []job
	for n := range count {
		o := Draw(r.Rnd, n+1)
		o.Tag = fmt.Sprintf("p%d", n)
		jobs = append(jobs, job{Op: o})
	}
	for i, member := range traders {
		for _, coin := range r.coins(ctx, member) {
			pair := r.twice(member, coin)
			if i == 0 {
				r.oneAfterTheOther(ctx, pair)
				continue
			}
			at := r.Rnd.IntN(len(jobs))
			jobs = slices.Insert(jobs, at, pair...)
		}
	}
	stormy, calm := context.WithTimeout(ctx, max(storm, storm*time.Duration(count)/defaultPayments))
	defer calm()
	chaos := make(chan error, 1)
	if party.Number(r.T, faultsVariable, 1) == 0 {
		chaos <- nil
	} else {
		rnd := rand.New(rand.NewPCG(r.Rnd.Uint64(), 2))
		go func() {
			chaos <- r.Storm(stormy, rnd, r.faults, party.Kill, party.Kill, party.Kill, party.Kill, party.Wipe, party.Freeze, party.Freeze, party.All, party.Postgres)
		}()
	}
	err := r.all(ctx, jobs)
	calm()
	r.Must("faults", <-chaos)
	r.Must("clients", err)
	r.Say("%d operations have ended; faults %v", len(jobs), r.faults)
}

// oneAfterTheOther spends a token twice, in peace: once it is paid, and once refused with the notary's reason.
func (r *run) oneAfterTheOther(ctx context.Context, pair []job) {
	r.T.Helper()
	first, err := r.do(ctx, r.Rnd, pair[0].Op, pair[0].coin)
	r.Must("spend", err)
	second, err := r.do(ctx, r.Rnd, pair[1].Op, pair[1].coin)
	r.Must("spend again", err)
	if first.Status != Completed || second.Status != Failed || second.ErrorType != "transaction-refused" ||
		!strings.Contains(second.Error, "consumed before: "+first.Input+" by transaction "+first.Transaction) {
		r.T.Errorf("spent twice: %+v and %+v", first, second)
	}
	r.Say("spent again: %s", second.Error)
}

// quiet waits until all flows of all members, responders too, have ended.
func (r *run) quiet() {
	r.T.Helper()
	for _, url := range r.URLs {
		r.Until("all flows end", func(ctx context.Context) error {
			for name, v := range r.nodes {
				var all struct {
					FlowStatusResponses []struct{ FlowID, FlowStatus string }
				}
				if err := r.Get(ctx, url, "/flow/"+v.ShortHash, &all); err != nil {
					return err
				}
				for _, f := range all.FlowStatusResponses {
					if !(outcome{FlowStatus: f.FlowStatus}).over() {
						return fmt.Errorf("flow %s of %s is %s", f.FlowID, name, f.FlowStatus)
					}
				}
			}
			return nil
		})
	}
}

// repaired is what a member's repair did.
type repaired struct {
	Verified, Invalid []string
	Open              map[string]string
}

// settle waits until nothing happens any more, has every member repair, and judges.
func (r *run) settle(when string) {
	ctx, cancel := r.Patient()
	defer cancel()
	r.quiet()
	r.Say("all flows have ended")
	w := World{Vaults: map[string]Vault{}, Ops: r.ops, Repaired: time.Now().UnixMicro()}
	for _, name := range traders {
		var done repaired
		r.Must("repair", r.result(ctx, r.Rnd, name, "tokens-repair", map[string]any{"until": time.Now().UTC()}, &done))
		if len(done.Verified)+len(done.Invalid)+len(done.Open) > 0 {
			r.Say("%s repaired: verified %v, invalid %v, open %v", name, done.Verified, done.Invalid, done.Open)
		}
	}
	r.quiet()
	balances := map[string]map[string]string{}
	for _, name := range traders {
		balances[name] = r.balance(ctx, name)
	}
	var problems []string
	r.Until("the pools of tokens are at rest", func(ctx context.Context) (err error) {
		if w.Pools, err = readPools(ctx, r.admin, r.names); err != nil {
			return err
		}
		if w.Memory, err = readMemory(ctx, r.admin, r.nodes[Notary].ShortHash); err != nil {
			return err
		}
		for _, name := range traders {
			v, err := readVault(ctx, r.db, r.nodes[name].ShortHash)
			if err != nil {
				return err
			}
			v.Balance = balances[name]
			w.Vaults[name] = v
		}
		if problems = Judge(w); len(JudgePools(w)) > 0 && time.Since(time.UnixMicro(w.Repaired)) < time.Minute {
			return errors.New(JudgePools(w)[0])
		}
		return nil
	})
	r.report(when, w, problems)
}

// balance asks a member what it has, by symbol.
func (r *run) balance(ctx context.Context, member string) map[string]string {
	r.T.Helper()
	var held []struct{ Symbol, Amount, Issuer string }
	r.Must("ask for a balance", r.result(ctx, r.Rnd, member, "tokens-balance", map[string]any{}, &held))
	out := map[string]string{}
	for _, h := range held {
		if out[h.Symbol] != "" || h.Issuer != Bank {
			r.T.Errorf("%s has %s %s twice, or of %q", member, h.Amount, h.Symbol, h.Issuer)
		}
		out[h.Symbol] = h.Amount
	}
	return out
}

// report tells what was judged.
func (r *run) report(when string, w World, problems []string) {
	r.T.Helper()
	for _, p := range problems[:min(len(problems), shown)] {
		r.T.Errorf("%s: %s", when, p)
	}
	if len(problems) > shown {
		r.T.Errorf("and %d more problems, all of them in problems.txt beside the logs", len(problems)-shown)
	}
	if len(problems) > 0 {
		r.Must("keep the problems", os.WriteFile(filepath.Join(r.Logs, "problems.txt"), []byte(strings.Join(problems, "\n")+"\n"), 0o600))
	}
	ends, reasons := map[string]int{}, map[string]string{}
	paid := 0
	for _, o := range w.Ops {
		ends[strings.TrimSuffix(fmt.Sprintf("%s %s %s", o.Class, o.Status, o.ErrorType), " ")]++
		if o.Status == Completed && o.Class == Pay {
			paid++
		} else if o.ErrorType != "" && reasons[o.ErrorType] == "" {
			reasons[o.ErrorType] = o.String() + ": " + o.Error
		}
	}
	statuses := map[string]int{}
	for _, v := range w.Vaults {
		for _, tx := range v.Txs {
			statuses[tx.Status]++
		}
	}
	for _, typ := range sorted(reasons) {
		r.Say("for instance %s: %s", typ, reasons[typ])
	}
	r.Say("judged %s: %d operations %v, transactions in vaults %v (U: open within their windows), %d states spent at the notary, %d pools", when, len(w.Ops), ends, statuses, len(w.Memory.Spent), len(w.Pools))
	if paid == 0 {
		r.T.Errorf("%s: no payment has succeeded", when)
	}
}

// spendAll has everybody pay all that it has to itself: nothing is kept from being spent.
func (r *run) spendAll() {
	ctx, cancel := r.Patient()
	defer cancel()
	var jobs []job
	for _, name := range traders {
		for symbol, amount := range r.balance(ctx, name) {
			jobs = append(jobs, job{Op: Op{Class: Pay, From: name, To: name, Symbol: symbol, Amount: amount, Tag: "all-" + r.nodes[name].ShortHash}})
		}
	}
	before := len(r.ops)
	r.Must("spend all", r.all(ctx, jobs))
	for _, o := range r.ops[before:] {
		if o.Status != Completed {
			r.T.Errorf("%s: not all can be spent: %s: %s", o, o.ErrorType, o.Error)
		}
	}
}

// end stops the workers.
func (r *run) end() {
	ctx, cancel := r.Patient()
	defer cancel()
	starts := r.Stop(ctx)
	r.Say("judged on %s and PostgreSQL %s: %d operations of %d members; faults %v, %d process starts", r.Cluster.Kind(), r.Postgres.Version(), len(r.ops), len(r.nodes), r.faults, starts)
}
