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
	behind   prometheus.Gauge
	schemas  *prometheus.CounterVec
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
		behind: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_database_schemas_behind", Help: "Virtual nodes whose schema is not known to have the platform's present tables; 0 where another process looks after them.",
		}),
		schemas: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_database_schemas_total", Help: "Schemas of virtual nodes that were to be brought to the platform's present version, by outcome (present, migrated, failed).",
		}, []string{"outcome"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.steps, m.repaired, m.away, m.behind, m.schemas} {
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

func (m *Metrics) schemasBehind(n int) {
	if m != nil {
		m.behind.Set(float64(n))
	}
}

func (m *Metrics) schema(outcome string) {
	if m != nil {
		m.schemas.WithLabelValues(outcome).Inc()
	}
}
