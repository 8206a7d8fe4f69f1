//go:build synctests

package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const stormFor = 150 * time.Second

// outside are the options of a Kafka client that no fault meets at its own end.
func (w *world) outside(name string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.Dialer(func(ctx context.Context, _, addr string) (net.Conn, error) {
			return w.net.dial(ctx, bystander(name), addr)
		}),
	}
}

// line is a message under its key.
type line struct {
	topic, key string
	message
}

// load writes the input: bursts and pauses, a dozen keys, all kinds of messages. Seeds with transactions write each
// burst in one, and abort some of them.
func (w *world) load() {
	l := &loader{w: w, draw: newRNG(w.seed, "load"), timers: map[string]string{}}
	defer l.close()
	pause := stormFor / time.Duration(max(w.settings.records/12, 1))
	for l.next < w.settings.records {
		l.burst(l.lines(min(1+l.draw.intn(24), w.settings.records-l.next)))
		time.Sleep(l.draw.between(0, 2*pause))
	}
}

type loader struct {
	w      *world
	draw   *rng
	cl     *kgo.Client
	next   int
	timers map[string]string // by key, the timer that the next cancel names
	killer bool
	lost   bool // the record that nobody mends was written
}

func (l *loader) close() {
	if l.cl != nil {
		l.cl.Close()
	}
}

// lines draws the next messages.
func (l *loader) lines(n int) []line {
	var out []line
	for range n {
		out = append(out, l.w.shape.draw(l, fmt.Sprintf("m%04d", l.next)))
		l.next++
	}
	return out
}

// drawChain draws a message of the first shape.
func drawChain(l *loader, id string) line {
	r := l.draw
	m := message{id: id}
	key := fmt.Sprintf("k%d", r.intn(12))
	switch p := r.intn(100); {
	case p < 42:
		m.op = opAdd
	case p < 50:
		m.op, m.arg = opTimer, fmt.Sprint(r.intn(15_000))
	case p < 53:
		m.op = opMove
	case p < 57:
		m.op, m.arg = opCancel, l.timers[key]
		l.timers[key] = m.id
	case p < 67:
		m.op = opLoop
	case p < 71:
		m.op = opWide
	case p < 74:
		m.op = opBig
	case p < 84:
		m.op, m.arg = opRetry, fmt.Sprint(time.Now().Add(r.between(0, 8*time.Second)).UnixMicro())
	case p < 90:
		m.op = opNothing
	case p < 93:
		m.op = opPoison
	case p < 95:
		m.op = opPanic
	case p < 97:
		m.op = opBroken
	case p < 98:
		m.op = opHopeless
	default:
		if m.op = opAdd; l.w.settings.killer && !l.killer {
			l.killer = true
			m.op = opKiller
		}
	}
	return line{topicIn, key, m}
}

// burst writes messages until all of them are there. What was refused may be there all the same, so it is written
// again under another id.
func (l *loader) burst(lines []line) {
	abort := l.w.settings.transactions && l.draw.chance(20)
	for range 100 {
		refused, err := l.write(lines, abort)
		if err == nil && len(refused) == 0 && !abort {
			return
		}
		abort = false
		if err != nil {
			l.close()
			l.cl = nil
			refused = lines
			time.Sleep(time.Second)
		}
		if len(refused) > 0 {
			lines = refused
		}
		for i := range lines {
			lines[i].id += "x"
		}
	}
	l.w.fail("input cannot be written")
}

// write writes messages once and returns those that were refused.
func (l *loader) write(lines []line, abort bool) (refused []line, err error) {
	ctx := context.Background()
	if l.cl == nil {
		opts := append(l.w.outside("load"), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0))
		if l.w.settings.transactions {
			opts = append(opts, kgo.TransactionalID("load"))
		}
		if l.cl, err = kgo.NewClient(opts...); err != nil {
			return nil, fmt.Errorf("start load: %w", err)
		}
	}
	if l.w.settings.transactions {
		if err := l.cl.BeginTransaction(); err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
	}
	var mu sync.Mutex
	for _, m := range lines {
		l.cl.Produce(ctx, &kgo.Record{
			Topic: l.w.settings.prefix + m.topic, Key: []byte(m.key), Value: []byte(strings.TrimSpace(m.String())),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, m)
			}
		})
	}
	if err := l.cl.Flush(ctx); err != nil {
		return nil, fmt.Errorf("flush: %w", err)
	}
	if !l.w.settings.transactions {
		return refused, nil
	}
	if len(refused) > 0 && !abort {
		return nil, errors.Join(errors.New("some were refused"), l.cl.EndTransaction(ctx, kgo.TryAbort))
	}
	if err := l.cl.EndTransaction(ctx, kgo.TransactionEndTry(!abort)); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	return refused, nil
}
