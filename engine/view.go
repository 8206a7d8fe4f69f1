package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ViewConfig says which compacted topic a [View] shows.
type ViewConfig struct {
	Brokers []string
	Prefix  string
	Topic   string
	Codec   Codec
	Outside Outside
	Log     *slog.Logger
}

// View is a compacted topic, all partitions of it, as this process has read it so far (read-committed), in memory.
// A record that the codec cannot read hides its key and is logged; it never stops the view.
type View struct {
	cfg      ViewConfig
	onChange []func(key string, msg any)
	probing  *Engine // the part of an engine that probes logs

	mu      sync.Mutex
	rows    map[string]any
	applied map[int32]int64 // next offset, by partition
	target  map[int32]int64 // end offsets at the start
	ready   chan struct{}
	isReady bool
	waiters map[*viewWaiter]struct{}
}

type viewWaiter struct {
	key  string // empty: any progress
	wake chan struct{}
}

// NewView makes a view; nothing is read before Run.
func NewView(cfg ViewConfig) (*View, error) {
	if len(cfg.Brokers) == 0 || cfg.Topic == "" || cfg.Codec == nil {
		return nil, errors.New("engine: a view needs Brokers, Topic and Codec")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &View{cfg: cfg, rows: map[string]any{}, applied: map[int32]int64{}, ready: make(chan struct{}), waiters: map[*viewWaiter]struct{}{}}, nil
}

// OnChange adds a function that is called, in order, with every change that the view applies; msg is nil when the
// key was deleted. It must be added before Run and must not block.
func (v *View) OnChange(f func(key string, msg any)) { v.onChange = append(v.onChange, f) }

// Run follows the topic until ctx ends.
func (v *View) Run(ctx context.Context) error {
	cl, err := kgo.NewClient(append(clientOpts(v.cfg.Brokers, v.cfg.Outside),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return fmt.Errorf("view of %s: %w", v.cfg.Topic, err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	v.probing = &Engine{cfg: Config{Prefix: v.cfg.Prefix}, admin: admin}
	if err := v.begin(ctx, cl, admin); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for ctx.Err() == nil {
		pollCtx, cancel := v.pollContext(ctx)
		fetches := cl.PollRecords(pollCtx, 20_000)
		cancel()
		var fatal error
		fetches.EachError(func(t string, p int32, err error) {
			switch {
			case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), kerr.IsRetriable(err):
			case errors.Is(err, kgo.ErrClientClosed):
				fatal = err
			default:
				v.cfg.Log.Warn("view", "topic", v.cfg.Topic, "partition", p, "error", err)
			}
		})
		if fatal != nil && ctx.Err() == nil {
			return fmt.Errorf("view of %s: %w", v.cfg.Topic, fatal)
		}
		if !v.apply(fetches) && !v.ReadyNow() {
			v.passGaps(ctx, cl)
		}
	}
	return nil
}

// begin finds the partitions and where they end now, and starts reading them.
func (v *View) begin(ctx context.Context, cl *kgo.Client, admin *kadm.Client) error {
	name := v.cfg.Prefix + v.cfg.Topic
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		// The end is read uncommitted: what is being committed now belongs to what the view must show.
		ends, err := admin.ListEndOffsets(ctx, name)
		if err == nil {
			err = ends.Error()
		}
		if err == nil && len(ends[name]) > 0 {
			from := map[int32]kgo.Offset{}
			target := map[int32]int64{}
			ends.Each(func(o kadm.ListedOffset) {
				from[o.Partition] = kgo.NewOffset().AtStart()
				target[o.Partition] = o.Offset
			})
			v.mu.Lock()
			v.target = target
			v.checkReady()
			v.mu.Unlock()
			cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{name: from})
			return nil
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return &MissingTopicsError{Group: "view", Missing: []string{v.cfg.Topic}}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (v *View) pollContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if v.ReadyNow() {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Second)
}

// passGaps moves over empty batches at a log's end, which a client never shows.
func (v *View) passGaps(ctx context.Context, cl *kgo.Client) {
	v.mu.Lock()
	behind := map[int32]int64{}
	for p, end := range v.target {
		if v.applied[p] < end {
			behind[p] = v.applied[p]
		}
	}
	v.mu.Unlock()
	for p, at := range behind {
		next, err := v.probing.probe(ctx, cl, v.cfg.Topic, p, at)
		if err != nil {
			continue
		}
		v.mu.Lock()
		v.applied[p] = max(v.applied[p], next)
		v.checkReady()
		v.mu.Unlock()
	}
}

func (v *View) apply(fetches kgo.Fetches) bool {
	type change struct {
		key string
		msg any
	}
	var changes []change
	progressed := false
	v.mu.Lock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		for _, r := range f.Records {
			progressed = true
			v.applied[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			key := string(r.Key)
			var msg any
			if r.Value != nil {
				m, err := v.cfg.Codec.Decode(r.Value)
				if err != nil {
					v.cfg.Log.Error("view cannot read a record; its key is hidden", "topic", v.cfg.Topic,
						"partition", r.Partition, "offset", r.Offset, "key", key, "error", err)
				} else {
					msg = m
				}
			}
			if msg == nil {
				delete(v.rows, key)
			} else {
				v.rows[key] = msg
			}
			changes = append(changes, change{key, msg})
		}
	})
	if progressed {
		v.checkReady()
		touched := map[string]bool{}
		for _, c := range changes {
			touched[c.key] = true
		}
		for w := range v.waiters {
			if w.key == "" || touched[w.key] {
				select {
				case w.wake <- struct{}{}:
				default:
				}
			}
		}
	}
	v.mu.Unlock()
	for _, c := range changes {
		for _, f := range v.onChange {
			f(c.key, c.msg)
		}
	}
	return progressed
}

func (v *View) checkReady() {
	if v.isReady || v.target == nil {
		return
	}
	for p, end := range v.target {
		if v.applied[p] < end {
			return
		}
	}
	v.isReady = true
	close(v.ready)
}

// ReadyNow tells whether the view has reached the ends that it met at its start.
func (v *View) ReadyNow() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.isReady
}

// WaitReady waits for that.
func (v *View) WaitReady(ctx context.Context) error {
	select {
	case <-v.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("view of %s is not ready: %w", v.cfg.Topic, ctx.Err())
	}
}

// Get returns the message under a key. It must not be changed.
func (v *View) Get(key string) (any, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m, ok := v.rows[key]
	return m, ok
}

// Len returns the number of keys.
func (v *View) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.rows)
}

