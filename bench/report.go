package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// rate is what a throughput run found.
type rate struct {
	PerSecond float64 `json:"recordsPerSecond"`
	// CPUMicros is the program's own processor time for each record, start included.
	CPUMicros float64 `json:"cpuMicrosPerRecord"`
}

// percentiles are milliseconds from producing to having read, read-committed.
type percentiles struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Count int     `json:"count"`
}

// results is one run.
type results struct {
	Recorded   string                 `json:"recorded"`
	Machine    string                 `json:"machine"`
	Records    int                    `json:"records"`
	Throughput map[string]rate        `json:"throughput"`
	Latency    map[string]percentiles `json:"latencyMs"`
	// Ratios are what is compared between runs: above 1 the engine is better.
	Ratios map[string]float64 `json:"ratios"`
}

func machine() string {
	return fmt.Sprintf("%d cores, %s/%s, shared with the broker", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}

// ratios compares the engine with the others of the same run.
func ratios(r results) map[string]float64 {
	out := map[string]float64{}
	e, ok := r.Throughput[subjectEngine]
	for name, other := range r.Throughput {
		if ok && name != subjectEngine && other.PerSecond > 0 {
			out["throughput of engine / "+name] = e.PerSecond / other.PerSecond
		}
	}
	l, ok := r.Latency[subjectEngine]
	for name, other := range r.Latency {
		if ok && name != subjectEngine && l.P50 > 0 {
			out["median latency of "+name+" / engine"] = other.P50 / l.P50
		}
	}
	return out
}

// slower says which ratios are less than four fifths of the recorded ones.
func slower(before, now map[string]float64) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if n, ok := now[name]; ok && n < 0.8*before[name] {
			out = append(out, fmt.Sprintf("%s was %.2f and is %.2f", name, before[name], n))
		}
	}
	return out
}

// report prints ratios, compares them with the recorded ones, and records them.
func report(o options, now results, say func(string, ...any)) error {
	path := filepath.Join(o.root, "bench", "results.json")
	before := results{}
	old, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(old, &before)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the recorded results: %w", err)
	}
	say("")
	for _, name := range slices.Sorted(maps.Keys(now.Ratios)) {
		was := ""
		if b, ok := before.Ratios[name]; ok {
			was = fmt.Sprintf(" (recorded %.2f)", b)
		}
		say("%-48s %6.2f%s", name, now.Ratios[name], was)
	}
	worse := slower(before.Ratios, now.Ratios)
	for _, w := range worse {
		say("SLOWER by a fifth or more: %s", w)
	}
	if !o.record {
		return nil
	}
	if len(worse) > 0 {
		return errors.New("not recorded; remove bench/results.json to accept what is slower")
	}
	raw, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	for name, content := range map[string]string{
		path: string(raw) + "\n",
		filepath.Join(o.root, "docs", "performance.md"):  page(now),
		filepath.Join(o.root, "docs", "performance.svg"): plot(now),
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return fmt.Errorf("record results: %w", err)
		}
	}
	return nil
}

// page is docs/performance.md.
func page(r results) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by make bench. Do not edit. -->
# Performance

Recorded %s on %s; Apache Kafka 4.1.1, one node; %s.

![Throughput and latency](performance.svg)

The work: for each record of 100 bytes, under one of 50,000 keys in four partitions, add one to a counter in a table that
is written through to a compacted topic, and pass the record on. All programs run one after the other, on the same broker,
at normal priority. Read ratios, not rates: another machine gives other rates.

## Throughput

%d records lie ready; the rate is that of the last nine tenths of the output becoming visible to a read-committed
reader. Processor time is the program's own, without the broker's, with its start.

| program | records/s | engine is faster by | processor time for each record |
|---|---:|---:|---:|
`, r.Recorded, r.Machine, "programs with two threads or two sessions", r.Records)
	for _, s := range subjects() {
		if t, ok := r.Throughput[s.name]; ok {
			fmt.Fprintf(&b, "| %s | %.0f | %.2f× | %.1f µs |\n", s.title, t.PerSecond, r.Throughput[subjectEngine].PerSecond/t.PerSecond, t.CPUMicros)
		}
	}
	b.WriteString(`
## Latency

A hundred records a second, from just before producing to having read the output, read-committed, in milliseconds.

| program | median | 90th percentile | 99th percentile |
|---|---:|---:|---:|
`)
	for _, s := range subjects() {
		if l, ok := r.Latency[s.name]; ok {
			fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f |\n", s.title, l.P50, l.P90, l.P99)
		}
	}
	b.WriteString(`
## Repeat it

` + "`make bench`" + ` needs Java 17 and Maven for the broker and for Kafka Streams. It compares its ratios with the recorded
ones (bench/results.json) and fails when one has fallen by a fifth. Stock goka runs with its defaults (LevelDB, flush
every 100 ms); Kafka Streams with two threads, RocksDB without cache, snappy, linger 5 ms; the bare loop keeps its table
in the same storage as the engine.
`)
	return b.String()
}
