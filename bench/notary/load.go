package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// load is one kind of transactions in numbers.
type load struct {
	// Notaries have a partition each; Inputs is of a transaction; SlowMillis is how much longer each commit takes; Most bounds
	// the transactions that one commit decides, 0 for as many as the worker takes.
	Notaries   int `json:"notaries"`
	Inputs     int `json:"inputs"`
	SlowMillis int `json:"slowCommitMs,omitempty"`
	Most       int `json:"mostInACommit,omitempty"`
	// Transactions is how many were decided of the backlog, of all notaries.
	Transactions int     `json:"transactions"`
	PerSecond    float64 `json:"transactionsPerSecond"`
	// Processor time for each transaction, microseconds: the worker's, the broker's and the client's.
	Worker float64 `json:"workerMicros"`
	Broker float64 `json:"brokerMicros"`
	Client float64 `json:"clientMicros"`
	Paced  []paced `json:"paced,omitempty"`
	rates  []float64
}

// paced is a load at a fixed rate.
type paced struct {
	// PerSecond is how many transactions came in a second, of all notaries; Seconds is for how long.
	PerSecond float64             `json:"transactionsPerSecond"`
	Seconds   float64             `json:"seconds"`
	Millis    measure.Percentiles `json:"latencyMs"`
	Worker    float64             `json:"workerMicros"`
	Broker    float64             `json:"brokerMicros"`
}

func (l load) title() string {
	s := "1 notary"
	if l.Notaries > 1 {
		s = fmt.Sprintf("%d notaries on %d partitions", l.Notaries, l.Notaries)
	}
	if s += fmt.Sprintf(", %d inputs", l.Inputs); l.Inputs == 1 {
		s = strings.TrimSuffix(s, "s")
	}
	if l.SlowMillis > 0 {
		s += fmt.Sprintf(", commits %d ms slower", l.SlowMillis)
	}
	if l.Most > 0 {
		s += fmt.Sprintf(", of at most %d", l.Most)
	}
	return s
}

// Rates of paced loads that are no fixed number of transactions a second.
const (
	half     = -1 // half of what the backlog's rate was
	likeOnes = -2 // what half meant for one notary
)

// least is what one notary should do at least, with two inputs.
const least = 15_000

// loads are all kinds; scale is a share of the usual number of transactions.
func loads(scale float64) []load {
	all := []load{
		{Notaries: 1, Inputs: 1, Transactions: 120_000, rates: []float64{half}},
		{Notaries: 1, Inputs: 2, Transactions: 120_000, rates: []float64{half, least}},
		{Notaries: 2, Inputs: 2, Transactions: 120_000, rates: []float64{likeOnes}},
		{Notaries: 1, Inputs: 2, Transactions: 80_000, SlowMillis: slowMillis},
		{Notaries: 2, Inputs: 2, Transactions: 120_000, SlowMillis: slowMillis},
		{Notaries: 1, Inputs: 2, Transactions: 10_000, SlowMillis: slowMillis, Most: fewInACommit},
		{Notaries: 2, Inputs: 2, Transactions: 20_000, SlowMillis: slowMillis, Most: fewInACommit},
		{Notaries: 1, Inputs: 10, Transactions: 40_000, rates: []float64{half}},
		{Notaries: 1, Inputs: 100, Transactions: 6_000, rates: []float64{half}},
		{Notaries: 1, Inputs: 1000, Transactions: 800, rates: []float64{half}},
	}
	for i := range all {
		all[i].Transactions = max(20, int(float64(all[i].Transactions)*scale)/all[i].Notaries*all[i].Notaries)
	}
	return all
}

// loadTime bounds one load.
const loadTime = 5 * time.Minute

// load runs one kind; before are those that ran before it.
func (b bench) load(ctx context.Context, l *load, before []load) (err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	r := &running{load: l, prefix: fmt.Sprintf("n%d-i%d-s%d-m%d-", l.Notaries, l.Inputs, l.SlowMillis, l.Most), chains: chains(l.Notaries, l.Inputs)}
	if err := r.connect(b.brokers); err != nil {
		return err
	}
	defer r.producer.Close()
	defer r.reader.Close()
	if err := r.createTopics(ctx); err != nil {
		return err
	}
	first := r.chains[0].issuances()
	total := first + l.Transactions/l.Notaries
	for n := range total {
		if err := r.ask(ctx, n); err != nil {
			return err
		}
	}
	if err := errors.Join(r.producer.Flush(ctx), r.failed()); err != nil {
		return fmt.Errorf("write requests: %w", err)
	}
	if err := b.start(r); err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, r.worker.Stop(stopping))
	}()
	if err := r.backlog(ctx, first, total); err != nil {
		return err
	}
	fmt.Printf("%-52s %9.0f tx/s   worker %7.1f µs, broker %6.1f µs, client %6.1f µs of processor per transaction\n", l.title(), l.PerSecond, l.Worker, l.Broker, l.Client)
	next := total
	for _, rate := range l.rates {
		if b.paced == 0 {
			break
		}
		switch rate {
		case half:
			rate = l.PerSecond / 2
		case likeOnes:
			if rate = oneRate(before, *l); rate == 0 {
				return errors.New("one notary was not measured before")
			}
		default:
			if rate > l.PerSecond {
				continue // it would only measure how long the queue gets
			}
		}
		p, err := r.pace(ctx, &next, rate, b.paced)
		if err != nil {
			return fmt.Errorf("%.0f transactions a second: %w", rate, err)
		}
		fmt.Printf("  at %9.0f tx/s: p50 %6.1f  p90 %6.1f  p99 %6.1f  max %6.1f ms, worker %.1f µs per transaction\n", p.PerSecond, p.Millis.P50, p.Millis.P90, p.Millis.P99, p.Millis.Max, p.Worker)
		l.Paced = append(l.Paced, p)
	}
	return nil
}

