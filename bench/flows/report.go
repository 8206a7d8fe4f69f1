package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// results is one run.
type results struct {
	Recorded string   `json:"recorded"`
	Machine  string   `json:"machine"`
	Flows    []load   `json:"flows"`
	Resumes  []resume `json:"resumes"`
	Idle     idle     `json:"idle"`
}

// report prints the page, and records it.
func report(o options, r results) error {
	text := page(r)
	fmt.Print("\n", text)
	if !o.record {
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	for name, content := range map[string]string{
		filepath.Join(o.root, "bench", "flows", "results.json"): string(raw) + "\n",
		filepath.Join(o.root, "docs", "performance-flows.md"):   text,
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return fmt.Errorf("record results: %w", err)
		}
	}
	return nil
}

// page is docs/performance-flows.md.
func page(r results) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by go run ./bench/flows. Do not edit. -->
# What flows cost

Recorded %s on %s. Rates come from the clock on the wall and are lower the busier the machine is; processor time does
not depend on that. Read it with the ratios within one table, not with figures of other machines.

## Flows and suspensions on one core

One process with the flow mapper and the flow worker, GOMAXPROCS=1; three partitions, one replica. Starts are written to
the mapper's topic all at once, as REST would; the rate counts from the first start's writing until the last flow is
visible as ended to a read-committed reader. Processor time is that process's own: the broker's is not in it.

| broker | flow | flows | flows/s | suspensions/s | processor time per flow | per suspension | flows/s if one core were its own |
|---|---|---:|---:|---:|---:|---:|---:|
`, r.Recorded, r.Machine)
	for _, l := range r.Flows {
		suspensions, each := "–", "–"
		if l.Suspensions > 0 {
			suspensions, each = fmt.Sprintf("%.0f", l.suspensionsPerSecond()), fmt.Sprintf("%.0f µs", l.suspensionMicros())
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %.1f | %s | %.0f µs | %s | %.0f |\n", l.Broker, l.What, l.Flows, l.PerSecond, suspensions, l.CPUMicros, each, 1e6/l.CPUMicros)
	}
	b.WriteString(`
## Going on with a flow

A flow that has made so many steps gets one more answer: by the instance that waits in memory, or by a fresh instance
that is fed the journal first. Sandbox and journal alone, without broker; the least of seven runs.

| steps so far | live instance | by replay | replay / live |
|---:|---:|---:|---:|
`)
	for _, c := range r.Resumes {
		fmt.Fprintf(&b, "| %d | %.0f µs | %.0f µs | %.0f× |\n", c.Steps, c.LiveMicros, c.ReplayMicros, c.ReplayMicros/c.LiveMicros)
	}
	if r.Idle.Seconds > 0 {
		fmt.Fprintf(&b, `
## An idle cluster

`+"`fairlead dev`"+` after %d flows, left alone, over %.0f s: embedded broker and all workers in one process.

| resident memory | at most, since its start | processor, of one core |
|---:|---:|---:|
| %.0f MiB | %.0f MiB | %.2f %% |
`, warmFlows, r.Idle.Seconds, r.Idle.RSSMiB, r.Idle.PeakMiB, r.Idle.CPUPercent)
	}
	b.WriteString("\n## Repeat it\n\n`go run ./bench/flows` needs Linux, and Java 17 and Maven for the broker.\n")
	return b.String()
}
