package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/bench/measure"
)

// results is one run.
type results struct {
	Recorded string `json:"recorded"`
	Machine  string `json:"machine"`
	// Cores is how many the machine has.
	Cores int `json:"cores"`
	// SyncMicros is the median time that the disk takes for 4 KiB with fsync.
	SyncMicros float64   `json:"syncMicros"`
	Versions   []version `json:"versions"`
	Callers    int       `json:"callers"`
	// WarmSeconds is how long all callers ran before anything was measured.
	WarmSeconds float64    `json:"warmSeconds"`
	Subjects    []measured `json:"subjects"`
}

// rewrite makes the page anew from what is recorded.
func rewrite(o options) error {
	var r results
	if err := measure.Recorded(o.root, "durable", &r); err != nil {
		return err
	}
	return report(o, r)
}

// report prints the page, and records it.
func report(o options, r results) error {
	text := page(r)
	fmt.Print("\n", text)
	if !o.record {
		return nil
	}
	return measure.Record(o.root, "durable", r, text, plot(r))
}

// row is a subject with what was measured.
type row struct {
	subject
	measured
}

// ours tells whether a subject is fairlead.
func (x row) ours() bool { return strings.HasPrefix(x.subject.name, "fairlead") }

// rows are the measured subjects of a group.
func rows(r results, g group) []row {
	var out []row
	for _, s := range subjects() {
		if s.group != g {
			continue
		}
		if i := slices.IndexFunc(r.Subjects, func(m measured) bool { return m.Name == s.name }); i >= 0 {
			out = append(out, row{s, r.Subjects[i]})
		}
	}
	return out
}

// ratio is a value as a multiple of another one.
func ratio(value, of float64) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f×", value/of)
}

// busy is from which share of the cores on they are what limits.
const busy = 0.85

// limit says in words what limits the rate of a subject on so many cores.
func (m measured) limit(cores int) string {
	if (m.Cores+m.Callers+m.Others)/float64(cores) >= busy {
		return "the processors"
	}
	return "waiting"
}

// shares says which parts had the processor time, the largest first.
func (m measured) shares() string {
	names := slices.SortedFunc(maps.Keys(m.Parts), func(a, b string) int {
		return cmp.Or(cmp.Compare(m.Parts[b], m.Parts[a]), cmp.Compare(a, b))
	})
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf("%s %.2f", n, m.Parts[n]))
	}
	return strings.Join(out, ", ")
}

// verdict says how fairlead does beside another one, in a sentence for each way to look at it.
func verdict(first, other row) string {
	compare := func(ours, theirs float64, better, worse string) string {
		if theirs == 0 || ours == 0 {
			return "not measured"
		}
		if r := ours / theirs; r < 1 {
			return fmt.Sprintf("%.1f times %s", 1/r, better)
		}
		return fmt.Sprintf("%.1f times %s", ours/theirs, worse)
	}
	return fmt.Sprintf("one at a time it is %s than %s; it gets %s workflows through, and each takes it %s processor time",
		compare(first.Single.P50, other.Single.P50, "faster", "slower"), other.title,
		compare(other.PerSecond, first.PerSecond, "more", "fewer"), compare(first.cpu(), other.cpu(), "less", "more"))
}

// standing lists how fairlead does beside the others of each group.
func standing(b *strings.Builder, r results) {
	for _, g := range groups {
		all := rows(r, g.group)
		if len(all) == 0 || !all[0].ours() {
			continue
		}
		for _, x := range all[1:] {
			if !x.ours() {
				fmt.Fprintf(b, "- %s, %s: %s.\n", strings.ToLower(g.title), all[0].title, verdict(all[0], x))
			}
		}
	}
}

// page is docs/performance-durable.md.
func page(r results) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by make bench-durable. Do not edit. -->
# Three durable steps: fairlead, Restate, Temporal

Recorded %s on %s. All systems ran one after the other on this machine, in one run.

![Latency and throughput](performance-durable.svg)

The work: a caller starts a workflow of three steps and waits for its result. A step computes a number; that it is done, with
what came out, is durable before the next step begins. **The figures by themselves mean little**: they are those of one
small machine that servers, worker and callers share. Compare what stands in one table.

Each system runs in processes of its own, with a worker in Go, and is called over the network by its own client: fairlead by
REST over TLS (one request to start, one that waits for the end), Restate through its ingress with an idempotency key, Temporal
through its client. Each starts with empty data on the same disk, where writing 4 KiB and syncing them takes %.0f µs (median).
What is not named below is left at its default.

## How fairlead does

`, r.Recorded, r.Machine, r.SyncMicros)
	standing(&b, r)
	for _, g := range groups {
		table(&b, r, g.group, g.title, g.promise)
	}
	limits(&b, r)
	reading(&b, r)
	b.WriteString("\n## Versions\n\n| | |\n|---|---|\n| fairlead | the one that this page comes with |\n")
	for _, v := range r.Versions {
		fmt.Fprintf(&b, "| %s | %s |\n", v.Name, v.Version)
	}
	b.WriteString(`
## Repeat it

