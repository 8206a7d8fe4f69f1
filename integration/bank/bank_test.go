package bank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/integration/replica"
)

// Environment of a run.
const (
	seedVariable      = "FAIRLEAD_SEED"      // repeats a run's decisions
	soakVariable      = "FAIRLEAD_SOAK"      // how long faults last, such as 4h
	artifactsVariable = "FAIRLEAD_ARTIFACTS" // an existing directory that keeps the workers' logs
)

const (
	accounts   = 200
	partitions = 6
)

// TestBank is the proof: faults for a while, then a judgement over every record.
func TestBank(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(seedVariable); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seed = n
	}
	real := os.Getenv(kafkatest.RealServersVariable) == "1" || os.Getenv(kafkatest.BootstrapVariable) != ""
	lasts, rate := 6*time.Second, 500
	if real {
		lasts, rate = 30*time.Second, 1000
	}
	if s := os.Getenv(soakVariable); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("%s: %v", soakVariable, err)
		}
		lasts = d
	}
	t.Logf("seed %d (%s=%d repeats it), faults for %v", seed, seedVariable, seed, lasts)
	r := &bankRun{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), session: 3 * time.Second, began: time.Now()}
	if os.Getenv(kafkatest.BootstrapVariable) != "" {
		r.session = 6 * time.Second // the least that a broker allows by default
	}
	r.start()
	r.storm(lasts, rate)
	r.drain()
	r.audit()
	r.judge()
}

// bankRun is one run of TestBank.
type bankRun struct {
	t       *testing.T
	rnd     *rand.Rand
	session time.Duration
	began   time.Time
	cluster *kafkatest.Cluster
	bank    *place
	slots   []*replica.Replica
	chaos   *chaos
	workers sync.WaitGroup
	asked   []Asked
	// settled is what the live reader has seen.
	live *liveReader
}

func (r *bankRun) say(format string, args ...any) {
	r.t.Logf("%6.1fs "+format, append([]any{time.Since(r.began).Seconds()}, args...)...)
}

func (r *bankRun) must(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

func (r *bankRun) start() {
	t := r.t
	r.cluster = kafkatest.Start(t, kafkatest.Options{Nodes: 3, Log: r.say, Config: map[string]string{"log.cleaner.backoff.ms": "2000"}})
	dir := t.TempDir()
	logs := os.Getenv(artifactsVariable)
	if logs == "" {
		logs = dir
	}
	binary := filepath.Join(dir, "worker.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./worker").CombinedOutput()
	if err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	prefix := fmt.Sprintf("bank-%d-", time.Now().UnixNano())
	r.bank, err = newPlace(r.cluster.Brokers(), prefix)
	r.must("connect", err)
	t.Cleanup(r.bank.close)
	r.must("create topics", r.bank.createTopics(t.Context(), partitions, r.cluster.Replication()))
	r.live, err = watch(t.Context(), r.bank)
	r.must("watch", err)
	t.Cleanup(r.live.stop)

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		cancel()
		r.workers.Wait()
		if t.Failed() {
			for _, s := range r.slots {
				t.Log(s.Tail(6 << 10))
			}
		}
	})
	brokers := ""
	for i, b := range r.cluster.Brokers() {
		if i > 0 {
			brokers += ","
		}
		brokers += b
	}
	for id := range 3 {
		s := newSlot(id, dir, logs, binary, "-brokers", brokers, "-prefix", prefix, "-session-timeout", r.session.String())
		r.slots = append(r.slots, s)
		r.workers.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("worker %d: %v", s.ID, err)
			}
		})
	}
}

// transfer draws the next transfer. Poison is rare; the kind that ends processes is drawn once.
func (r *bankRun) transfer(n int, exits bool) Transfer {
	name := func() string { return "account-" + strconv.Itoa(r.rnd.IntN(accounts)) }
	x := Transfer{ID: "t" + strconv.Itoa(n), From: name(), To: name(), Amount: 1 + r.rnd.Int64N(100)}
	for x.To == x.From {
		x.To = name()
	}
	switch d := r.rnd.IntN(2000); {
	case exits:
		x.Kind = Exits
	case d < 40:
		x.Kind = Delayed
	case d < 60:
		x.Kind = Flaky
		x.NotBeforeUs = time.Now().Add(time.Duration(r.rnd.IntN(400)) * time.Millisecond).UnixMicro()
	case d < 63:
		x.Kind = Panics
	case d < 66:
		x.Kind = Refused
	case d == 66:
		x.Kind = Huge
	case d < 69:
		x.Kind = Garbage
	}
	return x
}

