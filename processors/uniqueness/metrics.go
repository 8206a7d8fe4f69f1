package uniqueness

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the group does. A nil *Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	states   prometheus.Counter
	size     prometheus.Histogram
	seconds  prometheus.Histogram
	clock    prometheus.Gauge
}

// NewMetrics registers the group's collectors.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_uniqueness_requests_total",
			Help: "Requests by what became of them: an answer (accepted, input unknown, …, malformed), refused, expired, given up; repeated when the answer was there before.",
		}, []string{"outcome", "repeated"}),
		states: prometheus.NewCounter(prometheus.CounterOpts{Name: "fairlead_uniqueness_states_consumed_total", Help: "States that accepted transactions have consumed."}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fairlead_uniqueness_batch_requests", Help: "Requests that were decided together.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fairlead_uniqueness_batch_seconds", Help: "How long deciding a batch took, without its commit.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15),
		}),
		clock: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fairlead_uniqueness_clock_ahead_seconds",
			Help: "How far the log's time, by which windows are judged, is ahead of this machine's clock; more than a moment means that a clock was set back or is wrong.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.states, m.size, m.seconds, m.clock} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("uniqueness: register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) count(n Note) {
	if m != nil {
		m.requests.WithLabelValues(n.Outcome, strconv.FormatBool(n.Repeated)).Inc()
	}
}

func (m *Metrics) spent(n int) {
	if m != nil {
		m.states.Add(float64(n))
	}
}

func (m *Metrics) batch(n int, took time.Duration) {
	if m != nil {
		m.size.Observe(float64(n))
		m.seconds.Observe(took.Seconds())
	}
}

func (m *Metrics) ahead(d time.Duration) {
	if m != nil {
		m.clock.Set(max(0, d.Seconds()))
	}
}
