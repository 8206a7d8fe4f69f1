package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Outside is everything that reaches beyond the process, so that a simulation can stand in for it. The zero value
// is the real world.
type Outside struct {
	// Dial opens connections to brokers; nil for TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// KgoOpts are added to every Kafka client: TLS, SASL, hooks.
	KgoOpts []kgo.Opt
	// Now is the wall clock, which may be wrong and may jump; nil for the machine's. Waits and time-outs do not go by
	// it.
	Now func() time.Time
}

func (o Outside) wall() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

// Config says where and how a group runs. Only Brokers and DB must be set.
type Config struct {
	// Brokers are Kafka's bootstrap addresses, host:port.
	Brokers []string
	// Prefix is put before the name of every topic, group and transaction at the Kafka client, and nowhere else.
	Prefix string
	// InstanceID is stable for each replica (a StatefulSet ordinal): a replica that comes back with the same id
	// gets its partitions back at once. Empty means a member without a stable name, which is right only for
	// tests.
	InstanceID string
	// Sessions is how many members of the group run in this process, each with its own transactions. Default: one
	// for each core.
	Sessions int
	// DB keeps tables and stores between runs. It is a cache: the topics are the truth. Engines of
	// several groups and prefixes may share one (its keys are the topics' names with the prefix); two replicas of one
	// group need one each.
	DB DB
	// LeaveOnStop gives the partitions to others at once when Run ends; without it a stable member keeps them
	// for SessionTimeout, which is right when it will be back.
	LeaveOnStop bool
	// Outside is for simulations and for TLS and SASL.
	Outside Outside
	// Log receives what an operator should see. Default: slog.Default().
	Log *slog.Logger
	// Metrics receives the engine's collectors; nil for none.
	Metrics prometheus.Registerer
	// Build is written into dead letters, so that one knows which version refused.
	Build string
	// Expires lists input topics whose records may be lost to retention (requests with a deadline): when the
	// committed offset is gone, the group goes on at the log's start and counts it. For every other topic that
	// is fatal.
	Expires []string

	// MaxBatch bounds the input records of a transaction. Default and maximum 20,000.
	MaxBatch int
	// NowWidth is how many microseconds of a partition's time each transaction has for itself: the next one's now is that much
	// later at least. A group that gives its records times of their own, all different and in order, needs as many as it uses.
	// It may grow, and not shrink while the group has owners with more. Default 1.
	NowWidth int
	// MaxDelay bounds how long a transaction may grow while input keeps coming. Default 100 ms.
	MaxDelay time.Duration
	// Retries is how often a record is tried again after [Retry] before it is dead-lettered. Default 20.
	Retries int
	// RetryBackoff is the first wait of a retry; it doubles up to RetryBackoffMax. Defaults 100 ms and 30 s.
	RetryBackoff, RetryBackoffMax time.Duration
	// RetryQueue bounds the records that wait behind a retried one for each key; over it the partition pauses.
	// Default 1,000.
	RetryQueue int
	// CrashLimit is how often a process may die with a record in hand before the record is dead-lettered without
	// being run. Default 3.
	CrashLimit int
	// Trials are shared by the engines of a process, so that a record of one group that kills it is not mistaken for one of
	// another's. Default: of this engine alone.
	Trials *Trials
	// TransactionTimeout is after how long the broker aborts the transaction of a dead process. Default 10 s.
	TransactionTimeout time.Duration
	// SessionTimeout is after how long the broker gives the partitions of a dead process away. Default 10 s.
	SessionTimeout time.Duration
	// HeartbeatInterval must be well below SessionTimeout. Default 3 s.
	HeartbeatInterval time.Duration
	// RebalanceTimeout bounds how long members may take to join. Default 30 s.
	RebalanceTimeout time.Duration
	// EndTimeout bounds flushing and ending a transaction; then the client is rebuilt. Default 10 s.
	EndTimeout time.Duration
	// TopicWait is how long missing topics are waited for at the start. Default 10 s.
	TopicWait time.Duration
	// FetchMaxWait is how long a broker holds an empty fetch. Default 500 ms. Larger saves idle CPU, but after a
	// rebalance the first record can wait that long behind a fetch that asks for the wrong place.
	FetchMaxWait time.Duration
	// DeleteRetention is the delete.retention.ms of the group's compacted topics; local storage older than half
	// of it is rebuilt, for tombstones may be gone. Default seven days.
	DeleteRetention time.Duration
}

var safeName = regexp.MustCompile(`^[a-zA-Z0-9._-]*$`)

// withDefaults fills what is not set and checks what is.
func (c Config) withDefaults() (Config, error) {
	if len(c.Brokers) == 0 {
		return c, errors.New("engine: Brokers is empty; give at least one host:port")
	}
	if c.DB == nil {
		return c, errors.New("engine: DB is not set; use OpenPebble(dir) or OpenMemory()")
	}
	if !safeName.MatchString(c.Prefix) || !safeName.MatchString(c.InstanceID) {
		return c, fmt.Errorf("engine: Prefix %q and InstanceID %q may hold letters, digits, '.', '_' and '-' only", c.Prefix, c.InstanceID)
	}
	if c.NowWidth < 0 {
		return c, fmt.Errorf("engine: NowWidth is %d, it must be 1 or more", c.NowWidth)
	}
	if c.MaxBatch < 0 || c.MaxBatch > MaxTransactionRecords {
		return c, fmt.Errorf("engine: MaxBatch is %d, it must be between 1 and %d", c.MaxBatch, MaxTransactionRecords)
	}
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	setInt := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	if c.Sessions < 0 {
		return c, fmt.Errorf("engine: Sessions is %d, it must be 1 or more, or 0 for one for each core", c.Sessions)
	}
	setInt(&c.Sessions, runtime.GOMAXPROCS(0))
	setInt(&c.MaxBatch, MaxTransactionRecords)
	setInt(&c.NowWidth, 1)
	setInt(&c.Retries, 20)
	setInt(&c.RetryQueue, 1000)
	setInt(&c.CrashLimit, 3)
	set(&c.MaxDelay, 100*time.Millisecond)
	set(&c.RetryBackoff, 100*time.Millisecond)
	set(&c.RetryBackoffMax, 30*time.Second)
	set(&c.TransactionTimeout, 10*time.Second)
	set(&c.SessionTimeout, 10*time.Second)
	set(&c.HeartbeatInterval, min(3*time.Second, c.SessionTimeout/3))
	set(&c.RebalanceTimeout, 30*time.Second)
	set(&c.EndTimeout, 10*time.Second)
	set(&c.FetchMaxWait, 500*time.Millisecond)
	set(&c.TopicWait, 10*time.Second)
	set(&c.DeleteRetention, 7*24*time.Hour)
	if c.HeartbeatInterval*2 > c.SessionTimeout {
		return c, fmt.Errorf("engine: HeartbeatInterval %s is too long for SessionTimeout %s; at most half of it", c.HeartbeatInterval, c.SessionTimeout)
	}
	if c.Trials == nil {
		c.Trials = NewTrials()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c, nil
}

// metadataMinAge is how old metadata must be to be asked for again.
const metadataMinAge = 20 * time.Millisecond

// clientOpts are the options that every client shares.
func clientOpts(brokers []string, o Outside) []kgo.Opt {
	// franz-go learns of a new leader, and tries again after "the last transaction is not written out yet", with its
	// next look at the metadata; by default it looks at most every five seconds, which a transaction would wait.
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(metadataMinAge)}
	if o.Dial != nil {
		opts = append(opts, kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
			return o.Dial(ctx, network, host)
		}))
	}
	return append(opts, o.KgoOpts...)
}
