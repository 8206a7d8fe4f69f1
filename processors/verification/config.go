package verification

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/fairleadio/fairlead/engine"
)

// Config holds the settings of the group. Zero values take the defaults.
type Config struct {
	// Concurrency bounds the contracts that run at once, of all partitions together. Default: GOMAXPROCS.
	Concurrency int
	// CacheEntries bounds the answers that are remembered. Default 10,000.
	CacheEntries int
	// PackageWait is how long a request waits for a package that the cluster does not have, before it is answered so: the
	// requester may have seen it first. Default 2 s.
	PackageWait time.Duration
}

// Defaults of the settings.
const (
	DefaultCacheEntries = 10_000
	DefaultPackageWait  = 2 * time.Second
)

// Deps are what the worker is built on.
type Deps struct {
	// Packages is the view of cpi.info, Code that of cpk.info, Chunks that of cpi.chunks. The worker must be made before they
	// run.
	Packages ChangeView
	Code     ChangeView
	Chunks   View
	// Sandbox runs contracts.
	Sandbox Sandbox
	// Log receives what an operator should see, and at debug level what contracts write; nil for slog.Default().
	Log *slog.Logger
	// Metrics counts what happens; nil for none.
	Metrics *Metrics
}

// View is a compacted topic in memory; *engine.View is one.
type View interface {
	Get(key string) (msg any, ok bool)
}

// ChangeView also tells of each record, the first ones too.
type ChangeView interface {
	OnChange(f func(key string, msg any))
}

// Validate tells which setting is wrong and what it may be.
func (c Config) Validate() error {
	switch {
	case c.Concurrency < 0:
		return fmt.Errorf("verification: Concurrency is %d; give 1 or more, or 0 for as many as there are cores", c.Concurrency)
	case c.CacheEntries < 0:
		return fmt.Errorf("verification: CacheEntries is %d; give 1 or more, or 0 for %d", c.CacheEntries, DefaultCacheEntries)
	case c.PackageWait < 0:
		return fmt.Errorf("verification: PackageWait is %s; give a positive duration, or 0 for %s", c.PackageWait, DefaultPackageWait)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Concurrency == 0 {
		c.Concurrency = runtime.GOMAXPROCS(0)
	}
	if c.CacheEntries == 0 {
		c.CacheEntries = DefaultCacheEntries
	}
	if c.PackageWait == 0 {
		c.PackageWait = DefaultPackageWait
	}
	return c
}

// Tune sets what the group needs of the engine: requests have deadlines and may wait for a module that is being compiled
// as long as these, so retries are not counted, and a poll is no larger than what can be run within its time.
func Tune(c *engine.Config) {
	const noLimit, poll = 1 << 30, 256
	c.Retries, c.MaxBatch = noLimit, poll
}

// Sandbox runs modules; [FromSandbox] is the real one.
type Sandbox interface {
	// Module returns an installed module.
	Module(sha [32]byte) (Module, bool)
	// Install makes a module ready; it may take seconds, and nothing when it is ready already.
	Install(ctx context.Context, wasm []byte) (Module, error)
	// Uninstall gives a module's memory back, unless it is in use.
	Uninstall(ctx context.Context, sha [32]byte) (gone bool, err error)
}
