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
	// MaxResponders bounds the sessions that are open as responders' on a virtual node in one partition. They do not wait
	// for admission, so who opens more is told to try again. Default 5,000.
	MaxResponders int
	// Keep is how long a mapping and the flow's status outlive the flow. Default seven days.
	Keep time.Duration
	// SessionKeep is how long the mapping of a session outlives it (Corda's session.cleanupTime). Default 10 min. It must be
	// longer than SessionTTL, or a message that comes late could begin a session again.
	SessionKeep time.Duration
	// SessionTTL is how old a message may be that begins a session (Corda's session.p2pTTL). Default 5 min.
	SessionTTL time.Duration
	// PeerWait is how long a message waits for the other side's virtual node to become visible here. Default 5 s.
	PeerWait time.Duration
	// VirtualNodes is a view of virtual.node.info, ready: who lives in this cluster.
	VirtualNodes View
	// Metrics counts what happens; nil for none.
	Metrics *Metrics
}

// View is a compacted topic in memory.
type View interface {
	Get(key string) (msg any, ok bool)
}

// Defaults of the settings.
const (
	DefaultSessionKeep        = 10 * time.Minute
	DefaultSessionTTL         = 5 * time.Minute
	DefaultPeerWait           = 5 * time.Second
	DefaultMaxRunningPerVnode = 1_000
	DefaultMaxRunning         = 10_000
	DefaultMaxResponders      = 5_000
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
	if c.MaxResponders < 0 {
		return fmt.Errorf("flow-mapper: MaxResponders is %d; give 1 or more, or 0 for %d", c.MaxResponders, DefaultMaxResponders)
	}
	if c.Keep < 0 {
		return fmt.Errorf("flow-mapper: Keep is %s; give a positive duration, or 0 for %s", c.Keep, DefaultKeep)
	}
	if c.SessionKeep < 0 || c.SessionTTL < 0 || c.PeerWait < 0 {
		return fmt.Errorf("flow-mapper: SessionKeep %s, SessionTTL %s and PeerWait %s must be positive, or 0 for their defaults", c.SessionKeep, c.SessionTTL, c.PeerWait)
	}
	if d := c.withDefaults(); d.SessionKeep <= d.SessionTTL {
		return fmt.Errorf("flow-mapper: SessionKeep is %s and SessionTTL %s; give a longer SessionKeep, or late messages begin sessions again", d.SessionKeep, d.SessionTTL)
	}
	return nil
}

func (c Config) withDefaults() Config {
	for _, v := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&c.SessionKeep, DefaultSessionKeep}, {&c.SessionTTL, DefaultSessionTTL}, {&c.PeerWait, DefaultPeerWait}} {
		if *v.value == 0 {
			*v.value = v.or
		}
	}
	if c.MaxRunningPerVnode == 0 {
		c.MaxRunningPerVnode = DefaultMaxRunningPerVnode
	}
	if c.MaxRunning == 0 {
		c.MaxRunning = DefaultMaxRunning
	}
	if c.MaxResponders == 0 {
		c.MaxResponders = DefaultMaxResponders
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
		MaxResponders:      uint64(c.MaxResponders),
		KeepUs:             c.Keep.Microseconds(),
		SessionKeepUs:      c.SessionKeep.Microseconds(),
		SessionTTLUs:       c.SessionTTL.Microseconds(),
		PeerWaitUs:         c.PeerWait.Microseconds(),
	}
}
