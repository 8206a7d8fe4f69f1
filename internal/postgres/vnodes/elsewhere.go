package vnodes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// ElsewhereError tells that the server of a virtual node that has one of its own cannot be reached: nobody else's
// business.
type ElsewhereError struct {
	// Since is when it was found to be away first.
	Since time.Time
	Err   error
}

// Error is the cause's.
func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("the virtual node's own database cannot be reached: %v", e.Err)
}

// Unwrap returns the cause.
func (e *ElsewhereError) Unwrap() error { return e.Err }

// breakers know which servers cannot be reached, by address: while one cannot, nobody waits for it, and one login at a
// time is tried beside those who ask.
type breakers struct {
	mu   sync.Mutex
	away map[string]*breaker
}

type breaker struct {
	since, next time.Time
	wait        time.Duration
	trying      bool
	err         error
}

// The times between two logins that are tried.
const (
	firstTrial = 200 * time.Millisecond
	lastTrial  = 15 * time.Second
)

// state returns the error of a server that is away, and whether the caller is to try it, beside its work.
func (b *breakers) state(address string, now time.Time) (err error, try bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.away[address]
	if a == nil {
		return nil, false
	}
	if try = !a.trying && !now.Before(a.next); try {
		a.trying = true
	}
	return &ElsewhereError{a.since, a.err}, try
}

// tried takes what came of a login and returns the error for who asked.
func (b *breakers) tried(address string, err error, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if postgres.ClassOf(err) != postgres.Unavailable {
		// Any answer of the server's ends it; a caller that did not wait long enough says nothing.
		if a := b.away[address]; a != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
			a.trying = false
		} else {
			delete(b.away, address)
		}
		return err
	}
	a := b.away[address]
	if a == nil {
		if b.away == nil {
			b.away = map[string]*breaker{}
		}
		a = &breaker{since: now, wait: firstTrial}
		b.away[address] = a
	}
	a.trying, a.err = false, err
	a.next = now.Add(a.wait)
	a.wait = min(2*a.wait, lastTrial)
	return &ElsewhereError{a.since, err}
}

// reach logs in at a server that a virtual node has for itself.
func (p *Pool) reach(ctx context.Context, login Login) (*conn, error) {
	if err, try := p.breakers.state(login.URL, time.Now()); err != nil {
		if try {
			p.ending.Go(func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*connectTimeout)
				defer cancel()
				pg, err := p.dial(ctx, login)
				if err == nil {
					(&conn{pg: pg}).close()
				}
				_ = p.breakers.tried(login.URL, err, time.Now()) // who asks next is told
			})
		}
		return nil, err
	}
	pg, err := p.dial(ctx, login)
	if err = p.breakers.tried(login.URL, err, time.Now()); err != nil {
		return nil, err
	}
	return &conn{pg: pg, elsewhere: true}, nil
}

// whose marks an error of a connection to a virtual node's own server.
func (c *conn) whose(err error) error {
	var own *ElsewhereError
	if !c.elsewhere || postgres.ClassOf(err) != postgres.Unavailable || errors.As(err, &own) {
		return err
	}
	return &ElsewhereError{time.Now(), err}
}
