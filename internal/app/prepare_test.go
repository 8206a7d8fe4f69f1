package app

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A group takes partitions when its worker is prepared, and not much later when that takes too long.
func TestGroupWaitsForItsWorker(t *testing.T) {
	for name, c := range map[string]struct{ takes, waits time.Duration }{
		"nothing to do":       {0, 0},
		"one module":          {7 * time.Second, 7 * time.Second},
		"hundreds of modules": {time.Hour, prepareTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &groupWorker{name: "flow", prepare: func(ctx context.Context) int {
					select {
					case <-time.After(c.takes):
						return 0
					case <-ctx.Done():
						return 1
					}
				}}
				began, waited := time.Now(), time.Duration(-1)
				err := g.run(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error {
					waited = time.Since(began)
					return nil
				})
				if err != nil || waited != c.waits {
					t.Errorf("partitions are taken after %s, want %s; %v", waited, c.waits, err)
				}
			})
		})
	}
}
