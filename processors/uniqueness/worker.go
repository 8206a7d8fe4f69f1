package uniqueness

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/topics"
)

// Deps are what the worker is built on.
type Deps struct {
	// Metrics counts what happens; nil for none.
	Metrics *Metrics
}

// Worker is what the group shares in a process.
type Worker struct {
	deps    Deps
	clocks  clocks
	replies []string
}

// NewWorker makes a worker.
func NewWorker(deps Deps) (*Worker, error) {
	input, ok := topics.Find(topics.UniquenessRequests)
	if !ok {
		return nil, errors.New("uniqueness: the catalogue lacks topic " + topics.UniquenessRequests)
	}
	return &Worker{deps: deps, replies: input.Replies}, nil
}

// width is how many microseconds a transaction has, maxBatch bounds its requests: as many as these have times for.
const (
	width    = 5
	maxBatch = width * nanos
)

// Tune sets what the group needs of the engine. The only retries are of requests for which a poll had no time left, so they
// are not counted.
func Tune(c *engine.Config) {
	const noLimit = 1 << 30
	c.MaxBatch, c.NowWidth, c.Retries = maxBatch, width, noLimit
}

type request = engine.Item[undecoded]

// turn is one request on its way through a batch.
type turn struct {
	item  request
	asked Asked
	err   error
	book  *notebook
}

// batch works off what one poll brought: all requests are decoded, the rows that they may need are read, and then they are
// decided one by one, in order, each seeing what those before it have done.
func (w *Worker) batch(ctx context.Context, items []request) []error {
	began := time.Now()
	turns := w.decode(items)
	w.prefetch(turns)
	results := make([]error, len(items))
	for i, t := range turns {
		if results[i] = w.decide(ctx, t); results[i] == nil {
			items[i].Settle() // its answer is on its way while the next is decided
		}
	}
	w.deps.Metrics.batch(len(items), time.Since(began))
	if len(items) > 0 {
		w.deps.Metrics.ahead(items[0].Now().Sub(began))
	}
	return results
}

// decode reads the requests, side by side.
func (w *Worker) decode(items []request) []*turn {
	turns := make([]*turn, len(items))
	side := min(runtime.GOMAXPROCS(0), (len(items)+31)/32) // for fewer a goroutine costs more than it saves
	var wg sync.WaitGroup
	for n := range side {
		wg.Go(func() {
			for i := n; i < len(items); i += side {
				turns[i] = newTurn(items[i])
			}
		})
	}
	wg.Wait()
	return turns
}

// newTurn reads a request. A panic is that request's alone: in a goroutine of its own it would end the process.
func newTurn(it request) (t *turn) {
	t = &turn{item: it}
	defer func() {
		if r := recover(); r != nil {
			t.err = fmt.Errorf("%s: reading it: %v", idDecode, r)
		}
	}()
	t.asked, t.err = Read(metaOf(it.Context), it.Msg)
	return t
}

// prefetch gives each request its notary's notebook, and reads ahead, partition by partition.
func (w *Worker) prefetch(turns []*turn) {
	type place struct {
		partition int32
		notary    string
	}
	books := map[place]*notebook{}
	requests := map[place][]Request{}
	byPartition := map[int32][]place{}
	for _, t := range turns {
		if t.err != nil {
			continue
		}
		at := place{t.item.Partition(), t.asked.Message.GetNotary()}
		if books[at] == nil {
			books[at] = newNotebook(at.notary, t.item.Store(topics.UniquenessMemoryStore))
			byPartition[at.partition] = append(byPartition[at.partition], at)
		}
		t.book = books[at]
		requests[at] = append(requests[at], t.asked.Request)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var fault any // what the engine panicked with; it must be told in the goroutine that called
	for _, list := range byPartition {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					mu.Lock()
					defer mu.Unlock()
					fault = r
				}
			}()
			for _, at := range list {
				books[at].prefetch(requests[at])
			}
		})
	}
	wg.Wait()
	if fault != nil {
		panic(fault)
	}
}

// later is how long what a poll had no time for waits.
const later = 10 * time.Millisecond

func (w *Worker) decide(ctx context.Context, t *turn) error {
	if t.err != nil {
		return engine.Poison("%w", t.err)
	}
	if ctx.Err() != nil {
		return engine.Retry(later, errors.New("the time of the poll was over before it was decided"))
	}
	now, ok := w.clocks.next(t.item.Partition(), t.item.Now().UnixMicro())
	if !ok {
		return engine.Retry(later, fmt.Errorf("its transaction has %d decisions already", maxBatch))
	}
	effects := Step(State{Memory: t.book, Replies: w.replies, NowNs: now}, t.asked)
	if t.book.err != nil {
		return engine.Fatal(t.book.err)
	}
	for _, effect := range effects {
		if e, ok := effect.(Remember); ok {
			t.book.remember(e.Request.Tx, e.Effects)
		}
	}
	return w.apply(t.item.Context, effects)
}

// apply does what a step asks for, and returns what becomes of the record.
func (w *Worker) apply(ctx engine.Context, effects []Effect) error {
	for _, effect := range effects {
		if e, ok := effect.(Refuse); ok {
			return engine.Poison("%w", e.Err)
		}
	}
	for _, effect := range effects {
		switch e := effect.(type) {
		case Remember:
			if err := write(ctx.Store(topics.UniquenessMemoryStore), e.Notary, e.Request.Tx, e.Effects); err != nil {
				return engine.Fatal(err)
			}
			w.deps.Metrics.spent(len(e.Effects.Spent))
		case SendReply:
			engine.EmitTo(ctx, goka.Stream(e.Topic), e.Partition, e.Key, e.Reply, kgo.RecordHeader{Key: engine.HeaderRequest, Value: []byte(e.RequestID)})
		case Note:
			w.deps.Metrics.count(e)
		default:
			return engine.Poison("uniqueness: no way to apply %T", effect)
		}
	}
	return nil
}

func metaOf(ctx engine.Context) Meta {
	return Meta{Key: ctx.Key(), RequestID: ctx.Header(engine.HeaderRequest), ReplyTo: ctx.Header(engine.HeaderReply), Deadline: ctx.Header(engine.HeaderDeadline)}
}

// dead tells whoever waits for a request that it is in the dead letters.
func (w *Worker) dead(ctx engine.Context, _ any, reason string, cause error) error {
	return w.apply(ctx, Step(State{Replies: w.replies}, GivenUp{Meta: metaOf(ctx), Cause: fmt.Errorf("%s: %w", reason, cause)}))
}