// oneRate is the rate at which one notary was paced first, with transactions of the same kind.
func oneRate(before []load, like load) float64 {
	for _, l := range before {
		if l.Notaries == 1 && l.Inputs == like.Inputs && l.SlowMillis == like.SlowMillis && len(l.Paced) > 0 {
			return l.Paced[0].PerSecond
		}
	}
	return 0
}

// start runs the worker.
func (b bench) start(r *running) error {
	dir := filepath.Join(b.dir, r.prefix+"worker")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for the worker: %w", err)
	}
	c := child{brokers: strings.Join(b.brokers, ","), prefix: r.prefix, dir: dir, sessions: r.load.Notaries, most: r.load.Most, slow: time.Duration(r.load.SlowMillis) * time.Millisecond}
	if b.profile != "" {
		c.profile = filepath.Join(b.profile, r.prefix+"worker.prof")
	}
	cmd, err := c.command()
	if err != nil {
		return err
	}
	if r.worker, err = kafkatest.StartProcess(cmd, filepath.Join(b.dir, r.prefix+"worker.log")); err != nil {
		return err
	}
	r.pid = cmd.Process.Pid
	return nil
}

// running is a load that is being run.
type running struct {
	load             *load
	prefix           string
	chains           []chain
	producer, reader *kgo.Client
	failure          chan error
	worker           *kafkatest.Process
	pid              int
	// answered counts the answers that were read.
	answered int
}

// lingers is how long a request may wait for others: as long as the engine's do, by which flow workers write theirs.
const lingers = 5 * time.Millisecond

func (r *running) connect(brokers []string) (err error) {
	r.failure = make(chan error, 1)
	r.producer, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(lingers),
		kgo.MaxBufferedRecords(50_000), kgo.MetadataMinAge(50*time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return fmt.Errorf("make a producer: %w", err)
	}
	r.reader, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(r.prefix+topics.FlowRepliesUniqueness),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		r.producer.Close()
		return fmt.Errorf("make a reader: %w", err)
	}
	return nil
}

// createTopics makes what the group needs: its input and its own topics with a partition for each notary.
func (r *running) createTopics(ctx context.Context) error {
	worker, err := uniqueness.NewWorker(uniqueness.Deps{})
	if err != nil {
		return err
	}
	admin := kadm.NewClient(r.producer)
	var made []string
	for _, e := range worker.Graph().Edges() {
		config := map[string]*string{"max.message.bytes": kadm.StringPtr(strconv.Itoa(engine.MaxProduceBytes))}
		switch e.Kind {
		case engine.EdgeDynamic:
			continue
		case engine.EdgeTable, engine.EdgeStore, engine.EdgeRows:
			config["cleanup.policy"] = kadm.StringPtr("compact")
		default: // streams
		}
		made = append(made, r.prefix+e.Topic)
		if _, err := admin.CreateTopic(ctx, int32(r.load.Notaries), 1, config, r.prefix+e.Topic); err != nil {
			return fmt.Errorf("create topic %s: %w", e.Topic, err)
		}
	}
	// The broker learns of topics after it has answered.
	return kafkatest.Until(ctx, 20*time.Millisecond, func() (bool, error) {
		ends, err := admin.ListEndOffsets(ctx, made...)
		return err == nil && ends.Error() == nil && len(ends) == len(made), nil
	})
}

// ask writes the request about transaction n of each notary.
func (r *running) ask(ctx context.Context, n int) error {
	for _, c := range r.chains {
		rec, err := c.record(r.prefix, n)
		if err != nil {
			return err
		}
		r.producer.Produce(ctx, rec, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case r.failure <- err:
				default: // one is enough
				}
			}
		})
	}
	return nil
}

func (r *running) failed() error {
	select {
	case err := <-r.failure:
		return err
	default:
		return nil
	}
}