// All yields a snapshot in key order.
func (v *View) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		v.mu.Lock()
		names := make([]string, 0, len(v.rows))
		rows := make(map[string]any, len(v.rows))
		for k, m := range v.rows {
			names = append(names, k)
			rows[k] = m
		}
		v.mu.Unlock()
		slices.Sort(names)
		for _, k := range names {
			if !yield(k, rows[k]) {
				return
			}
		}
	}
}

// WaitOffset waits until the view has applied the record at this place.
func (v *View) WaitOffset(ctx context.Context, partition int32, offset int64) error {
	err := v.wait(ctx, "", func() bool { return v.applied[partition] > offset })
	if err != nil {
		return fmt.Errorf("wait for %s/%d/%d: %w", v.cfg.Topic, partition, offset, err)
	}
	return nil
}

// WaitKey waits until a key's message satisfies until (ok is false while there is none) and returns it.
func (v *View) WaitKey(ctx context.Context, key string, until func(msg any, ok bool) bool) (any, error) {
	var out any
	err := v.wait(ctx, key, func() bool {
		m, ok := v.rows[key]
		if until(m, ok) {
			out = m
			return true
		}
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("wait for key %s of %s: %w", key, v.cfg.Topic, err)
	}
	return out, nil
}

// wait blocks until done, which is called with the lock held, returns true.
func (v *View) wait(ctx context.Context, key string, done func() bool) error {
	w := &viewWaiter{key: key, wake: make(chan struct{}, 1)}
	v.mu.Lock()
	if done() {
		v.mu.Unlock()
		return nil
	}
	v.waiters[w] = struct{}{}
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(v.waiters, w)
		v.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		v.mu.Lock()
		ok := done()
		v.mu.Unlock()
		if ok {
			return nil
		}
	}
}
