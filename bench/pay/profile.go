package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// profiles begins a profile of each worker process for as long as a load lasts. What it returns waits for them.
func (b bench) profiles(ctx context.Context, c *cluster, atOnce int) func() error {
	if b.profile == "" {
		return func() error { return nil }
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for worker, monitor := range c.monitors {
		wg.Go(func() {
			err := fetchProfile(ctx, monitor, b.lasts, filepath.Join(b.profile, fmt.Sprintf("%s-%d.prof", worker, atOnce)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("profile of worker %s: %w", worker, err))
			}
		})
	}
	return func() error {
		wg.Wait()
		return errors.Join(errs...)
	}
}

func fetchProfile(ctx context.Context, monitor string, lasts time.Duration, file string) (err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", monitor, int(max(1, lasts.Seconds()))), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is answered %s", r.URL, resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
