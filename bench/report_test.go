package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample() results {
	r := results{Recorded: "2026-11-23", Records: 10, Machine: "a machine", Throughput: map[string]rate{
		subjectEngine: {160_000, 7}, subjectGoka: {80_000, 20}, subjectStreams: {100_000, 20}, subjectBare: {200_000, 3},
	}, Latency: map[string]percentiles{subjectEngine: {5, 10, 60, 100}, subjectStreams: {60, 99, 120, 100}}}
	r.Ratios = ratios(r)
	return r
}

func TestRatios(t *testing.T) {
	got := sample().Ratios
	for name, want := range map[string]float64{
		"throughput of engine / goka": 2, "throughput of engine / streams-eos": 1.6, "throughput of engine / bare": 0.8,
		"median latency of streams-eos / engine": 12,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("ratios are %v", got)
	}
}

func TestSlowerByAFifthIsSaid(t *testing.T) {
	before := map[string]float64{"a": 2, "b": 1, "gone": 3}
	if got := slower(before, map[string]float64{"a": 1.61, "b": 0.81, "new": 0.1}); len(got) != 0 {
		t.Errorf("said without need: %v", got)
	}
	if got := slower(before, map[string]float64{"a": 1.59, "b": 2}); len(got) != 1 || !strings.HasPrefix(got[0], "a was 2.00") {
		t.Errorf("said %v", got)
	}
}

func TestReportRecordsAndRefusesWorse(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"bench", "docs"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	silent := func(string, ...any) {}
	o := options{root: root, record: true}
	if err := report(o, sample(), silent); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "performance.md"))
	if err != nil || !strings.Contains(string(page), "| stock goka (sarama), at least once | 80000 | 2.00× |") {
		t.Errorf("page: %v\n%s", err, page)
	}
	worse := sample()
	worse.Throughput[subjectEngine] = rate{90_000, 7}
	worse.Ratios = ratios(worse)
	if err := report(o, worse, silent); err == nil {
		t.Error("what is slower was recorded")
	}
}

func TestPlotIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(plot(sample())))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var ms []float64
	for i := 100; i > 0; i-- {
		ms = append(ms, float64(i))
	}
	if got := percentilesOf(ms); got != (percentiles{50, 90, 99, 100}) {
		t.Errorf("percentiles are %+v", got)
	}
	if got := percentilesOf(nil); got.Count != 0 {
		t.Errorf("percentiles of nothing are %+v", got)
	}
}

func TestCounterAndHash(t *testing.T) {
	if got := next(next(nil)); got[7] != 2 {
		t.Errorf("counter is %v", got)
	}
	h := &murmur2{}
	if _, err := h.Write([]byte("21")); err != nil || h.Sum32()>>31 != 0 {
		t.Errorf("hash %x has a sign", h.Sum32())
	}
}
