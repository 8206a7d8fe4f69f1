package vnodes

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// Login says where a virtual node's data lies and how to get there.
type Login struct {
	// URL is postgres://host:port/database?options; User and Password are apart.
	URL, User, Password string
	// Schema holds the virtual node's tables.
	Schema string
	// Elsewhere tells that the server is not the one that virtual nodes share.
	Elsewhere bool
}

// Config says how a [Pool] works. Only Login must be set.
type Config struct {
	// Login finds the login of a virtual node; it is asked for every new connection, so it should remember.
	Login func(ctx context.Context, vnode string) (Login, error)
	// Rejected is told of a login that the server refused; the next Login should be a fresh one. May be nil.
	Rejected func(vnode string)
	// Connecting is told of each connection that is being made, with the server's host:port, and what it returns of what
	// came of it. May be nil.
	Connecting func(host string) (made func(error))
	// Max bounds the connections of the process, MaxPerVnode those of one virtual node. Defaults 40 and 4.
	Max, MaxPerVnode int
	// MaxIdle is after how long an unused connection is closed, when anything happens. Default five minutes.
	MaxIdle time.Duration
	// StatementTimeout is the server's own bound, behind the caller's deadline. Default 60 s. LockTimeout bounds the
	// wait for a lock. Default 10 s.
	StatementTimeout, LockTimeout time.Duration
	// TimeLimit bounds a transaction from the moment on in which it has a connection; zero leaves it to the context.
	TimeLimit time.Duration
	// CancelPatience is how long a cancelled session may take to heed before it is terminated. Default 2 s.
	CancelPatience time.Duration
	Log            *slog.Logger
}

// maxMessage bounds one message of the server: a row that is larger ends its connection.
const maxMessage = 16 << 20

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Max == 0 {
		c.Max = 40
	}
	if c.MaxPerVnode == 0 {
		c.MaxPerVnode = 4
	}
	c.MaxPerVnode = min(c.MaxPerVnode, c.Max)
	set(&c.MaxIdle, 5*time.Minute)
	set(&c.StatementTimeout, time.Minute)
	set(&c.LockTimeout, 10*time.Second)
	set(&c.CancelPatience, 2*time.Second)
	if c.Rejected == nil {
		c.Rejected = func(string) {}
	}
	if c.Connecting == nil {
		c.Connecting = func(string) func(error) { return func(error) {} }
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Pool holds the connections of a process.
type Pool struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	open   int // idle, in use and being made
	vnodes map[string]*vnodeConns
	turns  []string // virtual nodes with waiters, the next first
	ending sync.WaitGroup

	breakers breakers
}

// vnodeConns is one virtual node's part of the pool.
type vnodeConns struct {
	busy       int
	idle       []*conn // the oldest first
	waiters    []*waiter
	hungry     time.Time // since when its callers have had no place, those that gave up too; zero when the last one got one
	generation int
}

type waiter struct {
	granted chan grant
}

// places is how many of the pool's it has.
func (v *vnodeConns) places() int { return v.busy + len(v.idle) }

// impatient tells that it has waited for long enough.
func (v *vnodeConns) impatient() bool { return time.Since(v.hungry) >= patience }

// patience is how long a caller whose virtual node has a connection at work waits for that one, and how long another
// virtual node's must have been idle, before that is closed to make room: a connection costs the server more than many
// transactions do.
const patience = time.Second

// grant is a place: a connection to use again, or the right to make one, after closing another where room was made.
type grant struct {
	conn       *conn
	evicted    *conn
	generation int
}

// ErrClosed tells that the pool was closed.
var ErrClosed = errors.New("the connections of virtual nodes are closed")

// NewPool makes a pool. It connects when it is used.
func NewPool(cfg Config) *Pool {
	return &Pool{cfg: cfg.withDefaults(), vnodes: map[string]*vnodeConns{}}
}

// Stats are the connections of a pool, and how many callers wait for one.
type Stats struct {
	Open, Busy, Waiting int
}

// Stats returns how many connections there are.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Open: p.open}
	for _, v := range p.vnodes {
		s.Busy += v.busy
		s.Waiting += len(v.waiters)
	}
	return s
}

// Forget makes the pool use a virtual node's present connections no more: its login changed, or it is gone.
func (p *Pool) Forget(vnode string) {
	p.mu.Lock()
	v := p.vnodes[vnode]
	if v == nil {
		p.mu.Unlock()
		return
	}
	v.generation++
	idle := v.idle
	v.idle = nil
	p.open -= len(idle)
	p.dispatch()
	p.mu.Unlock()
	p.closeAll(idle)
}

// Close closes idle connections, refuses new work and waits until the connections in use are closed too.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	var idle []*conn
	for _, v := range p.vnodes {
		idle = append(idle, v.idle...)
		p.open -= len(v.idle)
		v.idle = nil
		for _, w := range v.waiters {
			close(w.granted)
		}
		v.waiters = nil
	}
	p.turns = nil
	p.mu.Unlock()
	p.closeAll(idle)
	p.ending.Wait()
}

func (p *Pool) closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}

// acquire waits for a connection of a virtual node. Every connection must be given back with release.
func (p *Pool) acquire(ctx context.Context, vnode string) (*conn, error) {
	g, err := p.place(ctx, vnode)
	if err != nil {
		return nil, err
	}
	if g.evicted != nil {
		g.evicted.close()
	}
	if g.conn != nil {
		return g.conn, nil
	}
	c, err := p.connect(ctx, vnode)
	if postgres.ClassOf(err) == postgres.Access {
		p.cfg.Rejected(vnode) // it may have been changed a moment ago
		c, err = p.connect(ctx, vnode)
	}
	if err != nil {
		p.release(vnode, nil)
		return nil, err
	}
	c.generation = g.generation
	return c, nil
}

