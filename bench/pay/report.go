package main

import (
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
	Cores   int    `json:"cores"`
	Members int    `json:"members"`
	Sites   []site `json:"sites"`
}

// site is a cluster in numbers.
type site struct {
	Kind string `json:"kind"`
	// Single is how long a payment took when there was no other.
	Single measure.Percentiles `json:"oneAtATimeMs"`
	Hops   hops                `json:"hops"`
	Many   []many              `json:"many"`
}

// many is payments at once in numbers.
type many struct {
	AtOnce    int                 `json:"atOnce"`
	Seconds   float64             `json:"seconds"`
	PerSecond float64             `json:"paymentsPerSecond"`
	Millis    measure.Percentiles `json:"latencyMs"`
	// Failed payments are not among those that count; Why is what the first said.
	Failed int    `json:"failed"`
	Why    string `json:"why,omitempty"`
	// Cores is how many cores were busy with it.
	Cores float64 `json:"cores"`
	// Parts is processor time for each payment by part, milliseconds.
	Parts map[string]float64 `json:"cpuMsPerPayment"`
}

// parts are those of a load, the largest first.
func (l many) parts() []string {
	return slices.SortedFunc(maps.Keys(l.Parts), func(a, b string) int {
		switch x, y := l.Parts[a], l.Parts[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return strings.Compare(a, b)
	})
}

func (l many) whole() (sum float64) {
	for _, v := range l.Parts {
		sum += v
	}
	return sum
}

// busy is from which share of the cores on they are what limits.
const busy = 0.85

// limit says in words what limits a load on so many cores.
func (l many) limit(cores int) string {
	share := l.Cores / float64(cores)
	var largest []string
	for _, p := range l.parts()[:min(3, len(l.Parts))] {
		largest = append(largest, fmt.Sprintf("%s %.0f %%", p, 100*l.Parts[p]/l.whole()))
	}
	if share >= busy {
		return fmt.Sprintf("the processors limit it (%.1f of %d cores busy); most have %s", l.Cores, cores, strings.Join(largest, ", "))
	}
	return fmt.Sprintf("waiting limits it, not the processors (%.1f of %d cores busy); most have %s", l.Cores, cores, strings.Join(largest, ", "))
}

// best is the load with most payments a second.
func (s site) best() (b many) {
	for _, l := range s.Many {
		if l.PerSecond > b.PerSecond {
			b = l
		}
	}
	return b
}

// rewrite makes the page anew from what is recorded.
func rewrite(o options) error {
	var r results
	if err := measure.Recorded(o.root, "pay", &r); err != nil {
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
	return measure.Record(o.root, "pay", r, text, plot(r))
}

// What is wanted.
const (
	wantedKafka     = 200 // ms until a payment is final, at the median, on a real Kafka …
	wantedHop       = 5   // … while a hop costs at most so many ms
	wantedDev       = 100 // ms in fairlead dev
	wantedPerSecond = 300 // payments
)

// inDev tells whether a site is fairlead dev.
func (s site) inDev() bool { return strings.HasPrefix(s.Kind, "fairlead dev") }

func verdict(ok bool) string {
	if ok {
		return "yes"
	}
	return "no"
}

// wantedRows compares a site with what is wanted.
func (s site) wantedRows(b *strings.Builder) {
	if s.inDev() {
		fmt.Fprintf(b, "| in `fairlead dev` a payment is final within %d ms at the median | %.0f ms; a hop %.1f ms | %s |\n", wantedDev, s.Single.P50, s.Hops.Each, verdict(s.Single.P50 < wantedDev))
		return
	}
	there := verdict(s.Single.P50 < wantedKafka)
	if s.Hops.Each > wantedHop && s.Single.P50 >= wantedKafka {
		there = "does not apply: a hop costs more"
	}
	fmt.Fprintf(b, "| on Kafka a payment is final within %d ms at the median, while a hop costs at most %d ms | %.0f ms; a hop %.1f ms | %s |\n", wantedKafka, wantedHop, s.Single.P50, s.Hops.Each, there)
	best := s.best()
	fmt.Fprintf(b, "| on Kafka at least %d payments per second | %.0f, with %d at once | %s |\n", wantedPerSecond, best.PerSecond, best.AtOnce, verdict(best.PerSecond >= wantedPerSecond))
}

// page is docs/performance-pay.md.
func page(r results) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by go run ./bench/pay. Do not edit. -->
# What payments cost

Recorded %s on %s. Brokers, workers, Postgres, Vault and the client share the machine. Rates come from the clock on the wall
and are lower the busier the machine is; processor time does not depend on that.

![Payments per second, and time until a payment is final](performance-pay.svg)

A payment is flow `+"`tokens-pay`"+` of one member to another: tokens are claimed, the transaction built, signed in Vault, verified,
sent to the payee, notarised, and stored in Postgres on both sides. Its time counts from the writing of its start, as the REST worker
writes it, until its flow is visible as completed to a read-committed reader. %d members pay each other in pairs.

| what is wanted | measured | there |
|---|---|---|
`, r.Recorded, r.Machine, r.Members)
	for _, s := range r.Sites {
		s.wantedRows(&b)
	}
	b.WriteString(`
## One payment at a time

In milliseconds, after some hundred payments at once: for a commit a broker that has just started takes twice as long. A hop is a
topic crossing, one commit of the engine; hops in a row are the longest chain of a payment's trace, which may end after the payer's flow has, and its time is split into that within steps and that between them: commit, transport,
waiting for a turn.

| cluster | payments | median | 90th percentile | 99th percentile | longest | hops | in a row | their time | in steps | between | each hop |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
`)
	for _, s := range r.Sites {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.0f | %.0f | %.0f | %d | %d | %.0f | %.0f | %.0f | %.1f |\n", s.Kind, s.Single.Count, s.Single.P50, s.Single.P90, s.Single.P99, s.Single.Max,
			s.Hops.All, s.Hops.InARow, s.Hops.Total, s.Hops.Work, s.Hops.Wait, s.Hops.Each)
	}
	b.WriteString(`
## Many at once

As many payments are under way all the time; when one ends, the next begins.

| cluster | at once | payments/s | median | 99th percentile | failed | cores busy | processor time per payment |
|---|---:|---:|---:|---:|---:|---:|---:|
`)
	for _, s := range r.Sites {
		for _, l := range s.Many {
			fmt.Fprintf(&b, "| %s | %d | %.1f | %.0f ms | %.0f ms | %d | %.1f | %.1f ms |\n", s.Kind, l.AtOnce, l.PerSecond, l.Millis.P50, l.Millis.P99, l.Failed, l.Cores, l.whole())
		}
	}
	for _, s := range r.Sites {
		best := s.best()
		fmt.Fprintf(&b, "\n## Who uses the processors: %s\n\nWith %d at once: %s.\n\n| part | processor time per payment | share |\n|---|---:|---:|\n", s.Kind, best.AtOnce, best.limit(r.Cores))
		for _, p := range best.parts() {
			fmt.Fprintf(&b, "| %s | %.2f ms | %.0f %% |\n", p, best.Parts[p], 100*best.Parts[p]/best.whole())
		}
	}
	b.WriteString("\n## Repeat it\n\n`go run ./bench/pay` needs Linux, Java 17 and Maven for the broker, a PostgreSQL, and a Vault or OpenBao.\n" +
		"`-members 4 -single 5 -lasts 2s -record=false` is a quick look.\n")
	return b.String()
}

// plot draws rates and times.
func plot(r results) string {
	rates, times := measure.Chart{Heading: "Payments per second (more is better)"}, measure.Chart{Heading: "Time until a payment is final, median in ms (less is better)"}
	for _, s := range r.Sites {
		name := "Kafka"
		if s.inDev() {
			name = "fairlead dev"
		}
		times.Bars = append(times.Bars, measure.Bar{Title: name + ", one at a time", Value: s.Single.P50, Label: fmt.Sprintf("%.0f (99 %%: %.0f)", s.Single.P50, s.Single.P99), Other: s.inDev()})
		for _, l := range s.Many {
			title := fmt.Sprintf("%s, %d at once", name, l.AtOnce)
			rates.Bars = append(rates.Bars, measure.Bar{Title: title, Value: l.PerSecond, Label: fmt.Sprintf("%.1f", l.PerSecond), Other: s.inDev()})
			times.Bars = append(times.Bars, measure.Bar{Title: title, Value: l.Millis.P50, Label: fmt.Sprintf("%.0f (99 %%: %.0f)", l.Millis.P50, l.Millis.P99), Other: s.inDev()})
		}
	}
	return measure.SVG(rates, times)
}
