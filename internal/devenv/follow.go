package devenv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/native"
)

// Wait follows changes of the application until ctx ends or the cluster fails.
func (c *Cluster) Wait(ctx context.Context) error {
	var changes <-chan time.Time
	var runs <-chan int
	if c.program != nil {
		runs = c.program.runs
	}
	if len(c.network.folders()) > 0 {
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
		case pid := <-runs:
			c.nowRuns(pid)
		case <-changes:
			for _, folder := range c.network.folders() {
				c.follow(ctx, folder)
			}
		}
	}
}

// watchEvery is how often the application's sources are looked at.
const watchEvery = time.Second

// follow takes a changed application in.
func (c *Cluster) follow(ctx context.Context, folder string) {
	from, err := sources(folder)
	if err != nil {
		return // files come and go while an editor saves
	}
	digest, err := c.builder().digest(from...)
	if err != nil || digest == c.digests[folder] {
		return
	}
	c.digests[folder] = digest
	c.fileLog.Info("the application changed and is built", "application", folder)
	a, _, err := c.builder().build(ctx, folder)
	binary := ""
	if err == nil && c.program != nil {
		binary, err = c.builder().native(ctx, folder, c.dir.join(nativeDir), digest)
	}
	if err == nil {
		err = c.replace(ctx, folder, a)
	}
	if err == nil && c.program != nil {
		err = c.program.use(ctx, binary)
	}
	if err == nil {
		err = c.Announce()
	}
	// The screen of a cluster in the background is nobody's: what follows is in dev.log, too.
	if err != nil {
		c.fileLog.Error("the application changed, but stays as it was until its files change again", "application", folder, "error", err)
	} else {
		c.fileLog.Info("the application changed and is installed", "application", folder, "version", a.Version, "flows", a.Flows)
	}
	if c.opts.Rebuilt != nil {
		c.opts.Rebuilt(a.Flows, err)
	}
}

// startNative starts the application's program.
func (c *Cluster) startNative(ctx context.Context, binary string) error {
	began := time.Now()
	var err error
	if c.host, err = native.Listen(c.log); err != nil {
		return err
	}
	c.program = startProgram(c.host, c.log, c.opts.Output)
	if err := c.program.use(ctx, binary); err != nil {
		return err
	}
	c.info.NativePID, c.info.NativeAddress = <-c.program.runs, c.host.Address()
	c.opts.Step(fmt.Sprintf("the application runs natively as process %d", c.info.NativePID), time.Since(began))
	return nil
}

// nowRuns notes that another process runs the application.
func (c *Cluster) nowRuns(pid int) {
	c.info.NativePID = pid
	if err := c.Announce(); err != nil {
		c.log.Warn("cannot tell which process runs the application", "error", err)
	}
	if c.opts.Runs != nil {
		c.opts.Runs(pid)
	}
}

// checkNative refuses what cannot run natively.
func checkNative(o Options) error {
	if o.Native && !slices.Contains(o.Workers, app.Flow) {
		return errors.New("--native: the flow worker runs the program, and --workers leaves it out")
	}
	return nil
}
