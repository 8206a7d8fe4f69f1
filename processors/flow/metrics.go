package flow

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the group does. A nil *Metrics counts nothing.
type Metrics struct {
	events    *prometheus.CounterVec
	resumes   *prometheus.CounterVec
	replayed  prometheus.Counter
	instances prometheus.Gauge
	bytes     prometheus.Gauge
}

// NewMetrics registers the group's collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_flow_events_total",
			Help: "What happened to flows: started, repeated, step, unsupported, too-large, stale, parked, completed, failed, killed, command, command-refused, forgotten; request, reply, timeout; session-opened, session-responder, session-no-responder, session-error; message-sent, message-received, message-duplicate, message-foreign, message-unread; emitted.",
		}, []string{"outcome"}),
		resumes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_flow_runs_total",
			Help: "Calls of modules, by where the instance came from: fresh, live, replay.",
		}, []string{"from"}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_flow_replayed_steps_total",
			Help: "Steps that were replayed because the flow's instance was not in memory.",
		}),
		instances: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_flow_live_instances",
			Help: "Instances of waiting flows that are kept in memory.",
		}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_flow_live_bytes",
			Help: "Memory of the instances that are kept, bytes.",
		}),
	}
	for _, c := range []prometheus.Collector{m.events, m.resumes, m.replayed, m.instances, m.bytes} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("flow: register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) count(o Outcome) {
	if m != nil {
		m.events.WithLabelValues(string(o)).Inc()
	}
}

func (m *Metrics) ran(from string) {
	if m != nil {
		m.resumes.WithLabelValues(from).Inc()
	}
}

func (m *Metrics) replay() {
	if m != nil {
		m.replayed.Inc()
	}
}

func (m *Metrics) live(count int, bytes int64) {
	if m != nil {
		m.instances.Set(float64(count))
		m.bytes.Set(float64(bytes))
	}
}
