package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

const (
	partitions = 4
	keys       = 50_000
	valueBytes = 100
	inputTopic = "in"
	// patience bounds each run.
	patience = 10 * time.Minute
)

// bench is a cluster with what all subjects share.
type bench struct {
	o       options
	brokers []string
	dir     string
	streams []string // class path of the Java program
	client  *kgo.Client
	admin   *kadm.Client
}

func newBench(ctx context.Context, o options, brokers []string, dir string) (*bench, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	b := &bench{o: o, brokers: brokers, dir: dir, client: cl, admin: kadm.NewClient(cl)}
	if b.streams, err = buildStreams(ctx, filepath.Join(o.root, "bench", "streams"), dir); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { b.client.Close() }

func (b *bench) create(ctx context.Context, compacted bool, topics ...string) error {
	config := map[string]*string{"max.message.bytes": kadm.StringPtr(strconv.Itoa(5 << 20))}
	if compacted {
		config["cleanup.policy"] = kadm.StringPtr("compact")
	}
	for _, t := range topics {
		r, err := b.admin.CreateTopic(ctx, partitions, 1, config, t)
		if err = errors.Join(err, r.Err); err != nil {
			return fmt.Errorf("create topic %s: %w", t, err)
		}
	}
	// The broker learns of topics after it has answered.
	return kafkatest.Until(ctx, 20*time.Millisecond, func() (bool, error) {
		if len(topics) == 0 {
			return true, nil
		}
		ends, err := b.admin.ListEndOffsets(ctx, topics...)
		return err == nil && ends.Error() == nil && len(ends) == len(topics), nil
	})
}

func key(n int) []byte { return []byte("account-" + strconv.Itoa(n)) }

// preload writes the input of the throughput runs. The values do not compress to nothing.
func (b *bench) preload(ctx context.Context) error {
	if err := b.create(ctx, false, inputTopic); err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same payload in every run
	var failed error
	for range b.o.records {
		value := make([]byte, valueBytes)
		for i := 0; i < valueBytes; i += 2 {
			value[i] = byte(rnd.Uint32())
		}
		b.client.Produce(ctx, &kgo.Record{Topic: inputTopic, Key: key(rnd.IntN(keys)), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := errors.Join(b.client.Flush(ctx), failed); err != nil {
		return fmt.Errorf("produce the input: %w", err)
	}
	return nil
}

// start runs a subject's program over a pair of topics.
func (b *bench) start(ctx context.Context, s subject, in, run string) (*kafkatest.Process, string, error) {
	id := s.name + "-" + run
	out := "out-" + id
	plain, compacted := s.topics(id)
	if err := errors.Join(b.create(ctx, false, append(plain, out)...), b.create(ctx, true, compacted...)); err != nil {
		return nil, "", err
	}
	dir := filepath.Join(b.dir, id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, "", fmt.Errorf("make a directory for %s: %w", s.title, err)
	}
	cmd, err := s.command(ctx, b, child{subject: s.name, brokers: b.brokers[0], group: id, in: in, out: out, dir: dir})
	if err != nil {
		return nil, "", err
	}
	p, err := kafkatest.StartProcess(cmd, filepath.Join(b.dir, id+".log"))
	return p, out, err
}

// ended is what a program that should run has to say for itself.
func ended(p *kafkatest.Process) error {
	return fmt.Errorf("the program ended (%w):\n%s", p.Err(), p.LogTail(4<<10))
}

// throughput lets a subject work off the input and measures how fast the output becomes visible.
func (b *bench) throughput(ctx context.Context, s subject) (rate, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, out, err := b.start(ctx, s, inputTopic, "throughput")
	if err != nil {
		return rate{}, err
	}
	total := int64(b.o.records)
	var first, last time.Time
	var atFirst int64
	err = kafkatest.Until(ctx, 20*time.Millisecond, func() (bool, error) {
		if !p.Running() {
			return false, ended(p)
		}
		listed, err := b.admin.ListCommittedOffsets(ctx, out)
		if err != nil {
			return false, err
		}
		var n int64
		listed.Each(func(o kadm.ListedOffset) { n += o.Offset })
		if first.IsZero() && n >= total/10 {
			first, atFirst = time.Now(), n
		}
		last = time.Now()
		return n >= total, nil
	})
	stopping, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancelStop()
	_ = p.Stop(stopping) // it is killed when it does not
	if err != nil {
		return rate{}, err
	}
	return rate{
		PerSecond: float64(total-atFirst) / last.Sub(first).Seconds(),
		CPUMicros: float64(p.CPU().Microseconds()) / float64(total),
	}, nil
}

// latency sends a hundred records a second through a subject.
func (b *bench) latency(ctx context.Context, s subject, lasts time.Duration) (percentiles, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	in := "in-" + s.name
	if err := b.create(ctx, false, in); err != nil {
		return percentiles{}, err
	}
	p, out, err := b.start(ctx, s, in, "latency")
	if err != nil {
		return percentiles{}, err
	}
	defer func() {
		stopping, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancelStop()
		_ = p.Stop(stopping) // it is killed when it does not
	}()
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(out), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return percentiles{}, fmt.Errorf("make a reader: %w", err)
	}
	defer reader.Close()
	reading, stopReading := context.WithCancel(ctx)
	arrived := make(chan time.Duration, 100_000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for reading.Err() == nil {
			fetches := reader.PollFetches(reading)
			now := time.Now().UnixNano()
			fetches.EachRecord(func(r *kgo.Record) {
				arrived <- time.Duration(now - int64(binary.BigEndian.Uint64(r.Value)))
			})
		}
	}()
	defer func() {
		stopReading()
		<-done
	}()
	return b.pace(ctx, p, in, arrived, lasts)
}

// pace produces, first until records come through for three seconds, then for the measurement.
func (b *bench) pace(ctx context.Context, p *kafkatest.Process, in string, arrived <-chan time.Duration, lasts time.Duration) (percentiles, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var seen []float64
	var warm, until time.Time
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-p.Done():
			return percentiles{}, ended(p)
		case <-ctx.Done():
			return percentiles{}, fmt.Errorf("nothing comes through: %w", ctx.Err())
		}
		value := make([]byte, valueBytes)
		binary.BigEndian.PutUint64(value, uint64(time.Now().UnixNano()))
		b.client.Produce(ctx, &kgo.Record{Topic: in, Key: key(n % keys), Value: value}, nil)
		for more := true; more; {
			select {
			case d := <-arrived:
				switch {
				case warm.IsZero():
					warm = time.Now()
				case until.IsZero() && time.Since(warm) > 3*time.Second:
					until = time.Now().Add(lasts)
				case !until.IsZero():
					seen = append(seen, float64(d)/float64(time.Millisecond))
				}
			default:
				more = false
			}
		}
		if !until.IsZero() && time.Now().After(until) {
			return percentilesOf(seen), nil
		}
	}
}

func percentilesOf(ms []float64) percentiles {
	if len(ms) == 0 {
		return percentiles{}
	}
	slices.Sort(ms)
	at := func(q float64) float64 { return ms[min(len(ms)-1, int(math.Ceil(q*float64(len(ms))))-1)] }
	return percentiles{P50: at(0.5), P90: at(0.9), P99: at(0.99), Count: len(ms)}
}