// read polls for answers once; each is looked at, and told with the notary's and the transaction's number.
func (r *running) read(ctx context.Context, told func(notary, n int, at time.Time)) error {
	fetches := r.reader.PollFetches(ctx)
	at := time.Now()
	if ctx.Err() != nil {
		return fmt.Errorf("%d requests are answered: %w\n%s", r.answered, ctx.Err(), r.worker.LogTail(4<<10))
	}
	if !r.worker.Running() {
		return fmt.Errorf("the worker ended (%w):\n%s", r.worker.Err(), r.worker.LogTail(4<<10))
	}
	for it := fetches.RecordIter(); !it.Done(); {
		rec := it.Next()
		notary, n, err := parseRequestID(string(rec.Key))
		if err != nil {
			return err
		}
		var reply rpcv1.Reply
		var answer appv1.UniquenessAnswer
		if err := errors.Join(proto.Unmarshal(rec.Value, &reply), proto.Unmarshal(reply.GetResult(), &answer)); err != nil || reply.GetError() != nil {
			return fmt.Errorf("transaction %s is answered with %v: %w", rec.Key, reply.GetError(), err)
		}
		if answer.GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED {
			return fmt.Errorf("transaction %s is answered %s, where nothing speaks against it", rec.Key, answer.GetResult())
		}
		r.answered++
		told(notary, n, at)
	}
	return r.failed()
}

// used is the processor time of those who take part.
type used struct {
	at                     time.Time
	worker, broker, client time.Duration
}

func (r *running) used() (u used, err error) {
	all, err := measure.Snapshot()
	if err != nil {
		return u, err
	}
	for _, p := range all.Children(os.Getpid()) {
		switch {
		case p.PID == r.pid:
			u.worker = p.Own
		case p.Name == "java":
			u.broker += p.Own
		}
	}
	u.client, u.at = all[os.Getpid()].Own, time.Now()
	return u, nil
}

// micros is the time between two moments for each of n transactions.
func micros(from, to time.Duration, n int) float64 {
	return float64((to - from).Microseconds()) / float64(max(1, n))
}

// backlog reads all answers to what lies there: the first so many of each notary are issuances. What comes in the first
// tenth of the others is not counted.
func (r *running) backlog(ctx context.Context, issuances, total int) error {
	l := r.load
	warm, all := (issuances+(total-issuances)/10)*l.Notaries, total*l.Notaries
	var from, to used
	begun, atFrom := false, 0
	for r.answered < all {
		err := r.read(ctx, func(int, int, time.Time) {})
		if err != nil {
			return err
		}
		if r.answered >= warm && !begun {
			begun, atFrom = true, r.answered
			if from, err = r.used(); err != nil {
				return err
			}
		}
	}
	to, err := r.used()
	if err != nil {
		return err
	}
	n := all - atFrom
	l.PerSecond = float64(n) / to.at.Sub(from.at).Seconds()
	l.Worker, l.Broker, l.Client = micros(from.worker, to.worker, n), micros(from.broker, to.broker, n), micros(from.client, to.client, n)
	return nil
}

// warmUp is how long a paced load runs before it counts.
const warmUp = time.Second

// pace asks at a rate, beginning with transaction next of each notary.
func (r *running) pace(ctx context.Context, next *int, rate float64, lasts time.Duration) (p paced, err error) {
	first := *next
	each := time.Duration(float64(time.Second) * float64(r.load.Notaries) / rate)
	count, ignored := int((warmUp+lasts)/each), int(warmUp/each)
	if count-ignored < 1 {
		return p, fmt.Errorf("there is no transaction in %s", lasts)
	}
	*next += count
	began := time.Now()
	due := func(i int) time.Time { return began.Add(time.Duration(i) * each) }
	asking, stop := context.WithCancel(ctx)
	defer stop()
	asked := make(chan error, 1)
	go func() { asked <- r.askInTime(asking, first, count, due) }()
	var took []time.Duration
	var from, to used
	atFrom := 0
	for got := 0; got < count*r.load.Notaries; {
		err := r.read(ctx, func(_, n int, at time.Time) {
			got++
			if i := n - first; i >= ignored {
				took = append(took, at.Sub(due(i)))
			}
		})
		if err != nil {
			stop()
			return p, errors.Join(err, <-asked)
		}
		if from.at.IsZero() && time.Since(began) >= warmUp {
			atFrom = got
			if from, err = r.used(); err != nil {
				stop()
				return p, errors.Join(err, <-asked)
			}
		}
	}
	if err := <-asked; err != nil {
		return p, err
	}
	if to, err = r.used(); err != nil {
		return p, err
	}
	n := count*r.load.Notaries - atFrom
	return paced{
		PerSecond: float64(r.load.Notaries) / each.Seconds(), Seconds: lasts.Seconds(), Millis: measure.PercentilesOf(took),
		Worker: micros(from.worker, to.worker, n), Broker: micros(from.broker, to.broker, n),
	}, nil
}

// askInTime asks for count transactions when they are due.
func (r *running) askInTime(ctx context.Context, first, count int, due func(int) time.Time) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; i < count; {
		for ; i < count && !time.Now().Before(due(i)); i++ {
			if err := r.ask(ctx, first+i); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
