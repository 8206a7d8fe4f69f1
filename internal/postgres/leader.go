package postgres

import (
	"context"
	"fmt"
	"time"
)

// Leader says for a log which session of the server holds the advisory lock of this name, with the process id that
// pg_terminate_backend takes; it is empty when none does.
func (p *Pool) Leader(ctx context.Context, name string) (session string, err error) {
	key := uint64(lockKey(name))
	err = p.Each(ctx, func(r Row) error {
		var pid int32
		var application, client string
		if err := r.Scan(&pid, &application, &client); err != nil {
			return err
		}
		session = fmt.Sprintf("process %d of the server, %s at %s", pid, application, client)
		return nil
	}, `SELECT l.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'an address that is not told')
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid::bigint = $1 AND l.objid::bigint = $2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, int64(key>>32), int64(key&0xffffffff))
	return session, err
}

// stillThere is how long the server of a lead may take to answer.
const stillThere = 10 * time.Second

// Lead runs f while this process holds the advisory lock of this name, so that of all processes only one does. It
// returns at once, with held false, when another process has it. The context of f ends when the lock is lost: with its
// connection, which is looked at every second and given up after ten: sooner
// than the server gives it up and the lock to somebody else ([SetKeepalives]).
func (p *Pool) Lead(ctx context.Context, name string, f func(ctx context.Context) error) (held bool, err error) {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return false, err
	}
	if err := conn.One(ctx, []any{&held}, "SELECT pg_try_advisory_lock($1)", lockKey(name)); err != nil || !held {
		conn.Release()
		return false, err
	}
	// A connection whose unlock failed must not be used again: the lock ends with its session.
	defer func() {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		var unlocked bool
		if uerr := conn.One(cctx, []any{&unlocked}, "SELECT pg_advisory_unlock($1)", lockKey(name)); uerr == nil && unlocked {
			conn.Release()
			return
		}
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
				asked, cancel := context.WithTimeout(lead, stillThere)
				_, err := conn.Exec(asked, "SELECT 1")
				cancel()
				if err != nil {
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
