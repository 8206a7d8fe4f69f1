package devenv

import (
	"context"
	"time"
)

// Wait follows changes of the application until ctx ends or the cluster fails.
func (c *Cluster) Wait(ctx context.Context) error {
	var changes <-chan time.Time
	if c.opts.App != "" {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		changes = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-c.failure:
			c.log.Error("the cluster failed", "error", err)
			return err
		case err := <-c.diskFailed():
			c.log.Error("the cluster failed", "error", err)
			return err
		case <-changes:
			c.follow(ctx)
		}
	}
}

// watchEvery is how often the application's sources are looked at.
const watchEvery = time.Second

// follow takes a changed application in.
func (c *Cluster) follow(ctx context.Context) {
	from, err := sources(c.opts.App)
	if err != nil {
		return // files come and go while an editor saves
	}
	digest, err := sourceDigest(from...)
	if err != nil || digest == c.digest {
		return
	}
	c.digest = digest
	a, _, err := c.builder().build(ctx, c.opts.App)
	if err == nil {
		err = c.replace(ctx, a)
	}
	if err == nil {
		err = c.Announce()
	}
	if c.opts.Rebuilt != nil {
		c.opts.Rebuilt(a.Flows, err)
	}
}
