package channels

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/party"
	"github.com/fairleadio/fairlead/integration/replica"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// Environment of a run.
const (
	ordersVariable = "FAIRLEAD_ORDERS" // how many start a flow
	faultsVariable = "FAIRLEAD_FAULTS" // 0 does no harm
	recordVariable = "FAIRLEAD_RECORD" // a file to which what was measured is added
)

const (
	defaultOrders = 2000
	// writing is how long orders are written at least, perSecond how many in a second at most.
	writing   = 12 * time.Second
	perSecond = 2000
	// patience is how long everything may take that must come to an end; more for each order.
	patience         = 3 * time.Minute
	patiencePerOrder = 50 * time.Millisecond
	undoneOrders     = 20
	// manyFaults is how many come in quick succession. ordersPerSecond is how many orders a second of faults stands for: they
	// end sooner when most flows have ended.
	manyFaults      = 6
	ordersPerSecond = 100
	shown           = 30
	member          = "O=Alice, L=London, C=GB"
)

// TestChannels is the proof.
func TestChannels(t *testing.T) {
	count := int(party.Number(t, ordersVariable, defaultOrders))
	r := &run{
		Run: party.New(t, "orders", patience+time.Duration(count)*patiencePerOrder), count: count,
		harm: party.Number(t, faultsVariable, 1) != 0, load: loadAverage(),
	}
	r.Say("%d orders", count)
	r.start()
	r.install()
	r.trade()
	r.judge()
}

// run is one run of TestChannels.
type run struct {
	*party.Run
	count int
	harm  bool
	load  string // of the machine, before the run

	place          *place
	ends           *endings
	deals, changes *consumer
	orders         []Order
	faults         map[string]int
	// first is when the first order was written, written when all were.
	first, written time.Time
}

// topics makes the topics of the cluster, and those of the channels that it knows.
func (r *run) topics(sets ...string) {
	r.T.Helper()
	overrides := "sets: {flow: {partitions: 6}, flow-mapper: {partitions: 6}, flow-status: {partitions: 6}, persistence: {partitions: 6}, persistence.feed: {partitions: 3}, " +
		"database: {partitions: 3}, crypto: {partitions: 1}, rpc: {partitions: 1}, flow-mapper.channels: {partitions: 1}, facts: {partitions: 1}, tools: {partitions: 1}"
	for _, s := range sets {
		overrides += fmt.Sprintf(", %s: {partitions: 6}", s)
	}
	r.ApplyTopics(overrides + "}\n")
}

// start brings the servers and the processes of the workers up.
func (r *run) start() {
	r.Servers(r.count > defaultOrders)
	r.topics()
	r.Say("the topics are made")
	r.Workers("database,flow,flow-mapper,persistence,rest", r.Settings("log: {format: text, level: warn}\nrest: {plaintext: true}\n"))
}

// install puts application orders on a virtual node, makes the topics of its channels, and starts the plain clients.
func (r *run) install() {
	vnode := r.Install("orders", member)[0].ShortHash()
	r.topics("ext."+vnode+".orders.send", "ext."+vnode+".deals.receive", "ext."+vnode+".changes.feed")
	var err error
	r.place, err = newPlace(r.T.Context(), r.Cluster.Brokers(), r.Prefix, vnode)
	r.Must("connect", err)
	r.T.Cleanup(r.place.close)
	r.ends, err = r.place.follow(r.T.Context())
	r.Must("follow flow.status", err)
	r.T.Cleanup(r.ends.stop)
	r.deals, r.changes = r.consume(r.place.deals), r.consume(r.place.changes)
	r.Say("the application is on a virtual node, its topics are made")
}

// consume starts a plain consumer that ends with the test.
func (r *run) consume(topic string) *consumer {
	r.T.Helper()
	c, err := consume(r.T.Context(), r.Brokers, r.Prefix+topic, filepath.Join(r.Logs, "consumer-"+topic+".log"))
	r.Must("start a consumer", err)
	r.T.Cleanup(func() {
		if err := c.process.Kill(); err != nil {
			r.T.Error(err)
		}
	})
	return c
}

