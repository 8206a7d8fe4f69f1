package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// PulseConfig says which server's pulse is felt, and how. Only Server must be set.
type PulseConfig struct {
	// Server is where and as whom; the bounds of its pool are the pulse's own.
	Server Config
	// Every is how often the server is asked, Patience after how long without an answer it is waited for, Repeat how
	// often the log says so again. Defaults 500 ms, 1 s and 10 s.
	Every, Patience, Repeat time.Duration
	Log                     *slog.Logger
}

func (c PulseConfig) withDefaults() PulseConfig {
	for d, v := range map[*time.Duration]time.Duration{&c.Every: 500 * time.Millisecond, &c.Patience: time.Second, &c.Repeat: 10 * time.Second} {
		if *d == 0 {
			*d = v
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Pulse knows whether a server answers, long before the time-outs of those who ask it: a server that is frozen, or a
// network that swallows packets, refuses nothing. It asks by itself over a connection of its own, and is told of every
// connection that others try to make, for a server may answer on old connections and take no new ones.
type Pulse struct {
	cfg  PulseConfig
	host string
	pool *Pool

	mu      sync.Mutex
	answers beat // to questions on a connection
	logins  beat // to attempts to connect
	asking  sync.WaitGroup
	busy    bool // a question of its own is under way
	// silent and toldAt are Run's alone: since when the server is silent as the log was told, and when it was.
	silent, toldAt time.Time
}

// beat is one kind of question.
type beat struct {
	next  int
	asked map[int]time.Time // without an answer yet
	since time.Time         // the first of those that failed since the last answer; zero for none
	err   error
}

// began is since when an answer is waited for, zero when none is.
func (b *beat) began() time.Time {
	out := b.since
	for _, at := range b.asked {
		if out.IsZero() || at.Before(out) {
			out = at
		}
	}
	return out
}

// NewPulse makes a pulse; it is felt while [Pulse.Run] runs. Close it afterwards.
func NewPulse(ctx context.Context, cfg PulseConfig) (*Pulse, error) {
	p := &Pulse{cfg: cfg.withDefaults()}
	c := p.cfg.Server
	c.MaxConns, c.Application, c.Pulse, c.Discard, c.SearchPath = 1, "fairlead pulse", p, false, ""
	pool, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	at := pool.pool.Config().ConnConfig
	p.pool, p.host = pool, HostOf(at.Host, at.Port)
	return p, nil
}

// HostOf names a server for people: host:port, or the folder of its socket.
func HostOf(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Close closes its connection.
func (p *Pulse) Close() { p.pool.Close() }

// Host is the server's host:port, or the folder of its socket.
func (p *Pulse) Host() string { return p.host }

// Connecting notes that a connection is being made; the function that it returns is called with what came of it.
func (p *Pulse) Connecting() (made func(error)) { return p.ask(&p.logins) }

func (p *Pulse) ask(b *beat) func(error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.asked == nil {
		b.asked = map[int]time.Time{}
	}
	n, at := b.next, time.Now()
	b.next++
	b.asked[n] = at
	return func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, open := b.asked[n]; !open {
			return
		}
		delete(b.asked, n)
		err = classify("reach the server", err)
		class := ClassOf(err)
		switch {
		case errors.Is(err, context.Canceled): // whoever asked has left, which says nothing
		case class == Unavailable || class == Timeout:
			if b.err = err; b.since.IsZero() || at.Before(b.since) {
				b.since = at
			}
		default: // an answer, whatever it says
			b.since, b.err = time.Time{}, nil
		}
	}
}

// Waiting says how long the server has been waited for, as "waiting for Postgres HOST since 12 s"; empty while it
// answers.
func (p *Pulse) Waiting() string {
	since, err := p.waiting(time.Now())
	if since.IsZero() {
		return ""
	}
	text := fmt.Sprintf("waiting for Postgres %s since %d s", p.host, int(time.Since(since).Seconds()))
	if err != nil {
		text += ": " + strings.Join(strings.Fields(err.Error()), " ")
	}
	return text
}

func (p *Pulse) waiting(now time.Time) (since time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range []*beat{&p.answers, &p.logins} {
		if at := b.began(); !at.IsZero() && now.Sub(at) >= p.cfg.Patience && (since.IsZero() || at.Before(since)) {
			since, err = at, b.err
		}
	}
	return since, err
}

// Run feels the pulse and logs when it stops and comes back, until ctx ends.
func (p *Pulse) Run(ctx context.Context) error {
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	defer p.asking.Wait()
	for {
		p.feel(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.tell(time.Now())
		}
	}
}

// pingTime bounds one question; those that wait on are seen meanwhile.
const pingTime = 5 * time.Second

// feel asks the server, unless a question is under way.
func (p *Pulse) feel(ctx context.Context) {
	p.mu.Lock()
	busy, again := p.busy, !p.logins.since.IsZero()
	p.busy = true
	p.mu.Unlock()
	if busy {
		return
	}
	p.asking.Go(func() {
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.busy = false
		}()
		ctx, cancel := context.WithTimeout(ctx, pingTime)
		defer cancel()
		if again { // the old connection would not tell whether new ones can be made
			p.pool.pool.Reset()
		}
		answered := p.ask(&p.answers)
		answered(p.pool.pool.Ping(ctx))
	})
}

// tell logs a change.
func (p *Pulse) tell(now time.Time) {
	since, err := p.waiting(now)
	switch {
	case since.IsZero() && !p.silent.IsZero():
		p.cfg.Log.Info("Postgres answers again", "host", p.host, "after", now.Sub(p.silent).Round(time.Millisecond))
		p.silent = time.Time{}
	case !since.IsZero() && (p.silent.IsZero() || now.Sub(p.toldAt) >= p.cfg.Repeat):
		p.silent, p.toldAt = since, now
		args := []any{"host", p.host, "since", now.Sub(since).Round(time.Millisecond)}
		if err != nil {
			args = append(args, "error", err)
		}
		p.cfg.Log.Warn("waiting for Postgres: it takes no connection, or does not answer on one", args...)
	}
}

// connectTracer tells a pulse of the connections that a pool makes.
type connectTracer struct{ pulse *Pulse }

type madeKey struct{}

// TraceConnectStart is pgx.ConnectTracer's.
func (t connectTracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, madeKey{}, t.pulse.Connecting())
}

// TraceConnectEnd is pgx.ConnectTracer's.
func (connectTracer) TraceConnectEnd(ctx context.Context, d pgx.TraceConnectEndData) {
	if made, ok := ctx.Value(madeKey{}).(func(error)); ok {
		made(d.Err)
	}
}

// TraceQueryStart is pgx.QueryTracer's: what a statement takes is its own business.
func (connectTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd is pgx.QueryTracer's.
func (connectTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
