package crypto

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairleadio/fairlead/internal/vault"
)

// Metrics counts what the group does. A nil *Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	batch    prometheus.Histogram
	calls    *prometheus.HistogramVec
	failures *prometheus.CounterVec
	up       prometheus.Gauge
}

// NewMetrics registers the group's collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_crypto_requests_total",
			Help: "Requests by who asked, for what, and what became of them: done, repeated, refused, failed, expired.",
		}, []string{"requester", "operation", "outcome"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fairlead_crypto_batch_signatures", Help: "Signatures of one request to Vault.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fairlead_crypto_vault_seconds", Help: "How long requests to Vault took.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"call"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_crypto_vault_errors_total", Help: "Requests to Vault that failed, by kind of error.",
		}, []string{"call", "kind"}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_crypto_vault_up", Help: "1 while Vault can serve, 0 while requests wait in Kafka for it.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.batch, m.calls, m.failures, m.up} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("crypto: register metrics: %w", err)
		}
	}
	return m, nil
}

// Observe is for [vault.Config.Observe].
func (m *Metrics) Observe(doing string, took time.Duration, err error) {
	m.calls.WithLabelValues(doing).Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(doing, string(vault.KindOf(err))).Inc()
	}
}

func (m *Metrics) count(r Requester, op Operation, o Outcome) {
	if m != nil {
		m.requests.WithLabelValues(string(r), string(op), string(o)).Inc()
	}
}

func (m *Metrics) signatures(n int) {
	if m != nil {
		m.batch.Observe(float64(n))
	}
}

func (m *Metrics) vault(up bool) {
	if m == nil {
		return
	}
	v := 0.0
	if up {
		v = 1
	}
	m.up.Set(v)
}
