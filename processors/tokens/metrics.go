package tokens

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the group does. A nil *Metrics counts nothing.
type Metrics struct{ events *prometheus.CounterVec }

// NewMetrics registers the group's collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fairlead_tokens_events_total",
		Help: "What happened to pools of tokens: claimed, repeated, none available, backed off (none available, and the database was not asked), released, flow ended, claim missing, claim expired, " +
			"balance, refused, busy, query, query failed, request expired, stale, dead letter.",
	}, []string{"outcome"})}
	if err := r.Register(m.events); err != nil {
		return nil, fmt.Errorf("tokens: register metrics: %w", err)
	}
	return m, nil
}

func (m *Metrics) count(what Outcome) {
	if m != nil {
		m.events.WithLabelValues(string(what)).Inc()
	}
}
