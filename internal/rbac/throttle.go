package rbac

import "time"

// Throttle limits failed log-ins. It is a value keeper without clock: times come in. Not safe for concurrent use.
type Throttle struct {
	limit   int
	window  time.Duration
	bound   int
	entries map[string]failures
}

type failures struct {
	count int
	until time.Time
}

// NewThrottle allows limit failures for each key within window, and remembers at most bound keys.
func NewThrottle(limit int, window time.Duration, bound int) *Throttle {
	return &Throttle{limit: limit, window: window, bound: bound, entries: map[string]failures{}}
}

// Wait returns how long this key has to wait before the next attempt; zero when it need not.
func (t *Throttle) Wait(key string, now time.Time) time.Duration {
	f, ok := t.entries[key]
	if !ok || f.count < t.limit || !now.Before(f.until) {
		return 0
	}
	return f.until.Sub(now)
}

// Failed counts a failed attempt.
func (t *Throttle) Failed(key string, now time.Time) {
	f := t.entries[key]
	if !now.Before(f.until) {
		f = failures{until: now.Add(t.window)}
	}
	f.count++
	if _, known := t.entries[key]; !known && len(t.entries) >= t.bound {
		t.makeRoom(now)
	}
	t.entries[key] = f
}

// Succeeded forgets the failures of a key.
func (t *Throttle) Succeeded(key string) { delete(t.entries, key) }

// makeRoom forgets what has ended, or, when nothing has, the entry that ends first.
func (t *Throttle) makeRoom(now time.Time) {
	first, firstKey := time.Time{}, ""
	for k, f := range t.entries {
		if !now.Before(f.until) {
			delete(t.entries, k)
			continue
		}
		if firstKey == "" || f.until.Before(first) {
			first, firstKey = f.until, k
		}
	}
	if len(t.entries) >= t.bound {
		delete(t.entries, firstKey)
	}
}
