package devenv

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// broker is the embedded Kafka. It writes what it takes to its folder; a crash of the process loses nothing, a power
// cut of the machine may lose the last moments.
type broker struct {
	cluster *kfake.Cluster
	// failed gets the first error of the disk.
	failed chan error
}

// startBroker starts the embedded Kafka on a free port of this machine.
func startBroker(dir string, log *slog.Logger) (*broker, error) {
	b := &broker{failed: make(chan error, 1)}
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