// draw makes the n-th order that starts a flow, and its value.
func (r *run) draw(n int) (Order, string) {
	o := Order{Key: fmt.Sprintf("Zoë %d", n), Item: "tea", Quantity: int64(1 + r.Rnd.IntN(9))}
	switch d := r.Rnd.IntN(100); {
	case d == 0:
		o.Kind = Odd
		return o, []string{"tea, please", `{"item":"tea"}`, nothing, `["tea"]`}[r.Rnd.IntN(4)]
	case d <= 10:
		o.Kind = Large
		o.Quantity += 9
	}
	return o, fmt.Sprintf(`{"item":%q,"quantity":%d}`, o.Item, o.Quantity)
}

// trade has the plain producer write the orders while faults happen, until most flows have ended.
func (r *run) trade() {
	ctx, cancel := r.Patient()
	defer cancel()
	p, err := produce(ctx, r.Brokers, r.Prefix+r.place.inbound, filepath.Join(r.Logs, "producer.log"))
	r.Must("start the producer", err)
	defer func() {
		if err := p.process.Kill(); err != nil {
			r.T.Error(err)
		}
	}()
	stormy, calm := context.WithTimeout(ctx, time.Duration(r.count)*time.Second/ordersPerSecond)
	defer calm()
	chaos := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(r.Rnd.Uint64(), 2))
	r.faults = map[string]int{}
	go func() { chaos <- r.chaos(stormy, rnd) }()

	huge := min(20, max(3, r.count/500))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	lasts := max(writing, time.Duration(r.count)*time.Second/perSecond)
	for r.first = time.Now(); len(r.orders) < r.count+huge; {
		<-tick.C
		due := min(1, float64(time.Since(r.first))/float64(lasts))
		for len(r.orders) < int(due*float64(r.count+huge)) {
			n := len(r.orders)
			o, value := r.draw(n)
			if every := (r.count + huge) / huge; n%every == every/2 && n/every < huge {
				o, value = Order{Kind: Huge, Key: fmt.Sprintf("huge %d", n)}, `{"item":"`+strings.Repeat("x", 600<<10)+`","quantity":1}`
			}
			r.Must("write", p.write(o.Key, value))
			if r.orders = append(r.orders, o); n == r.count/2 {
				r.Must("write in a transaction that is undone", r.place.undone(ctx, r.Cluster.Brokers(), undoneOrders))
			}
		}
	}
	r.Must("end the producer", p.close())
	r.written = time.Now()
	r.Say("the producer has written %d orders", len(r.orders))
	told := 0
	r.Until("most flows end", func(context.Context) error {
		n, _, _, err := r.ends.count()
		if tenth := 10 * n / r.count; tenth > told {
			told = tenth
			r.Say("%d flows have ended", n)
		}
		if err != nil || n < r.count*9/10 {
			return errors.Join(err, fmt.Errorf("%d flows have ended", n))
		}
		return nil
	})
	calm()
	r.Must("faults", <-chaos)
	r.Say("faults %v", r.faults)
}

// chaos does harm, each kind once and then at random until ctx ends; all processes run again when it returns. After
// manyFaults it leaves the cluster time to work in between.
func (r *run) chaos(ctx context.Context, rnd *rand.Rand) error {
	if !r.harm {
		return nil
	}
	first := []string{"kill", "wipe", "freeze"}
	rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	kinds := []string{"kill", "kill", "kill", "kill", "wipe", "freeze"}
	whole := r.T.Context()
	var errs []error
	for n := 0; ; n++ {
		pause := time.Duration(1000+rnd.IntN(2500)) * time.Millisecond
		if n >= manyFaults {
			pause *= 8
		}
		if n < len(first) {
			replica.Wait(whole, pause)
		} else if replica.Wait(ctx, pause); ctx.Err() != nil {
			return errors.Join(errs...)
		}
		kind, s := kinds[rnd.IntN(len(kinds))], r.Slots[rnd.IntN(len(r.Slots))]
		if n < len(first) {
			kind = first[n]
		}
		r.faults[kind]++
		r.Say("%s worker %d", kind, s.ID)
		if kind == "freeze" {
			errs = append(errs, s.Freeze(whole, party.Session+time.Duration(rnd.IntN(2000))*time.Millisecond))
		} else {
			errs = append(errs, s.Kill(kind == "wipe"))
		}
	}
}

