package verification

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the group does. A nil *Metrics counts nothing.
type Metrics struct {
	requests     *prometheus.CounterVec
	remembered   prometheus.Counter
	contracts    *prometheus.CounterVec
	seconds      prometheus.Histogram
	instructions prometheus.Histogram
	entries      prometheus.Gauge
	modules      prometheus.Gauge
	installing   prometheus.Gauge
}

// NewMetrics registers the group's collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_verification_requests_total",
			Help: "Requests by what became of them: verified, invalid, refused, package missing, expired, later, dead letter.",
		}, []string{"outcome"}),
		remembered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_verification_remembered_total", Help: "Requests that were answered from the cache.",
		}),
		contracts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_verification_contracts_total",
			Help: "Runs of contracts by how they ended: accepted, rejected, or the kind of fault of the module, such as out-of-instructions.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fairlead_verification_contract_seconds", Help: "How long contracts ran.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14),
		}),
		instructions: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fairlead_verification_contract_instructions", Help: "Units of the meter that contracts took.", Buckets: prometheus.ExponentialBuckets(10_000, 3, 10),
		}),
		entries: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_verification_cache_entries", Help: "Answers that are remembered.",
		}),
		modules: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_verification_modules", Help: "Modules with contracts that are ready to run.",
		}),
		installing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_verification_modules_installing", Help: "Modules that are being compiled; requests that need them wait.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.remembered, m.contracts, m.seconds, m.instructions, m.entries, m.modules, m.installing} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("verification: register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) count(what Result) {
	if m != nil {
		m.requests.WithLabelValues(string(what)).Inc()
	}
}

func (m *Metrics) recalled() {
	if m != nil {
		m.remembered.Inc()
	}
}

func (m *Metrics) contract(outcome string, took time.Duration, used int64) {
	if m != nil {
		m.contracts.WithLabelValues(outcome).Inc()
		m.seconds.Observe(took.Seconds())
		m.instructions.Observe(float64(used))
	}
}

func (m *Metrics) cached(n int) {
	if m != nil {
		m.entries.Set(float64(n))
	}
}

func (m *Metrics) installed(ready, under int) {
	if m != nil {
		m.modules.Set(float64(ready))
		m.installing.Set(float64(under))
	}
}