` + "`make bench-durable`" + ` needs Linux, Go, npm, a PostgreSQL with pg_basebackup, and Java 17 and Maven for Kafka. It fetches Restate's server
from npm and builds Temporal's from its Go module, once, into fairlead/bench-durable of the user's cache directory; hashes are
checked. Then it takes about ten minutes, of which most systems use one. ` + "`go run -C bench/durable . -only restate,temporal`" + `
measures some and records nothing.
`)
	return b.String()
}

// table is a group.
func table(b *strings.Builder, r results, g group, title, promise string) {
	all := rows(r, g)
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", title, promise)
	first := all[0]
	fmt.Fprintf(b, "| system | one at a time: median, ms | 90 %% | 99 %% | to the first | %d callers: workflows/s | to the first | median, ms | 99 %% | processor time for each, ms | to the first |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", r.Callers)
	for _, x := range all {
		fmt.Fprintf(b, "| %s | %.1f | %.1f | %.1f | %s | %.0f | %s | %.0f | %.0f | %.2f | %s |\n", x.title, x.Single.P50, x.Single.P90, x.Single.P99, ratio(x.Single.P50, first.Single.P50),
			x.PerSecond, ratio(x.PerSecond, first.PerSecond), x.Many.P50, x.Many.P99, x.cpu(), ratio(x.cpu(), first.cpu()))
	}
	b.WriteString("\nWhat is durable, and how:\n\n")
	for _, x := range all {
		fmt.Fprintf(b, "- %s: %s.\n", x.title, x.durable)
	}
}

// limits says what each has the processors do.
func limits(b *strings.Builder, r results) {
	fmt.Fprintf(b, "\n## What limits each\n\nWith %d callers, of %d cores. What the callers use is not in the processor time for each workflow, but they are the same cores; "+
		"so are those of all else that this machine does, which is as little as it can be.\n\n"+
		"| system | cores busy with it | with the callers | with all else | what limits | processor time for each workflow by part, ms |\n|---|---:|---:|---:|---|---|\n", r.Callers, r.Cores)
	for _, g := range groups {
		for _, x := range rows(r, g.group) {
			fmt.Fprintf(b, "| %s | %.2f | %.2f | %.2f | %s | %s |\n", x.title, x.Cores, x.Callers, x.Others, x.limit(r.Cores), x.shares())
		}
	}
}

// reading tells what the figures are, and what may be doubted.
func reading(b *strings.Builder, r results) {
	calls, seconds := 0, 0.0
	for _, m := range r.Subjects {
		calls, seconds = m.Single.Count, max(seconds, m.Seconds)
	}
	fmt.Fprintf(b, `
## How to read it

- Before anything is measured, %d callers run for %.0f seconds, so that compilers that watch what runs often have seen it.
- One at a time: %d calls, from the call to its result, after %d that are not counted.
- %d callers call again as soon as they have a result: workflows that ended within %.0f seconds, after %.0f seconds that are not
  counted.
- Processor time: of all servers and the worker in that time, from the operating system.
- fairlead's workers for flows, their mapper and REST are one process, in which flows run in a WebAssembly sandbox; its embedded
  broker, which is meant for development and cannot sync, is in it too. Kafka is a Java virtual machine of its own.
- Temporal keeps its data in PostgreSQL, one of the databases that it is made for in production, and all its services are one
  process. It has %d history shards, as is advised for a small installation, and its worker has %d pollers of each kind
  instead of two. Its development server on SQLite is not compared: it has one shard, which hands on at most 20 tasks a second
  to a worker that waits, so that a workflow of three activities took 200 ms whatever else was done.
- Temporal's local activities are its short cut: they run within one workflow task, and a crash runs all three again.

## What may be doubted

- A checkpoint of fairlead keeps that the step is done, not its number: a flow computes the same again when it is replayed. Restate
  and Temporal keep the number itself, a few bytes. Steps that call something outside are not compared.
- Each was tuned by people who know fairlead best. Settings that others would choose may help Restate or Temporal, or Kafka.
- fairlead runs on the three partitions that `+"`fairlead dev`"+` makes, not on the 12 of production, and with one process for three
  worker types. Restate has its 24 partitions. More partitions make smaller transactions of fairlead's.
- Two cores are few: three nodes of a system that is limited by the processors show what they cost, not how it scales.
- All nodes are on one machine: there is no network between them, which each of them would have to wait for.
- A few seconds are short: none of the systems has gathered much to compact, to clean or to vacuum.
- The disk belongs to a virtual machine; how honest its fsync is, is not known.
`, r.Callers, r.WarmSeconds, calls, settle, r.Callers, seconds, ramp.Seconds(), historyShards, pollers)
}

// plot draws for each group two bar charts: median latency and rate.
func plot(r results) string {
	var charts []measure.Chart
	for _, g := range groups {
		times := measure.Chart{Heading: g.title + ": one at a time, median in ms (less is better)"}
		rates := measure.Chart{Heading: fmt.Sprintf("%s: workflows per second, %d callers (more is better)", g.title, r.Callers)}
		for _, x := range rows(r, g.group) {
			times.Bars = append(times.Bars, measure.Bar{Title: x.title, Value: x.Single.P50, Label: fmt.Sprintf("%.1f (99 %%: %.1f)", x.Single.P50, x.Single.P99), Other: !x.ours()})
			rates.Bars = append(rates.Bars, measure.Bar{Title: x.title, Value: x.PerSecond, Label: fmt.Sprintf("%.0f (%.1f ms of processor each)", x.PerSecond, x.cpu()), Other: !x.ours()})
		}
		charts = append(charts, times, rates)
	}
	return measure.SVG(charts...)
}