// judge waits until nothing is left to be done, stops the workers, and reads everything.
func (r *run) judge() {
	ctx, cancel := r.Patient()
	defer cancel()
	r.Until("all flows end", func(context.Context) error {
		if n, _, _, err := r.ends.count(); err != nil || n < r.count {
			return errors.Join(err, fmt.Errorf("%d of %d flows have ended", n, r.count))
		}
		return nil
	})
	r.Say("all flows have ended")
	r.Until("nothing is left to be read", func(ctx context.Context) error {
		left, err := r.place.lag(ctx)
		if len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("left to be read: %v", left))
		}
		return err
	})
	starts := r.Stop(ctx)
	r.Until("no transaction is open", func(ctx context.Context) error {
		if n, err := r.place.open(ctx); err != nil || n > 0 {
			return errors.Join(err, fmt.Errorf("%d partitions have an open transaction", n))
		}
		return nil
	})
	r.Say("nothing is left to be read, the workers have stopped")
	found, err := r.place.collect(ctx)
	r.Must("collect", err)
	var lastDeal time.Time
	for _, c := range []struct {
		*consumer
		seen  *[]Seen
		there int
	}{{r.deals, &found.Deals, found.DealsThere}, {r.changes, &found.Changes, found.ChangesThere}} {
		r.Until("the plain consumers have seen everything", func(context.Context) error {
			seen, last, err := c.records()
			if *c.seen = seen; last.After(lastDeal) {
				lastDeal = last
			}
			if len(seen) < c.there {
				err = errors.Join(err, fmt.Errorf("%d of %d records were seen", len(seen), c.there))
			}
			return err
		})
	}
	problems := Check(r.orders, found)
	for _, p := range problems[:min(len(problems), shown)] {
		r.T.Error(p)
	}
	if len(problems) > shown {
		r.T.Errorf("and %d more problems, all of them in problems.txt beside the logs", len(problems)-shown)
	}
	if len(problems) > 0 {
		r.Must("keep the problems", os.WriteFile(filepath.Join(r.Logs, "problems.txt"), []byte(strings.Join(problems, "\n")+"\n"), 0o600))
	}
	_, lastEnd, pause, _ := r.ends.count()
	if lastDeal.After(lastEnd) {
		lastEnd = lastDeal
	}
	m := Measured{
		Recorded: time.Now().UTC().Format(time.DateOnly), Machine: fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		LoadBefore: r.load, LoadAfter: loadAverage(), Orders: r.count, Deals: len(found.Deals), Changes: len(found.Changes), Dead: len(found.Dead),
		WriteSeconds: r.written.Sub(r.first).Seconds(), Seconds: lastEnd.Sub(r.first).Seconds(), LongestPause: pause.Seconds(), Faults: r.faults, ProcessStarts: starts, Problems: len(problems),
	}
	r.Say("judged on %s and PostgreSQL %s: %d orders made %d flows, %d deals, %d changes, %d dead letters in %.1f s (%.1f/s), written in %.1f s; faults %v, %d process starts; longest time without an end %.1f s; load of the machine %s before, %s after",
		r.Cluster.Kind(), r.Postgres.Version(), r.count, len(found.Statuses), m.Deals, m.Changes, m.Dead, m.Seconds, float64(m.Orders)/m.Seconds, m.WriteSeconds, m.Faults, starts, m.LongestPause, m.LoadBefore, m.LoadAfter)
	if name := os.Getenv(recordVariable); name != "" {
		r.Must("record", m.AddTo(name))
	}
}
