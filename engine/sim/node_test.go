//go:build synctests

package sim

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
)

// node is a machine on which one instance of the group lives, one process after another.
type node struct {
	w    *world
	id   string
	draw *rng

	mu    sync.Mutex
	disk  disk
	life  *life // the present process, nil while there is none
	lives int
	stall time.Time     // traffic of the machine goes on then
	wrong time.Duration // how far its wall clock is off
}

// life is one process. After its death it is a ghost: it still runs until it notices, but nothing that it does is
// seen by anybody.
type life struct {
	n    *node
	num  int
	log  *slog.Logger
	dead bool
	mu   sync.Mutex
	// stop is a SIGTERM; ended is closed when Run has returned.
	stop    context.CancelFunc
	ended   chan struct{}
	err     error
	leaving bool // somebody ended it, so its end is no crash
	// zombie traffic is held back apart from the machine's own.
	stall   time.Time
	effects int // effects until it is killed; 0: never
	clients []*kgo.Client
	db      engine.DB
	eng     *engine.Engine
	view    *engine.View // nil for shapes without
	disk    disk
	// cut ends what waits inside its Kafka clients.
	cut context.CancelFunc
}

func (l *life) name() string { return fmt.Sprintf("%s.%d", l.n.id, l.num) }

func (l *life) stalledUntil() time.Time {
	l.n.mu.Lock()
	machine := l.n.stall
	l.n.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stall.After(machine) {
		return l.stall
	}
	return machine
}

// effect is called before each write to the network or the disk.
func (l *life) effect() bool {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return false
	}
	due := false
	if l.effects > 0 {
		l.effects--
		due = l.effects == 0
	}
	l.mu.Unlock()
	if due {
		l.n.w.tally(func(c *count) { c.EffectKills++ })
		l.die(death{})
		l.n.w.revive(l.n, l.n.w.settings.restart)
		return false
	}
	return true
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// OnNewClient collects the process's Kafka clients, so that a ghost's can be closed.
func (l *life) OnNewClient(cl *kgo.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients = append(l.clients, cl)
}

// boot starts a process on the machine, unless one runs.
func (n *node) boot() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life != nil {
		return
	}
	n.lives++
	w := n.w
	ctx, stop := context.WithCancel(context.Background())
	alive, cut := context.WithCancel(context.Background())
	l := &life{n: n, num: n.lives, stop: stop, cut: cut, ended: make(chan struct{}), disk: n.disk}
	l.log = slog.New(w.logs.handler(l.name()))
	db, err := n.disk.open(l.effect)
	if err != nil {
		w.fail("node %s: open disk: %v", n.id, err)
		return
	}
	l.db = db
	cfg := w.settings.engineConfig(n, l)
	cfg.DB = w.mutation.disk(db)
	cfg.Outside = engine.Outside{
		Dial:    func(ctx context.Context, _, addr string) (net.Conn, error) { return w.net.dial(ctx, l, addr) },
		KgoOpts: []kgo.Opt{kgo.WithHooks(l), kgo.WithContext(alive), kgo.WithLogger(clientLog{l})},
		Now:     n.wall,
	}
	eng, err := engine.New(cfg, w.shape.graph(func() {
		w.tally(func(c *count) { c.Killers++ })
		l.die(death{})
		w.revive(n, w.settings.restart)
	}))
	if err != nil {
		w.fail("node %s: make engine: %v", n.id, err)
		return
	}
	l.eng = eng
	if w.shape.board != "" {
		l.view, err = engine.NewView(engine.ViewConfig{
			Brokers: brokers, Prefix: w.settings.prefix, Topic: w.shape.board, Codec: w.mutation.codec(), Outside: cfg.Outside, Log: l.log,
		})
		if err != nil {
			w.fail("node %s: make view: %v", n.id, err)
			return
		}
		w.running.Go(func() {
			if err := l.view.Run(ctx); err != nil && !l.isDead() {
				w.fail("node %s: view: %v", l.name(), err)
			}
		})
	}
	n.life = l
	w.mu.Lock()
	w.lives = append(w.lives, l)
	w.mu.Unlock()
	w.running.Go(func() {
		defer close(l.ended)
		defer cut()
		err := eng.Run(ctx)
		l.mu.Lock()
		l.err = err
		expected := l.leaving || l.dead
		l.mu.Unlock()
		if closeErr := db.Close(); closeErr != nil && !l.isDead() {
			w.fail("node %s: close disk: %v", l.name(), closeErr)
		}
		if expected {
			return
		}
		w.crashed(l, err)
	})
}

// wall is the machine's wall clock.
func (n *node) wall() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.wrong)
}

// death says how a process dies.
type death struct {
	silent bool // the machine is gone: nobody closes its connections
	wipe   bool // the next process finds an empty disk
	power  bool // the newest writes may be lost
}

// die is a SIGKILL: from this instant on, nothing that the process does has any effect.
func (l *life) die(d death) {
	w, n := l.n.w, l.n
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return
	}
	l.dead = true
	l.mu.Unlock()
	w.net.each(func(k *link) {
		if k.p != peer(l) {
			return
		}
		if d.silent {
			k.blackhole()
			time.AfterFunc(10*time.Minute, k.unplug)
		}
		_ = k.client.Close() // an end's Close never fails
	})
	l.disk.crash(d.power, n.draw)
	n.mu.Lock()
	if n.life == l {
		n.life = nil
	}
	if d.wipe && n.disk == l.disk {
		w.keepDisk(l, n.disk)
		n.disk = w.newDisk()
	}
	n.mu.Unlock()
	w.tally(func(c *count) { c.Deaths++ })
	w.running.Go(func() { l.layToRest() })
}

// layToRest lets a ghost end: goroutines cannot be stopped from outside, and a bubble ends only when all of them have.
func (l *life) layToRest() {
	l.stop()
	l.cut()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		l.mu.Lock()
		clients := append([]*kgo.Client(nil), l.clients...)
		l.mu.Unlock()
		for _, cl := range clients {
			if blocks, ok := cl.OptValue(kgo.BlockRebalanceOnPoll).(bool); ok && blocks {
				cl.AllowRebalance()
			}
		}
		select {
		case <-l.ended:
			return
		case <-tick.C:
		}
	}
}

// shutdown is a SIGTERM; it tells when the process has ended, or fails the run after 90 s.
func (l *life) shutdown() {
	w := l.n.w
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	l.stop()
	select {
	case <-l.ended:
	case <-time.After(90 * time.Second):
		w.fail("node %s: graceful stop took more than 90 s", l.name())
		l.die(death{})
		return
	}
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.n.life == l {
		l.n.life = nil
	}
	if l.err != nil && !l.isDead() {
		w.fail("node %s: graceful stop: %v", l.name(), l.err)
	}
}

// current is the present process, nil while there is none.
func (n *node) current() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life
}

// clientLog keeps what franz-go says of groups and transactions, when the log will be read.
type clientLog struct{ l *life }

func (c clientLog) Level() kgo.LogLevel {
	if opts.logs {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelNone
}

func (c clientLog) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	c.l.log.Debug("franz-go: "+msg, keyvals...)
}
