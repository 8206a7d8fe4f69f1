package flowmapper

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the group does. A nil *Metrics counts nothing.
type Metrics struct {
	events  *prometheus.CounterVec
	running *prometheus.GaugeVec
	waiting *prometheus.GaugeVec
}

// NewMetrics registers the group's collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_flow_mapper_events_total",
			Help: "Events by what became of them: accepted, waiting, admitted, repeated, ended, killed, command-refused, passed-on, forgotten, stale.",
		}, []string{"outcome"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fairlead_flow_mapper_running_flows",
			Help: "Flows of a partition that were let start and have not ended, as of the partition's last event.",
		}, []string{"partition"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fairlead_flow_mapper_waiting_starts",
			Help: "Starts of a partition that wait for admission, as of the partition's last event.",
		}, []string{"partition"}),
	}
	for _, c := range []prometheus.Collector{m.events, m.running, m.waiting} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("flow-mapper: register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) count(o Outcome) {
	if m != nil {
		m.events.WithLabelValues(string(o)).Inc()
	}
}

func (m *Metrics) places(partition string, p Places) {
	if m != nil {
		m.running.WithLabelValues(partition).Set(float64(p.Running))
		m.waiting.WithLabelValues(partition).Set(float64(p.Waiting))
	}
}

func (m *Metrics) gone(partition string) {
	if m != nil {
		m.running.DeleteLabelValues(partition)
		m.waiting.DeleteLabelValues(partition)
	}
}
