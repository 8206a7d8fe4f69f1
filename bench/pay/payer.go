package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/bench/measure"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// payer starts flows and waits for their ends.
type payer struct {
	cluster *cluster
	client  *kgo.Client
	cancel  context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	waiting map[string]chan ended // by client request id
	started int
}

// ended is how a flow ended, and when that was read.
type ended struct {
	status *flowv1.FlowStatus
	at     time.Time
}

func newPayer(c *cluster) (*payer, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(c.prefix+topics.FlowStatus), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond), kgo.ProducerLinger(0), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &payer{cluster: c, client: cl, cancel: cancel, done: make(chan struct{}), waiting: map[string]chan ended{}}
	go p.read(ctx)
	return p, nil
}

func (p *payer) close() {
	p.cancel()
	<-p.done
	p.client.Close()
}

func (p *payer) read(ctx context.Context) {
	defer close(p.done)
	for ctx.Err() == nil {
		fetches := p.client.PollFetches(ctx)
		at := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			status := &flowv1.FlowStatus{}
			if err := proto.Unmarshal(r.Value, status); err != nil {
				return // no status; whoever waits for one runs out of time
			}
			switch status.GetState() {
			case flowv1.FlowState_FLOW_STATE_COMPLETED, flowv1.FlowState_FLOW_STATE_FAILED, flowv1.FlowState_FLOW_STATE_KILLED:
				p.mu.Lock()
				if w, ok := p.waiting[status.GetClientRequestId()]; ok {
					w <- ended{status, at}
					delete(p.waiting, status.GetClientRequestId())
				}
				p.mu.Unlock()
			default: // it runs
			}
		})
	}
}

// flowError is a flow that did not complete.
type flowError struct {
	class  string
	status *flowv1.FlowStatus
}

func (e *flowError) Error() string {
	return fmt.Sprintf("flow %s of %s is %s: %s: %s", e.class, e.status.GetVnode(), e.status.GetState(), e.status.GetError().GetType(), e.status.GetError().GetMessage())
}

// run runs a flow to its end, and returns its client request id and how long it took. Its error is a [flowError] when the
// flow failed.
func (p *payer) run(ctx context.Context, m member, class string, input any) (id string, took time.Duration, err error) {
	body, err := json.Marshal(input)
	if err != nil {
		return "", 0, fmt.Errorf("encode the input of %s: %w", class, err)
	}
	p.mu.Lock()
	id = fmt.Sprintf("bench-%d", p.started)
	p.started++
	end := make(chan ended, 1)
	p.waiting[id] = end
	p.mu.Unlock()
	v, err := proto.Marshal(&flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: &flowv1.StartFlow{
		Identity: &vnodev1.HoldingIdentity{X500Name: m.name, GroupId: m.group}, Vnode: m.shortHash,
		ClientRequestId: id, FlowClass: class, RequestBody: body, InitiatedBy: "bench", CreatedAtUs: time.Now().UnixMicro(),
		Initiator: flowv1.Initiator_INITIATOR_RPC,
	}}})
	if err != nil {
		return "", 0, fmt.Errorf("encode a start: %w", err)
	}
	began := time.Now()
	failed := make(chan error, 1)
	p.client.Produce(ctx, &kgo.Record{Topic: p.cluster.prefix + topics.FlowMapperStart, Key: []byte(id + "-" + m.shortHash), Value: v}, func(_ *kgo.Record, err error) {
		if err != nil {
			failed <- err
		}
	})
	select {
	case e := <-end:
		if e.status.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED {
			return id, 0, &flowError{class, e.status}
		}
		return id, e.at.Sub(began), nil
	case err := <-failed:
		return id, 0, fmt.Errorf("write a start: %w", err)
	case <-ctx.Done():
		return id, 0, fmt.Errorf("flow %s of %s, request %s: no end: %w", class, m.name, id, ctx.Err())
	}
}

const (
	symbol     = "USD"
	tokenWorth = "1000"
)

// issue gives each member its part of so many tokens. Until the keys are known to all workers, flows fail: those are tried
// again.
func (p *payer) issue(ctx context.Context, tokens int) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	give := func(to member) error {
		_, _, err := p.run(ctx, p.cluster.bank, "tokens-issue", map[string]string{"to": to.name, "symbol": symbol, "amount": tokenWorth})
		return err
	}
	for _, m := range p.cluster.members {
		for {
			err := give(m)
			if failed := (*flowError)(nil); errors.As(err, &failed) && ctx.Err() == nil {
				measure.Pause(ctx, 200*time.Millisecond)
				continue
			}
			if err != nil {
				return err
			}
			break
		}
	}
	each := (tokens + len(p.cluster.members) - 1) / len(p.cluster.members) * 3 / 2
	todo := make(chan member)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	const issuers = 16
	for range issuers {
		wg.Go(func() {
			for m := range todo {
				if err := give(m); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for range each {
		for _, m := range p.cluster.members {
			todo <- m
		}
	}
	close(todo)
	wg.Wait()
	return errors.Join(errs...)
}

// pay makes the payment that member n's turn is: to the other of the pair.
func (p *payer) pay(ctx context.Context, n int) (id string, took time.Duration, err error) {
	n %= len(p.cluster.members)
	to := p.cluster.members[n^1]
	return p.run(ctx, p.cluster.members[n], "tokens-pay", map[string]string{"to": to.name, "issuer": p.cluster.bank.name, "symbol": symbol, "amount": "1"})
}

// single makes payments one at a time, and follows some of them through the topics.
func (p *payer) single(ctx context.Context, count int, s *site) error {
	began := time.Now()
	var took []time.Duration
	var ids []string
	for n := range count {
		id, d, err := p.pay(ctx, n)
		if err != nil {
			return err
		}
		took, ids = append(took, d), append(ids, id)
	}
	s.Single = measure.PercentilesOf(took)
	all, err := follow(ctx, p.cluster, ids, began.Add(-time.Second))
	if err != nil {
		return fmt.Errorf("follow payments: %w", err)
	}
	s.Hops = hopsOf(all)
	return nil
}

// many keeps payments under way for a while. The processor time is that of all that ended in that while.
func (p *payer) many(ctx context.Context, l *many, lasts time.Duration) error {
	from, err := measure.Snapshot()
	if err != nil {
		return err
	}
	began := time.Now()
	until := began.Add(lasts)
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	var errs []error
	for n := range l.AtOnce {
		wg.Go(func() {
			for time.Now().Before(until) {
				_, d, err := p.pay(ctx, n)
				failed := (*flowError)(nil)
				mu.Lock()
				switch {
				case err == nil:
					took = append(took, d)
				case errors.As(err, &failed):
					if l.Failed++; l.Why == "" {
						l.Why = err.Error()
					}
				default:
					errs = append(errs, err)
				}
				mu.Unlock()
				if err != nil && failed == nil {
					return
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(took) == 0 {
		return fmt.Errorf("no payment is final, %d failed: %s", l.Failed, l.Why)
	}
	to, err := measure.Snapshot()
	if err != nil {
		return err
	}
	l.Seconds, l.PerSecond, l.Millis = elapsed.Seconds(), float64(len(took))/elapsed.Seconds(), measure.PercentilesOf(took)
	l.Parts = map[string]float64{}
	before := p.cluster.parts(from)
	for part, used := range p.cluster.parts(to) {
		spent := (used - before[part]).Seconds()
		l.Cores += spent / elapsed.Seconds()
		l.Parts[part] = 1000 * spent / float64(len(took))
	}
	return nil
}
