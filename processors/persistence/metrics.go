package persistence

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
)

// Metrics counts what the worker does. A nil *Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	changes  *prometheus.CounterVec
	parked   prometheus.Gauge
	r        prometheus.Registerer
}

// NewMetrics registers the worker's collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_persistence_requests_total",
			Help: "Requests by what became of them: done, repeated, refused, expired, later (it runs on, or again), given up.",
		}, []string{"outcome"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_persistence_feed_changes_total",
			Help: "Changes of virtual nodes by what became of them: emitted, dropped (nobody is to be told), held (the channel is inactive or its topic missing), gap, stripped (told without columns: too large).",
		}, []string{"outcome"}),
		parked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_persistence_feeds_parked", Help: "Change feeds of virtual nodes that stand still: their outbox cannot be worked off (FL-PERSISTENCE-030).",
		}),
		r: r,
	}
	for _, c := range []prometheus.Collector{m.requests, m.changes, m.parked} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("persistence: register metrics: %w", err)
		}
	}
	return m, nil
}

// Watch adds gauges of the connections to virtual nodes.
func (m *Metrics) Watch(p *vnodes.Pool) error {
	for _, g := range []struct {
		name, help string
		value      func(vnodes.Stats) int
	}{
		{"fairlead_persistence_connections_open", "Connections to databases of virtual nodes.", func(s vnodes.Stats) int { return s.Open }},
		{"fairlead_persistence_connections_busy", "Connections in use.", func(s vnodes.Stats) int { return s.Busy }},
		{"fairlead_persistence_connections_waiting", "Requests that wait for a connection.", func(s vnodes.Stats) int { return s.Waiting }},
	} {
		c := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return float64(g.value(p.Stats())) })
		if err := m.r.Register(c); err != nil {
			return fmt.Errorf("persistence: register metrics: %w", err)
		}
	}
	return nil
}

func (m *Metrics) count(o Outcome) {
	if m != nil {
		m.requests.WithLabelValues(string(o)).Inc()
	}
}

func (m *Metrics) told(o FeedOutcome, n int) {
	if m != nil && n > 0 {
		m.changes.WithLabelValues(string(o)).Add(float64(n))
	}
}

func (m *Metrics) standing(n int) {
	if m != nil {
		m.parked.Set(float64(n))
	}
}
