package rest

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what can be seen of the worker. Labels are bounded: routes are patterns, never paths.
type metrics struct {
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	loginFailed prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairlead_rest_requests_total", Help: "Requests answered, by method, route pattern and status code.",
		}, []string{"method", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fairlead_rest_request_seconds", Help: "Time from request to answer, by method and route pattern.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"}),
		loginFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_rest_login_failures_total", Help: "Log-ins refused for a wrong user or password.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.loginFailed} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of rest: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) request(method, route string, status int, took time.Duration) {
	switch method {
	case "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH":
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(method, route).Observe(took.Seconds())
}
