//go:build synctests

package sim

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outside are the options of a Kafka client that no fault meets at its own end.
func (w *world) outside(name string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(brokers...),
		kgo.Dialer(func(ctx context.Context, _, addr string) (net.Conn, error) {
			return w.net.dial(ctx, bystander(name), addr)
		}),
	}
}

// load writes the input: bursts and pauses, a dozen keys, all kinds of messages.
func (w *world) load() {
	cl, err := kgo.NewClient(append(w.outside("load"), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(0))...)
	if err != nil {
		w.fail("start load: %v", err)
		return
	}
	defer cl.Close()
	type pair struct {
		key string
		m   message
	}
	var mu sync.Mutex
	var refused []pair
	write := func(key string, m message) {
		cl.Produce(context.Background(), &kgo.Record{
			Topic: w.settings.prefix + topicIn, Key: []byte(key), Value: []byte(strings.TrimSpace(m.String())),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, pair{key, m})
			}
		})
	}
	r := newRNG(w.seed, "load")
	timers := map[string]string{} // by key, the timer that the next cancel names
	pause := w.over() / time.Duration(max(w.settings.records/12, 1))
	killers := 0
	for i := 0; i < w.settings.records; {
		for range min(1+r.intn(24), w.settings.records-i) {
			m := message{id: fmt.Sprintf("m%04d", i)}
			key := fmt.Sprintf("k%d", r.intn(12))
			switch p := r.intn(100); {
			case p < 42:
				m.op = opAdd
			case p < 50:
				m.op, m.arg = opTimer, fmt.Sprint(r.intn(15_000))
			case p < 53:
				m.op = opMove
			case p < 57:
				m.op, m.arg = opCancel, timers[key]
				timers[key] = m.id
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
				if m.op = opAdd; w.settings.killer && killers < 1 {
					killers++
					m.op = opKiller
				}
			}
			i++
			write(key, m)
		}
		time.Sleep(r.between(0, 2*pause))
	}
	// What was refused may be there all the same: it is written again under another id.
	for range 100 {
		if err := cl.Flush(context.Background()); err != nil {
			w.fail("write input: %v", err)
		}
		mu.Lock()
		again := refused
		refused = nil
		mu.Unlock()
		if len(again) == 0 {
			return
		}
		time.Sleep(time.Second)
		for _, p := range again {
			p.m.id += "x"
			write(p.key, p.m)
		}
	}
	w.fail("input cannot be written")
}

// over is how long the storm lasts.
func (w *world) over() time.Duration { return stormFor }

const stormFor = 150 * time.Second
