package crypto

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/vault"
)

// Pauser stops and starts the fetching of requests; *engine.Engine is one.
type Pauser interface {
	Pause(reason string)
	Resume()
}

// How often Vault is looked at: while it is away, and while it serves.
const (
	checkFirst = 100 * time.Millisecond
	checkAway  = 2 * time.Second
	checkUp    = 10 * time.Second
	// logInTime is how long a process that starts may take to log in before anybody is alarmed.
	logInTime = 5 * time.Second
)

// health is whether Vault can serve, as far as it is known.
type health struct {
	mu    sync.Mutex
	away  error     // why not; nil while it can
	since time.Time // of away
	wake  chan struct{}
}

// reason returns why Vault cannot serve, nil when it can.
func (h *health) reason() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.away
}

// The waits of requests that were fetched when Vault went away grow with the time that it is away.
const (
	shortestWait = 250 * time.Millisecond
	longestWait  = 15 * time.Second
)

// fail notes that Vault cannot serve, and returns how long a request should wait before it asks again.
func (h *health) fail(err error) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away == nil {
		h.away, h.since = err, time.Now()
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
	return h.wait()
}

// later returns how long a request should wait that found Vault known to be away.
func (h *health) later() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away == nil {
		return pollWait // it came back meanwhile
	}
	return h.wait()
}

func (h *health) wait() time.Duration {
	return min(longestWait, max(shortestWait, time.Since(h.since)/4))
}

// set notes what a check found and tells whether that is news: a change, or another reason.
func (h *health) set(err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	news := (err == nil) != (h.away == nil) || err != nil && err.Error() != h.away.Error()
	if err != nil && h.away == nil {
		h.since = time.Now()
	}
	h.away = err
	return news
}

// unchecked is the reason before the first check.
func unchecked() error {
	return &vault.Error{Kind: vault.Unreachable, Doing: "reach Vault", Err: errors.New("it was not asked yet")}
}

// Run watches over Vault until ctx ends: while it cannot serve, nothing is fetched, and the reason shows in readiness
// and metrics. Requests that find Vault away wake it at once.
func (w *Worker) Run(ctx context.Context, requests Pauser) error {
	defer w.making.end()
	w.health.set(unchecked())
	requests.Pause(pauseReason(unchecked()))
	wait := time.Duration(0)
	began, told := time.Now(), false
	for {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		case <-w.health.wake:
			t.Stop()
			err := w.health.reason()
			if err == nil {
				wait = checkUp // a check in between found it well
				continue
			}
			requests.Pause(pauseReason(err))
			w.deps.Metrics.vault(false)
			w.deps.Log.Error(pauseReason(err), "id", idAway)
			wait = checkFirst
			continue // Vault has just said no: ask a little later
		}
		err := w.deps.Vault.Check(ctx)
		if ctx.Err() != nil {
			return nil
		}
		news := w.health.set(err)
		w.deps.Metrics.vault(err == nil)
		switch {
		case err == nil:
			requests.Resume()
			if news {
				w.deps.Log.Info("Vault serves")
			}
			wait = checkUp
		default:
			requests.Pause(pauseReason(err))
			told = told && !news
			if !told && time.Since(began) > logInTime {
				w.deps.Log.Error(pauseReason(err), "id", idAway)
				told = true
			}
			wait = min(checkAway, max(checkFirst, 2*wait))
			if vault.KindOf(err) == vault.Denied {
				wait = checkAway // an operator must help
			}
		}
	}
}

func pauseReason(err error) string { return fmt.Sprintf("%s: Vault cannot serve: %v", idAway, err) }
