package engine

import (
	"context"
	"time"
)

// applyPauses makes franz-go fetch what should be fetched: nothing but the loop while the engine is paused, nothing
// but the loop for a partition whose retried record holds too many others, and otherwise nothing but the ranges that
// are under suspicion.
func (s *session) applyPauses(g *gokaSession) {
	s.e.mu.Lock()
	all := s.e.reason != ""
	s.e.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	focus := !all && len(s.paused) == 0 && s.focuses()
	if !all && len(s.paused) == 0 && !s.wasPaused && !focus {
		return
	}
	if !focus {
		s.fetched = time.Now() // nothing is waited for
	}
	pause, resume := map[string][]int32{}, map[string][]int32{}
	for t, ps := range g.claims {
		loop := t == LoopTopic(s.e.graph.group)
		for p := range ps {
			if focus && !s.parts[p].suspected(t) || !loop && (all || s.paused[p] != "") {
				pause[s.e.cfg.Prefix+t] = append(pause[s.e.cfg.Prefix+t], p)
			} else {
				resume[s.e.cfg.Prefix+t] = append(resume[s.e.cfg.Prefix+t], p)
			}
		}
	}
	for p, key := range s.paused {
		if key == "" {
			delete(s.paused, p)
		}
	}
	s.wasPaused = all || len(s.paused) > 0 || focus
	s.cl.Client().PauseFetchPartitions(pause)
	s.cl.Client().ResumeFetchPartitions(resume)
}

// makeRoom is called after a batch was aborted because too many records would wait behind a retried one. When those
// that wait are committed, the partition pauses; otherwise the batch was only too large to stop in time.
func (s *session) makeRoom(ctx context.Context, o *overflow, batch int) error {
	p := s.parts[o.partition]
	if p == nil {
		return nil
	}
	if p.waiting[o.key] < s.e.cfg.RetryQueue {
		s.cap = max(1, batch/2)
		return nil
	}
	s.mu.Lock()
	s.paused[o.partition] = o.key
	s.mu.Unlock()
	s.e.cfg.Log.Warn("partition pauses: too many records wait behind a retried one",
		"group", string(s.e.graph.group), "partition", o.partition, "key", o.key, "limit", s.e.cfg.RetryQueue)
	return s.acquit(ctx, p)
}

// forgetPauses makes the next batch resume what a former assignment had paused: the queue that was full may have been
// drained by another owner since. One that is full still pauses its partition again.
func (s *session) forgetPauses() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.paused)
	s.wasPaused = true
}

// untilNextTimer bounds a poll by the next timer; while anything is paused also by the time to look again.
func (s *session) untilNextTimer(ctx context.Context) (context.Context, context.CancelFunc) {
	wait := time.Hour
	wall := s.e.wall()
	for _, p := range s.parts {
		if due, ok := p.timers.next(); ok {
			wait = min(wait, p.until(due, wall))
		}
	}
	s.e.mu.Lock()
	if s.e.reason != "" || s.wasPaused {
		wait = min(wait, 100*time.Millisecond)
	} else {
		// Pause is noticed at the latest after this; a poll that waits costs nothing else.
		wait = min(wait, 5*time.Second)
	}
	s.e.mu.Unlock()
	return context.WithTimeout(ctx, wait)
}

func (s *session) timersDue(wall int64) bool {
	for _, p := range s.parts {
		if due, ok := p.timers.next(); ok && due <= p.time(wall) {
			return true
		}
	}
	return false
}
