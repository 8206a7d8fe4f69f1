package postgres

import (
	"context"
	"time"
)

// Lead runs f while this process holds the advisory lock of this name, so that of all processes only one does. It
// returns at once, with held false, when another process has it. The context of f ends when the lock is lost: with its
// connection, which is looked at every second.
func (p *Pool) Lead(ctx context.Context, name string, f func(ctx context.Context) error) (held bool, err error) {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return false, err
	}
	if err := conn.One(ctx, []any{&held}, "SELECT pg_try_advisory_lock($1)", lockKey(name)); err != nil || !held {
		conn.Release()
		return false, err
	}
	// The session, and with it the lock, ends in any case: a connection whose unlock failed must not be reused.
	defer func() {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if cerr := conn.Close(cctx); err == nil && cerr != nil && ctx.Err() == nil {
			err = cerr
		}
	}()
	lead, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-lead.Done():
				return
			case <-tick.C:
				if _, err := conn.Exec(lead, "SELECT 1"); err != nil {
					stop(err)
					return
				}
			}
		}
	}()
	err = f(lead)
	stop(nil)
	<-watched
	return true, err
}
