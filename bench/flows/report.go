package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/integration/channels"
)

// results is one run.
type results struct {
	Recorded string   `json:"recorded"`
	Machine  string   `json:"machine"`
	Flows    []load   `json:"flows"`
	Resumes  []resume `json:"resumes"`
	Idle     idle     `json:"idle"`
}

// channelsFile is what runs of suite integration/channels have measured, beside the results.
const channelsFile = "channels.json"

// rewrite makes the page anew from what is recorded.
func rewrite(o options) error {
	var r results
	if err := measure.Recorded(o.root, "flows", &r); err != nil {
		return err
	}
	return report(o, r)
}

// report prints the page, and records it.
func report(o options, r results) error {
	runs, err := channels.ReadMeasured(filepath.Join(o.root, "bench", "flows", channelsFile))
	if err != nil {
		return err
	}
	text := page(r, runs)
	fmt.Print("\n", text)
	if !o.record {
		return nil
	}
	return measure.Record(o.root, "flows", r, text, "")
}

// page is docs/performance-flows.md.
func page(r results, runs []channels.Measured) string {
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
	b.WriteString(channelsTable(runs))
	b.WriteString("\n## Repeat it\n\n`go run ./bench/flows` needs Linux, and Java 17 and Maven for the broker.\n")
	if len(runs) > 0 {
		b.WriteString("For the channels: `FAIRLEAD_REAL_SERVERS=1 FAIRLEAD_ORDERS=100000 FAIRLEAD_RECORD=$PWD/bench/flows/" + channelsFile +
			" go test -count=1 -v -timeout 3h ./integration/channels`,\nthen `go run ./bench/flows -page`. `FAIRLEAD_FAULTS=0` does no harm.\n")
	}
	return b.String()
}

// channelsTable is the part about external channels; empty when no run is recorded.
func channelsTable(runs []channels.Measured) string {
	if len(runs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(`
## Records of external channels

Suite ` + "`integration/channels`" + `: Kafka's console producer writes orders to a channel, each starts a flow that tells another channel,
one in ten keeps a row whose change is told too, and console consumers read both. Three brokers, Postgres, three worker
processes and the clients share the machine; where there are faults, workers are killed, frozen for longer than their
session lasts and robbed of their disks meanwhile. Where there are no problems each record made one flow that ended as it
should, and each emit and change was seen once; runs that failed are listed too. The time counts from the first order's writing to the last flow's end and the last record that a consumer saw.

| recorded | machine | load before and after (1, 5, 15 min) | faults | orders | written in | all done in | orders/s | deals seen | changes seen | dead letters | longest time without an end | problems |
|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|
`)
	for _, m := range runs {
		fmt.Fprintf(&b, "| %s | %s | %s; %s | %s | %d | %.0f s | %.0f s | %.0f | %d | %d | %d | %.1f s | %s |\n", m.Recorded, m.Machine, m.LoadBefore, m.LoadAfter,
			faults(m.Faults), m.Orders, m.WriteSeconds, m.Seconds, m.PerSecond(), m.Deals, m.Changes, m.Dead, m.LongestPause, strings.TrimSpace(fmt.Sprintf("%d %s", m.Problems, m.Note)))
	}
	return b.String()
}

func faults(all map[string]int) string {
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		out = append(out, fmt.Sprintf("%s %d", kind, all[kind]))
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
