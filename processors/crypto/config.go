package crypto

import (
	"fmt"
	"log/slog"

	"github.com/fairleadio/fairlead/engine"
)

// Config holds the settings of the group. Zero values take the defaults.
type Config struct {
	// Concurrency bounds the requests to Vault that run at once, of all partitions together. Default 16.
	Concurrency int
}

// DefaultConcurrency keeps a Vault of a few cores busy and no more.
const DefaultConcurrency = 16

// Deps are what the worker is built on.
type Deps struct {
	// Vault does what the worker decides.
	Vault Vault
	// Keys is the view of crypto.keys.
	Keys KeyView
	// Log receives what an operator should see; nil for slog.Default().
	Log *slog.Logger
	// Metrics counts what happens; nil for none.
	Metrics *Metrics
}

// KeyView shows crypto.keys; an *engine.View is one.
type KeyView interface {
	Get(key string) (msg any, ok bool)
}

// Validate tells which setting is wrong and what it may be.
func (c Config) Validate() error {
	if c.Concurrency < 0 {
		return fmt.Errorf("crypto: Concurrency is %d; give 1 or more, or 0 for %d", c.Concurrency, DefaultConcurrency)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	return c
}

// Tune sets what the group needs of the engine: requests have deadlines and may wait for Vault as long as these, so
// retries are not counted, and a poll is no larger than what can wait in the retry store without harm.
func Tune(c *engine.Config) {
	const noLimit, poll = 1 << 30, 2048
	c.Retries, c.MaxBatch = noLimit, poll
}
