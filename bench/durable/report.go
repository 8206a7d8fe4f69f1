package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/bench/measure"
)

// results is one run.
type results struct {
	Recorded string `json:"recorded"`
	Machine  string `json:"machine"`
	// SyncMicros is the median time that the disk takes for 4 KiB with fsync.
	SyncMicros float64    `json:"syncMicros"`
	Versions   []version  `json:"versions"`
	Callers    int        `json:"callers"`
	Subjects   []measured `json:"subjects"`
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

Each system runs on one node, in processes of its own, with a worker in Go, and is called over the network by its own
client: fairlead by REST over TLS (one request to start, one that waits for the end), Restate through its ingress with an
idempotency key, Temporal through its client. Each starts with empty data on the same disk, where writing 4 KiB and syncing
them takes %.0f µs (median). What is not named below is left at its default.
`, r.Recorded, r.Machine, r.SyncMicros)
	for _, g := range groups {
		all := rows(r, g.group)
		if len(all) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", g.title, g.promise)
		first := all[0]
		fmt.Fprintf(&b, "| system | median, ms | 90 %% | 99 %% | median, to the first | workflows/s, %d callers | to the first | processor time for each, ms | to the first |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n", r.Callers)
		for _, x := range all {
			fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f | %s | %.0f | %s | %.2f | %s |\n", x.title, x.P50, x.P90, x.P99, ratio(x.P50, first.P50),
				x.PerSecond, ratio(x.PerSecond, first.PerSecond), x.CPUMillis, ratio(x.CPUMillis, first.CPUMillis))
		}
		b.WriteString("\nWhat is durable, and how:\n\n")
		for _, x := range all {
			fmt.Fprintf(&b, "- %s: %s.\n", x.title, x.durable)
		}
	}
	calls, seconds := 0, 0.0
	for _, m := range r.Subjects {
		calls, seconds = m.Calls, max(seconds, m.Seconds)
	}
	fmt.Fprintf(&b, `
## How to read it

- Latency: %d calls, one at a time, from the call to its result, after %d that are not counted.
- Rate: %d callers that each call again as soon as they have a result; workflows that ended within %.0f seconds, after
  %.0f seconds that are not counted.
- Processor time: of all servers and the worker in that time, from the operating system; the callers' own is not in it.
- fairlead and its embedded broker are one process, which is the worker too, in a WebAssembly sandbox. The embedded broker is meant
  for development, and cannot sync: that is why it is in one table only. Kafka has a process of its own, a Java virtual machine.
- Durability on one node is not how fairlead is run: there Kafka has three, and a result is on two of them or more before the next
  step. Restate and Temporal have such installations too. None is measured here.
- A checkpoint of fairlead keeps that the step is done, not its number: a flow computes the same again when it is replayed. Restate
  and Temporal keep the number itself, a few bytes. Steps that call something outside are not compared.
- Temporal's local activities are its short cut: they run within one workflow task, and a crash runs all three again.
- Temporal's development server is made for development, on SQLite, of which it uses one connection; with its other databases it
  scales further. It runs with a write-ahead log, which suits it better than SQLite's default, and its worker has %d pollers of
  each kind instead of two.

## Versions

| | |
|---|---|
| fairlead | the one that this page comes with |
`, calls, warmCalls, r.Callers, seconds, ramp.Seconds(), pollers)
	for _, v := range r.Versions {
		fmt.Fprintf(&b, "| %s | %s |\n", v.Name, v.Version)
	}
	b.WriteString(`
## Repeat it

` + "`make bench-durable`" + ` needs Linux, Go, npm, and Java 17 and Maven for Kafka. It fetches Restate's server from npm and builds Temporal's
from its Go modules, once, into fairlead/bench-durable of the user's cache directory; hashes are checked. Then it takes about five
minutes. ` + "`go run -C bench/durable . -only restate,temporal`" + ` measures some and records nothing.
`)
	return b.String()
}