// ask produces a transfer and remembers its place once it is stored.
func (r *bankRun) ask(ctx context.Context, x Transfer, stored *sync.WaitGroup, mu *sync.Mutex) {
	raw, err := json.Marshal(x)
	r.must("encode transfer", err)
	if x.Kind == Garbage {
		raw = []byte("no transfer: " + x.ID)
	}
	stored.Add(1)
	rec := &kgo.Record{Topic: r.bank.prefix + Transfers, Key: []byte(x.From), Value: raw}
	r.bank.client.Produce(ctx, rec, func(rec *kgo.Record, err error) {
		defer stored.Done()
		if err != nil {
			r.t.Errorf("produce %s: %v", x.ID, err)
			return
		}
		c := engine.Cause{Topic: Transfers, Partition: rec.Partition, Offset: rec.Offset}
		mu.Lock()
		defer mu.Unlock()
		r.asked = append(r.asked, Asked{x, c.String()})
	})
}

// storm asks for transfers at a steady rate while faults happen.
func (r *bankRun) storm(lasts time.Duration, rate int) {
	r.chaos = &chaos{rnd: rand.New(rand.NewPCG(r.rnd.Uint64(), 2)), cluster: r.cluster, slots: r.slots, session: r.session, say: r.say}
	ctx, cancel := context.WithTimeout(r.t.Context(), lasts)
	defer cancel()
	chaos := make(chan error, 1)
	go func() { chaos <- r.chaos.run(ctx) }()
	var stored sync.WaitGroup
	var mu sync.Mutex
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began, n := time.Now(), 0
	exitsAt := rate * int(lasts.Seconds()) / 3
	for ctx.Err() == nil {
		for due := int(time.Since(began).Seconds() * float64(rate)); n < due; n++ {
			r.ask(r.t.Context(), r.transfer(n, n == exitsAt), &stored, &mu)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	r.must("faults", <-chaos)
	stored.Wait()
	r.say("the storm is over: %d transfers, faults %v", len(r.asked), r.chaos.done)
}

// drain waits until a live reader has seen the effects of everything that was asked for.
func (r *bankRun) drain() {
	entries, dead := 0, 0
	for _, a := range r.asked {
		entries += len(a.expected())
		if a.Kind.Poison() {
			dead++
		}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	if err := r.live.wait(ctx, func(l *liveReader) bool { return len(l.entries) >= entries && len(l.dead) >= dead }); err != nil {
		seen, buried, _ := r.live.counts()
		r.t.Fatalf("the bank does not finish its work: %d of %d entries, %d of %d dead letters: %v\n%s", seen, entries, buried, dead, err, r.innocents()+r.stuck())
	}
	r.say("drained: %d entries, %d dead letters", entries, dead)
}

// innocents tells of dead letters that should not be there.
func (r *bankRun) innocents() (out string) {
	poison := map[string]bool{}
	for _, a := range r.asked {
		poison[a.Place] = a.Kind.Poison()
	}
	r.live.mu.Lock()
	defer r.live.mu.Unlock()
	for place, why := range r.live.dead {
		if !poison[place] {
			out += "innocent in the dead letters: " + place + " " + why + "\n"
		}
	}
	return out
}

// stuck tells where the group's work stands, and what every goroutine of its workers waits for.
func (r *bankRun) stuck() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), 20*time.Second)
	defer cancel()
	out := r.bank.position(ctx)
	for _, s := range r.slots {
		out += "\n" + s.Dump(ctx)
	}
	return out
}

