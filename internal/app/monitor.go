package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fairleadio/fairlead/engine"
)

// processStatus is what /status answers.
type processStatus struct {
	Ready   bool     `json:"ready"`
	Phase   string   `json:"phase"`
	Reasons []string `json:"reasons"`
	// Waiting says which servers outside of Kafka are waited for, and since when; the reasons have it too.
	Waiting []string       `json:"waiting"`
	Build   string         `json:"build"`
	Workers []string       `json:"workers"`
	Groups  []groupStatus  `json:"groups"`
	Views   map[string]int `json:"views"`
}

type groupStatus struct {
	Group string `json:"group"`
	Ready bool   `json:"ready"`
	// Spare: others own all partitions of the group, and this process takes over what they leave.
	Spare    bool            `json:"spare"`
	Paused   string          `json:"paused"`
	Sessions []sessionStatus `json:"sessions"`
}

type sessionStatus struct {
	Phase      string  `json:"phase"`
	Partitions []int32 `json:"partitions"`
	// MissingRecords and TotalRecords tell how far a recovery is.
	MissingRecords int64   `json:"missingRecords"`
	TotalRecords   int64   `json:"totalRecords"`
	LagRecords     int64   `json:"lagRecords"`
	LagSeconds     float64 `json:"lagSeconds"`
	Waiting        int64   `json:"waiting"`
	Parked         int64   `json:"parked"`
	Progressed     string  `json:"progressed,omitempty"`
}

func (a *App) status() processStatus {
	ok, reasons := a.healthy()
	s := processStatus{
		Ready: ok, Phase: a.phaseNow(), Reasons: reasons, Build: a.opts.Build, Workers: a.opts.Workers,
		Groups: []groupStatus{}, Views: map[string]int{}, Waiting: a.waiting(),
	}
	if s.Waiting == nil {
		s.Waiting = []string{}
	}
	if s.Reasons == nil {
		s.Reasons = []string{}
	}
	for _, g := range a.engines {
		st := g.engine.Status()
		gs := groupStatus{Group: g.name, Ready: groupReady(st), Spare: st.Spare(), Paused: st.Paused, Sessions: []sessionStatus{}}
		for _, x := range st.Sessions {
			ss := sessionStatus{Phase: x.Phase, Partitions: x.Partitions, MissingRecords: x.Missing, TotalRecords: x.Total, LagRecords: x.LagRecords, LagSeconds: x.LagSeconds, Waiting: int64(x.Waiting), Parked: int64(x.Parked)}
			if ss.Partitions == nil {
				ss.Partitions = []int32{}
			}
			if !x.Progressed.IsZero() {
				ss.Progressed = x.Progressed.Format(time.RFC3339Nano)
			}
			gs.Sessions = append(gs.Sessions, ss)
		}
		s.Groups = append(s.Groups, gs)
	}
	for topic, v := range a.views.all {
		s.Views[topic] = v.Len()
	}
	return s
}

// phaseOf says in a few words what keeps a group from being ready.
func phaseOf(st engine.Status) string {
	if st.Err != nil {
		return st.Err.Error()
	}
	if st.Paused != "" {
		return "paused: " + st.Paused
	}
	var missing, total, lag int64
	phase := "joining its group"
	for _, s := range st.Sessions {
		missing, total, lag = missing+s.Missing, total+s.Total, lag+s.LagRecords
		if s.Phase != "" {
			phase = s.Phase
		}
	}
	switch {
	case missing > 0:
		return fmt.Sprintf("recovering, %d %%", 100*(total-missing)/total)
	case lag > 0:
		return fmt.Sprintf("%s, %d records behind without progress", phase, lag)
	default:
		return phase
	}
}

// monitorTime bounds a monitor request.
const monitorTime = 10 * time.Second

// profileTime bounds a request for a profile, which lasts as long as it asks for.
const profileTime = 5 * time.Minute

// serveMonitor serves probes and metrics until ctx ends.
//
//	/isHealthy  the process lives
//	/startupz   the start is over, with the progress of recovery while it is not
//	/status     readiness, with what is missing
//	/metrics    Prometheus
//	/debug/pprof/  Go's profiles, where monitor.profiles is set
func (a *App) serveMonitor(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /isHealthy", func(w http.ResponseWriter, _ *http.Request) { answerText(w, http.StatusOK, "OK\n") })
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-a.ready:
			answerText(w, http.StatusOK, "OK\n")
		default:
			_, reasons := a.healthy()
			answerText(w, http.StatusServiceUnavailable, fmt.Sprintln(reasons))
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		s := a.status()
		code := http.StatusOK
		if !s.Ready {
			code = http.StatusServiceUnavailable
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(s); err != nil {
			a.log.Debug("writing /status failed", "error", err)
		}
	})
	writing := 3 * monitorTime
	if a.cfg.Monitor.Profiles {
		writing = profileTime
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: monitorTime, ReadTimeout: monitorTime, WriteTimeout: writing}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // scrapers come again
	defer stop()
	if err := server.Serve(a.monitor); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving probes and metrics on %s: %w", a.monitor.Addr(), err)
	}
	return nil
}

func answerText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // the prober is gone when this fails
}
