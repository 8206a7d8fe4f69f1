package database

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the worker does.
type Metrics struct {
	requests *prometheus.CounterVec
	steps    *prometheus.CounterVec
	repaired *prometheus.CounterVec
	away     prometheus.Gauge
}

// NewMetrics makes and registers the worker's metrics.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_database_requests_total", Help: "Requests, by operation and outcome (done, refused, repeated, expired).",
		}, []string{"operation", "outcome"}),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_database_steps_total", Help: "Steps of operations (uploads, virtual nodes), by step and outcome (done, failed).",
		}, []string{"step", "outcome"}),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_database_reconciled_total", Help: "Facts that differed from the database and were asked to be published again, by topic.",
		}, []string{"topic"}),
		away: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_database_away", Help: "1 while Postgres is away and the group is paused.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.steps, m.repaired, m.away} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of the database worker: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) request(operation, outcome string) {
	if m != nil {
		m.requests.WithLabelValues(operation, outcome).Inc()
	}
}

func (m *Metrics) step(step string, err error) {
	if m == nil {
		return
	}
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.steps.WithLabelValues(step, outcome).Inc()
}

func (m *Metrics) reconciled(topic string) {
	if m != nil {
		m.repaired.WithLabelValues(topic).Inc()
	}
}

func (m *Metrics) isAway(away bool) {
	if m == nil {
		return
	}
	if away {
		m.away.Set(1)
	} else {
		m.away.Set(0)
	}
}
