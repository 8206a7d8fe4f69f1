package devenv

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
)

// broker is the embedded Kafka. It writes what it takes to its folder; a crash of the process loses nothing, but for one in
// the very moment in which a transaction ends: that may have ended in some of its topics only. A power cut of the machine may
// lose the last moments. A real Kafka has neither weakness.
type broker struct {
	cluster *kfake.Cluster
	// failed gets the first error of the disk.
	failed chan error
}

// startBroker starts the embedded Kafka on a free port of this machine.
func startBroker(dir string, log *slog.Logger) (*broker, error) {
	b := &broker{failed: make(chan error, 1)}
	if err := renewProducers(filepath.Join(dir, producersLog)); err != nil {
		return nil, fmt.Errorf("FL-DEV-005: starting the embedded Kafka in %s: %w", dir, err)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.DataDir(dir), kfake.ClusterID("fairlead-dev"),
		kfake.WithLogger(&brokerLog{log: log, dir: dir, failed: b.failed}),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": fmt.Sprint(6 << 20)}),
	)
	if err != nil {
		return nil, fmt.Errorf("FL-DEV-005: starting the embedded Kafka in %s: %w: `fairlead dev reset --data %s` discards the data", dir, err, filepath.Dir(dir))
	}
	b.cluster = cluster
	return b, nil
}

func (b *broker) addresses() []string { return b.cluster.ListenAddrs() }

func (b *broker) close() { b.cluster.Close() }

// brokerLog passes on what matters, and tells when the disk does not take records: the broker itself would go on.
type brokerLog struct {
	log    *slog.Logger
	dir    string
	failed chan error
	once   sync.Once
}

// Logf implements kfake.Logger.
func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level != kfake.LogLevelError && level != kfake.LogLevelWarn {
		return
	}
	message := fmt.Sprintf(format, args...)
	if strings.HasPrefix(format, "persist ") {
		l.once.Do(func() {
			l.failed <- fmt.Errorf("FL-DEV-002: the embedded Kafka cannot write to %s: %s: free some space and start again; what was answered before is kept", l.dir, message)
		})
	}
	l.log.Debug("embedded Kafka", "message", message)
}

// startKafka starts the broker, or finds the one that is named, and makes the topics.
func (c *Cluster) startKafka(ctx context.Context) error {
	began := time.Now()
	brokers := c.opts.Kafka
	own := len(brokers) == 0
	if own {
		b, err := startBroker(c.dir.join(kafkaDir), c.log)
		if err != nil {
			return err
		}
		c.broker = b
		brokers = b.addresses()
		c.opts.Step("embedded Kafka runs", time.Since(began))
	}
	c.info.Brokers, c.info.Prefix = brokers, c.opts.Prefix
	var err error
	if c.kafka, err = c.connectKafka(brokers); err != nil {
		return err
	}
	if c.cluster.admin, err = kafkaadmin.New(c.kafka); err != nil {
		return err
	}
	if own {
		err = c.places.change(func(p *places) { p.Kafka = &kafkaPlace{Own: true, Prefix: c.opts.Prefix} })
	} else {
		err = c.claimKafka(ctx)
	}
	if err != nil {
		return err
	}
	outside := engine.Outside{}
	if c.kafka.TLS != nil || c.kafka.SASL != nil {
		if outside.KgoOpts, err = c.kafka.Options(); err != nil {
			return err
		}
	}
	if c.cluster.producer, err = engine.NewProducer(engine.ProducerConfig{Brokers: brokers, Prefix: c.opts.Prefix, Outside: outside, Log: c.log}); err != nil {
		return err
	}
	began = time.Now()
	changes, err := c.cluster.prepareTopics(ctx)
	if err != nil && !own {
		return kafkaError(strings.Join(brokers, ","), err)
	}
	if err != nil {
		return err
	}
	c.opts.Step(fmt.Sprintf("topics are as the catalogue says: %d changes", changes), time.Since(began))
	return nil
}
