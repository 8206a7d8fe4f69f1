package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// counters reads the engine's counters, summed over their labels.
func counters(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			out[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	return out
}

// What was counted in a transaction that aborted is not counted, and counted once when it is done again.
func TestMetricsCountWhatCommitted(t *testing.T) {
	c := enginetest.NewCluster(t)
	retried := map[string]bool{}
	g := engine.Define("counted",
		engine.Input("in", text, engine.Typed(func(_ engine.Context, msg string) error { return engine.Poison("bad") })),
		engine.Batch("work", text, engine.BatchOptions{}, func(_ context.Context, items []engine.Item[string]) []error {
			out := make([]error, len(items))
			for i, it := range items {
				it.Emit("out", it.Key(), it.Msg)
				if len(items) == 1 && it.Msg == "late" && !retried[it.Key()] {
					retried[it.Key()] = true
					out[i] = engine.Retry(time.Millisecond, errors.New("late"))
				}
				if len(items) > 1 {
					out[i] = engine.Poison("has written: the batch is aborted")
				}
			}
			return out
		}), goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	c.Produce(t, "in", "a", "bad", text)
	c.Produce(t, "work", "b", "late", text)
	c.Produce(t, "work", "c", "good", text)
	cfg := c.Config(t)
	reg := prometheus.NewRegistry()
	cfg.Metrics = reg
	e := enginetest.StartConfig(t, cfg, g)
	c.Consume(t, "out", 2)
	c.Drained(t, g)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	got := counters(t, reg)
	for name, want := range map[string]float64{
		"fairlead_engine_dead_letters_total": 1, "fairlead_engine_retries_total": 1, "fairlead_engine_timers_fired_total": 1,
		"fairlead_engine_records_total": 4, // the retry's command too
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["fairlead_engine_aborts_total"] < 1 || got["fairlead_engine_aborted_records_total"] < 2 {
		t.Errorf("aborts are not counted: %v", got)
	}
}