// place waits for the right to use a connection.
func (p *Pool) place(ctx context.Context, vnode string) (grant, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return grant{}, ErrClosed
	}
	v := p.vnodes[vnode]
	if v == nil {
		v = &vnodeConns{}
		p.vnodes[vnode] = v
	}
	w := &waiter{make(chan grant, 1)}
	if len(v.waiters) == 0 {
		p.turns = append(p.turns, vnode)
		if v.hungry.IsZero() {
			v.hungry = time.Now()
		}
	}
	v.waiters = append(v.waiters, w)
	old := p.dropOld()
	p.dispatch()
	p.mu.Unlock()
	p.closeAll(old)
	again := time.NewTicker(patience)
	defer again.Stop()
	for waits := true; waits; {
		select {
		case g, ok := <-w.granted:
			if !ok {
				return grant{}, ErrClosed
			}
			return g, nil
		case <-again.C:
			p.mu.Lock()
			p.dispatch()
			p.mu.Unlock()
		case <-ctx.Done():
			waits = false
		}
	}
	p.mu.Lock()
	i := slices.Index(v.waiters, w)
	if i >= 0 {
		v.waiters = slices.Delete(v.waiters, i, i+1)
		if len(v.waiters) == 0 {
			p.turns = slices.DeleteFunc(p.turns, func(s string) bool { return s == vnode })
		}
	}
	p.mu.Unlock()
	if i < 0 { // granted, or closed, in the same moment
		if g, ok := <-w.granted; ok {
			if g.evicted != nil {
				g.evicted.close()
			}
			p.release(vnode, g.conn)
		}
	}
	return grant{}, postgres.Classify("wait for a connection", ctx.Err())
}

// release gives a place back, with the connection where it may be used again.
func (p *Pool) release(vnode string, c *conn) {
	p.mu.Lock()
	v := p.vnodes[vnode]
	v.busy--
	keep := c != nil && !p.closed && c.generation == v.generation
	if keep {
		c.since = time.Now()
		v.idle = append(v.idle, c)
	} else {
		p.open--
	}
	p.dispatch()
	if v.busy == 0 && len(v.idle) == 0 && len(v.waiters) == 0 && v.generation == 0 {
		delete(p.vnodes, vnode)
	}
	p.mu.Unlock()
	if !keep && c != nil {
		c.close()
	}
}

// dispatch gives places to those who wait, one to each virtual node in turn; of those who lost patience first to the one that has
// the fewest, or a virtual node that always has somebody waiting would keep its connections for ever. The lock is held.
func (p *Pool) dispatch() {
	slices.SortStableFunc(p.turns, func(a, b string) int { return cmp.Compare(p.rank(a), p.rank(b)) })
	for progress := true; progress; {
		progress = false
		for range len(p.turns) {
			vnode := p.turns[0]
			p.turns = p.turns[1:]
			v := p.vnodes[vnode]
			if g, ok := p.grant(v); ok {
				v.busy++
				v.waiters[0].granted <- g
				v.waiters = v.waiters[1:]
				if v.hungry = time.Now(); len(v.waiters) == 0 {
					v.hungry = time.Time{}
				}
				progress = true
			}
			if len(v.waiters) > 0 {
				p.turns = append(p.turns, vnode)
			}
		}
	}
}

// rank is less for a virtual node with waiters that comes earlier. The lock is held.
func (p *Pool) rank(vnode string) int {
	if v := p.vnodes[vnode]; v.impatient() {
		return v.places()
	}
	return p.cfg.Max + 1
}

// grant finds a place for a virtual node. The lock is held.
func (p *Pool) grant(v *vnodeConns) (grant, bool) {
	g := grant{generation: v.generation}
	if n := len(v.idle); n > 0 {
		g.conn = v.idle[n-1]
		v.idle = v.idle[:n-1]
		return g, true
	}
	if v.busy >= p.cfg.MaxPerVnode {
		return g, false
	}
	if p.open < p.cfg.Max {
		p.open++
		return g, true
	}
	from := p.evict(v)
	if from == nil {
		return g, false
	}
	g.evicted = from.idle[0]
	from.idle = from.idle[1:]
	return g, true
}

// evict finds an idle connection that makes room for a virtual node: the one that was idle for the longest, of those
// that have others if there is one. A virtual node that has a place already gets another only when it has lost patience, and
// only that of a connection that nobody needed meanwhile, or of one that has two more than itself. The lock is held.
func (p *Pool) evict(v *vnodeConns) (from *vnodeConns) {
	if v.busy > 0 && !v.impatient() {
		return nil
	}
	var lone bool
	for _, o := range p.vnodes {
		if len(o.idle) == 0 || v.busy > 0 && time.Since(o.idle[0].since) < patience && o.places() < v.places()+2 {
			continue
		}
		alone := o.places() == 1
		if from == nil || lone && !alone || lone == alone && o.idle[0].since.Before(from.idle[0].since) {
			from, lone = o, alone
		}
	}
	return from
}

// dropOld takes out what was idle for too long. The lock is held.
func (p *Pool) dropOld() []*conn {
	var old []*conn
	limit := time.Now().Add(-p.cfg.MaxIdle)
	for _, v := range p.vnodes {
		for len(v.idle) > 0 && v.idle[0].since.Before(limit) {
			old = append(old, v.idle[0])
			v.idle = v.idle[1:]
			p.open--
		}
	}
	return old
}

// Ping logs in for a virtual node and out again, past the pool's bounds: it tells whether the server can be reached.
func (p *Pool) Ping(ctx context.Context, vnode string) error {
	c, err := p.connect(ctx, vnode)
	if err != nil {
		return err
	}
	c.close()
	return nil
}
