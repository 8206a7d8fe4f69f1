package persistence

import (
	"fmt"
	"time"
)

// Config holds the settings of the worker. Zero values take the defaults.
type Config struct {
	// Keep is how long answers are remembered: longer than any request can come again. Default eight days.
	Keep time.Duration
	// SweepEvery is how often a virtual node's outbox is looked at although nobody asked. Default ten minutes.
	SweepEvery time.Duration
	// FeedPage bounds the changes that one step emits. Default 500.
	FeedPage int
}

// Defaults of the settings.
const (
	DefaultKeep       = 8 * 24 * time.Hour
	DefaultSweepEvery = 10 * time.Minute
	DefaultFeedPage   = 500
)

// maxBatch bounds the requests that are worked off together. A batch is held up by a virtual node for a second at most;
// what takes longer is looked for again in a later one.
const maxBatch = 1000

// MaxBatch is the engine setting that the group persistence needs.
func MaxBatch() int { return maxBatch }

// Validate tells which setting is wrong and what it may be.
func (c Config) Validate() error {
	if c.Keep < 0 || c.Keep > 0 && c.Keep < 24*time.Hour {
		return fmt.Errorf("persistence: Keep is %s; give at least a day, or 0 for %s", c.Keep, DefaultKeep)
	}
	if c.SweepEvery < 0 {
		return fmt.Errorf("persistence: SweepEvery is %s; give a positive duration, or 0 for %s", c.SweepEvery, DefaultSweepEvery)
	}
	if c.FeedPage < 0 || c.FeedPage > 5000 {
		return fmt.Errorf("persistence: FeedPage is %d; give 1 to 5000, or 0 for %d", c.FeedPage, DefaultFeedPage)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.SweepEvery == 0 {
		c.SweepEvery = DefaultSweepEvery
	}
	if c.FeedPage == 0 {
		c.FeedPage = DefaultFeedPage
	}
	return c
}
