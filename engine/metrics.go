package engine

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the engine's own; every one carries the group as a constant label.
type metrics struct {
	records, abortedRecords, commits, aborts, rebuilds, retries, timers prometheus.Counter
	deadLetters, lost                                                   *prometheus.CounterVec
	commitSeconds                                                       prometheus.Histogram
}

// tally is what a transaction did in a partition; it counts when the transaction has committed.
type tally struct {
	retries, timers int
	dead            map[string]int // by reason
}

func (t *tally) deadLetter(reason string) {
	if t.dead == nil {
		t.dead = map[string]int{}
	}
	t.dead[reason]++
}

// settle counts it, and begins anew.
func (t *tally) settle(m *metrics) {
	if t.retries > 0 {
		m.retries.Add(float64(t.retries))
	}
	if t.timers > 0 {
		m.timers.Add(float64(t.timers))
	}
	for reason, n := range t.dead {
		m.deadLetters.WithLabelValues(reason).Add(float64(n))
	}
	*t = tally{}
}

func newMetrics(reg prometheus.Registerer, group string, e *Engine) *metrics {
	labels := prometheus.Labels{"group": group}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "fairlead_engine_" + name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		records:        counter("records_total", "Input records whose effects were committed."),
		abortedRecords: counter("aborted_records_total", "Input records of aborted transactions; they were run again."),
		commits:        counter("commits_total", "Transactions committed."),
		aborts:         counter("aborts_total", "Transactions aborted; their input was run again."),
		rebuilds:       counter("client_rebuilds_total", "Kafka clients made anew after an error without certain outcome."),
		retries:        counter("retries_total", "Times that a record was put into the retry store, because it failed, in committed transactions."),
		timers:         counter("timers_fired_total", "Timers and retries that came due: moved into the loop topic."),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_engine_dead_letters_total",
			Help: "Records written to the dead-letter topic, by reason.", ConstLabels: labels}, []string{"reason"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_engine_input_lost_total",
			Help: "Times that the committed offset of an input was gone.", ConstLabels: labels}, []string{"topic"}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "fairlead_engine_commit_seconds",
			Help: "Time to end a transaction.", ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
	}
	if reg == nil {
		return m
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fairlead_engine_" + name, Help: help, ConstLabels: labels}, f)
	}
	all := []prometheus.Collector{m.records, m.abortedRecords, m.commits, m.aborts, m.rebuilds, m.retries, m.timers, m.deadLetters, m.lost, m.commitSeconds,
		gauge("partitions", "Partitions that this process owns and runs.", func() float64 {
			n := 0
			for _, s := range e.Status().Sessions {
				n += len(s.Partitions)
			}
			return float64(n)
		}),
		gauge("recovery_missing_records", "Changelog records that recovery still has to read.", func() float64 {
			var n int64
			for _, s := range e.Status().Sessions {
				n += s.Missing
			}
			return float64(n)
		}),
		gauge("lag_records", "Input records that are not read yet.", func() float64 {
			var n int64
			for _, s := range e.Status().Sessions {
				n += s.LagRecords
			}
			return float64(n)
		}),
		gauge("lag_seconds", "Age of the newest record read while there are more, of the worst partition.", func() float64 {
			worst := 0.0
			for _, s := range e.Status().Sessions {
				worst = max(worst, s.LagSeconds)
			}
			return worst
		}),
		gauge("waiting_records", "Records in the retry store.", func() float64 {
			n := 0
			for _, s := range e.Status().Sessions {
				n += s.Waiting
			}
			return float64(n)
		}),
		gauge("parked_keys", "Keys that wait for an operator.", func() float64 {
			n := 0
			for _, s := range e.Status().Sessions {
				n += s.Parked
			}
			return float64(n)
		}),
		gauge("paused", "1 while fetching is paused.", func() float64 {
			if e.Status().Paused != "" {
				return 1
			}
			return 0
		}),
	}
	for _, c := range all {
		// The same group run twice in one registry keeps the first one's collectors.
		if err := reg.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			e.cfg.Log.Warn("metrics are not registered", "group", group, "error", err)
		}
	}
	return m
}
