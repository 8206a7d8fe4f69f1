package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
)

const clicks = 5000

// graph is the group: a click comes in, the user's count is kept in the group table, and each tenth click of a user
// is told to topic "milestones".
func graph() *engine.Graph {
	return engine.Define("clicks",
		engine.Input("click", new(codec.String), engine.Typed(func(ctx engine.Context, _ string) error {
			n, _ := ctx.Value().(int64)
			n++
			ctx.SetValue(n)
			if n%10 == 0 {
				ctx.Emit("milestones", ctx.Key(), n)
			}
			return nil
		})),
		goka.Persist(new(codec.Int64)),
		goka.Output("milestones", new(codec.Int64)),
	)
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "clicks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	defer broker.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ConsumeTopics("milestones"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer client.Close()
	// Processors create no topics; the graph says which ones it needs.
	for _, e := range graph().Edges() {
		settings := map[string]*string{"max.message.bytes": kadm.StringPtr("4194304")}
		switch e.Kind {
		case engine.EdgeTable, engine.EdgeRows:
			settings["cleanup.policy"] = kadm.StringPtr("compact")
		case engine.EdgeLoop:
			settings["retention.ms"] = kadm.StringPtr("-1")
		default: // streams
		}
		if _, err := kadm.NewClient(client).CreateTopic(ctx, 4, 1, settings, e.Topic); err != nil {
			return fmt.Errorf("create topic %s: %w", e.Topic, err)
		}
	}
	for i := range clicks {
		client.Produce(ctx, &kgo.Record{Topic: "click", Key: []byte("user-" + strconv.Itoa(i%10)), Value: []byte("click")}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("send clicks: %w", err)
	}

	first := start(ctx, broker.ListenAddrs())
	seen := milestones(ctx, client, 10)
	first.kill()
	fmt.Fprintf(out, "killed the processor after %d milestones; starting another on an empty disk\n", len(seen))
	second := start(ctx, broker.ListenAddrs())
	seen = append(seen, milestones(ctx, client, clicks/10-len(seen))...)
	if err := second.stop(); err != nil {
		return err
	}
	if dup := duplicates(seen); dup > 0 || len(seen) != clicks/10 {
		return fmt.Errorf("%d milestones, %d of them twice; exactly %d are right", len(seen), dup, clicks/10)
	}
	fmt.Fprintf(out, "%d clicks, %d milestones, none twice, none missing\n", clicks, len(seen))
	return nil
}

// process is a processor with a network of its own, so that it can be cut off as a killed one is.
type process struct {
	cancel context.CancelFunc
	done   chan error
	mu     sync.Mutex
	dead   bool
	conns  []net.Conn
}

func start(ctx context.Context, brokers []string) *process {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- p.work(ctx, brokers) }()
	return p
}

func (p *process) work(ctx context.Context, brokers []string) error {
	db, err := engine.OpenMemory()
	if err != nil {
		return err
	}
	e, err := engine.New(engine.Config{
		Brokers: brokers, DB: db, InstanceID: "0", MaxBatch: 50,
		Outside: engine.Outside{Dial: p.dial}, Log: slog.New(slog.DiscardHandler),
		EndTimeout: time.Second, TransactionTimeout: 2 * time.Second,
	}, graph())
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(e.Run(ctx), db.Close())
}

func (p *process) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	p.conns = append(p.conns, c)
	return c, nil
}

// kill cuts the network in whatever the processor is doing.
func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	for _, c := range p.conns {
		_ = c.Close() // the broker sees what it sees of a killed process
	}
	p.mu.Unlock()
	_ = p.stop() // a killed process says nothing
}

func (p *process) stop() error {
	p.cancel()
	return <-p.done
}

// milestones reads at least n of them.
func milestones(ctx context.Context, client *kgo.Client, n int) []string {
	var out []string
	for len(out) < n && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { out = append(out, string(r.Key)+" "+string(r.Value)) })
	}
	return out
}

func duplicates(all []string) int {
	seen := map[string]bool{}
	n := 0
	for _, m := range all {
		if seen[m] {
			n++
		}
		seen[m] = true
	}
	return n
}