// audit asks every account for what its worker has in local storage.
func (r *bankRun) audit() {
	var stored sync.WaitGroup
	var mu sync.Mutex
	for i := range accounts {
		r.ask(r.t.Context(), Transfer{ID: "audit" + strconv.Itoa(i), From: "account-" + strconv.Itoa(i), Kind: Audit}, &stored, &mu)
	}
	stored.Wait()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	if err := r.live.wait(ctx, func(l *liveReader) bool { return l.answers >= accounts }); err != nil {
		_, _, answers := r.live.counts()
		r.t.Errorf("audits: %d of %d accounts answered: %v", answers, accounts, err)
	}
}

// judge stops the workers, waits until nothing is open, and reads everything.
func (r *bankRun) judge() {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	starts, exits := 0, 0
	for _, s := range r.slots {
		if err := s.Stop(ctx); err != nil {
			r.t.Error(err)
		}
		started, exited := s.Starts()
		starts, exits = starts+started, exits+exited
		for _, u := range s.Unasked() {
			r.t.Error(u)
		}
	}
	r.must("open transactions after all workers stopped", r.bank.settled(ctx))
	found, err := r.bank.collect(ctx)
	r.must("collect", err)
	for _, problem := range Check(r.asked, found) {
		r.t.Error(problem)
	}
	kinds := map[Kind]int{}
	for _, a := range r.asked {
		kinds[a.Kind]++
	}
	r.say("judged on %s: %d transfers (%s), %d entries, %d dead letters, %d table rows, %d store rows; faults %v, %d process starts, %d ended by poison; longest pause %v",
		r.cluster.Kind(), len(r.asked), kindCounts(kinds), len(found.Entries), len(found.Dead), len(found.Table), len(found.Store),
		r.chaos.done, starts, exits, r.live.longest().Round(time.Millisecond))
}

func kindCounts(kinds map[Kind]int) string {
	out := map[string]int{}
	for k, n := range kinds {
		if k == Plain {
			k = "plain"
		}
		out[string(k)] = n
	}
	return fmt.Sprint(maps.Collect(maps.All(out)))
}

// liveReader follows the outputs while the run goes on, as any read-committed consumer would.
type liveReader struct {
	cl     *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	entries map[string]bool
	dead    map[string]string // why, by where the record lay
	answers int
	last    time.Time
	pause   time.Duration
	changed chan struct{}
}

func watch(ctx context.Context, b *place) (*liveReader, error) {
	dlq := b.prefix + engine.DeadLetterTopic(Group)
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeTopics(b.prefix+Entries, b.prefix+Audits, dlq), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(500*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("make a reader: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &liveReader{cl: cl, cancel: cancel, done: make(chan struct{}), entries: map[string]bool{}, dead: map[string]string{}, changed: make(chan struct{}, 1)}
	go func() {
		defer close(l.done)
		for ctx.Err() == nil {
			fetches := cl.PollFetches(ctx)
			l.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) {
				switch r.Topic {
				case dlq:
					l.dead[header(r, engine.HeaderDLQSource)] = header(r, engine.HeaderDLQReason) + ": " + header(r, engine.HeaderDLQError)
				case b.prefix + Audits:
					l.answers++
				default:
					e := Entry{}
					if json.Unmarshal(r.Value, &e) == nil {
						l.entries[historyKey(e.Account, e.ID, e.Side)] = true
					}
					if !l.last.IsZero() {
						l.pause = max(l.pause, time.Since(l.last))
					}
					l.last = time.Now()
				}
			})
			l.mu.Unlock()
			select {
			case l.changed <- struct{}{}:
			default:
			}
		}
	}()
	return l, nil
}

func (l *liveReader) stop() {
	l.cancel()
	<-l.done
	l.cl.Close()
}

func (l *liveReader) counts() (entries, dead, answers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries), len(l.dead), l.answers
}

// longest is the longest time that no entry arrived while the storm lasted.
func (l *liveReader) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pause
}

func (l *liveReader) wait(ctx context.Context, cond func(*liveReader) bool) error {
	for {
		l.mu.Lock()
		ok := cond(l)
		l.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			return errors.New("it made no more progress in time")
		}
	}
}
