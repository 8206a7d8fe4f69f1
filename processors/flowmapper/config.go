package flowmapper

import (
	"fmt"
	"time"
)

// Config holds the settings of the group. Zero values take the defaults.
type Config struct {
	// MaxRunningPerVnode bounds the running flows of a virtual node in one partition; later starts wait.
	// Default 1,000. Live: taken from the next event on.
	MaxRunningPerVnode int
	// MaxRunning bounds the running flows of one partition, all virtual nodes together. Default 10,000.
	MaxRunning int
	// Keep is how long a mapping and the flow's status outlive the flow. Default seven days.
	Keep time.Duration
	// Metrics counts what happens; nil for none.
	Metrics *Metrics
}

// Defaults of the settings.
const (
	DefaultMaxRunningPerVnode = 1_000
	DefaultMaxRunning         = 10_000
	DefaultKeep               = 7 * 24 * time.Hour
)

// Validate tells which setting is wrong and what it may be.
func (c Config) Validate() error {
	if c.MaxRunningPerVnode < 0 {
		return fmt.Errorf("flow-mapper: MaxRunningPerVnode is %d; give 1 or more, or 0 for %d", c.MaxRunningPerVnode, DefaultMaxRunningPerVnode)
	}
	if c.MaxRunning < 0 {
		return fmt.Errorf("flow-mapper: MaxRunning is %d; give 1 or more, or 0 for %d", c.MaxRunning, DefaultMaxRunning)
	}
	if c.Keep < 0 {
		return fmt.Errorf("flow-mapper: Keep is %s; give a positive duration, or 0 for %s", c.Keep, DefaultKeep)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MaxRunningPerVnode == 0 {
		c.MaxRunningPerVnode = DefaultMaxRunningPerVnode
	}
	if c.MaxRunning == 0 {
		c.MaxRunning = DefaultMaxRunning
	}
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	return c
}

func (c Config) rules() Rules {
	return Rules{
		MaxRunningPerVnode: uint64(c.MaxRunningPerVnode),
		MaxRunning:         uint64(c.MaxRunning),
		KeepUs:             c.Keep.Microseconds(),
	}
}
