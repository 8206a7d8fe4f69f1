package main

import (
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// results is one run.
type results struct {
	Recorded string    `json:"recorded"`
	Machine  string    `json:"machine"`
	Loads    []load    `json:"loads"`
	SQL      []sqlLoad `json:"sql"`
	// Failed are loads that could not be measured, or not all of them.
	Failed []failed `json:"failed,omitempty"`
}

// failed is a load that came to no end.
type failed struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// note adds one.
func (r *results) note(what string, err error) {
	fmt.Printf("FAILED: %s: %v\n", what, err)
	r.Failed = append(r.Failed, failed{what, err.Error()})
}

// rewrite makes the page anew from what is recorded.
func rewrite(o options) error {
	var r results
	if err := measure.Recorded(o.root, "notary", &r); err != nil {
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
	return measure.Record(o.root, "notary", r, text, plot(r))
}

// find returns the load of a kind.
func (r results) find(notaries, inputs, slow, most int) (load, bool) {
	for _, l := range r.Loads {
		if l.Notaries == notaries && l.Inputs == inputs && l.SlowMillis == slow && l.Most == most {
			return l, true
		}
	}
	return load{}, false
}

// sql returns the two loads in Postgres with so many inputs that wait for the disk: together, and one by one.
func (r results) sql(inputs int) (together, single sqlLoad) {
	for _, l := range r.SQL {
		switch {
		case l.Inputs != inputs || l.Lazy:
		case l.Clients == 1:
			together = l
		default:
			single = l
		}
	}
	return together, single
}

// What is wanted of one notary with transactions of two inputs.
const (
	wanted          = 40_000 // transactions a second
	wantedP99       = 250    // ms
	wantedMoreCPU   = 1.1    // two notaries to one, at one total load
	wantedSlowRatio = 1.8    // two notaries to one, with slow commits
	slowMillis      = 20
	// fewInACommit is little enough for commits to take most of the time, and not the processors.
	fewInACommit = 20
)

// verdict says whether what is wanted is there.
func verdict(ok bool) string {
	if ok {
		return "yes"
	}
	return "no"
}

func times(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f×", a/b)
}

// page is docs/performance-notary.md.
func page(r results) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by go run ./bench/notary. Do not edit. -->
# What a notary's decisions cost

Recorded %s on %s. The worker, one node of Apache Kafka %s and the client share the machine. Rates come from the clock on the
wall and are lower the busier the machine is; processor time does not depend on that. Read ratios within a table, not figures
of other machines.

![Transactions per second and waiting times](performance-notary.svg)

Each transaction consumes one output of each of as many others as it has inputs and makes as many; those were made at least
%d transactions before, so what is known of them is read from the worker's local storage. Every answer is looked at. The
worker is a process of its own with one session for each notary.

`, r.Recorded, r.Machine, kafkatest.Version, depth)
	r.wantedTable(&b)
	for _, f := range r.Failed {
		fmt.Fprintf(&b, "\nNot measured: %s (%s).\n", f.What, strings.ReplaceAll(strings.SplitN(f.Why, "\n", 2)[0], "|", "/"))
	}
	b.WriteString(`
## Throughput

Requests lie ready; the rate is that of the last nine tenths of the answers becoming visible to a read-committed reader.

| notaries, each on a partition | inputs | commits | transactions | transactions/s | states/s | processor time of the worker per transaction | of the broker | of the client |
|---:|---:|---|---:|---:|---:|---:|---:|---:|
`)
	for _, l := range r.Loads {
		commits := "as they are"
		if l.SlowMillis > 0 {
			commits = fmt.Sprintf("%d ms slower", l.SlowMillis)
		}
		if l.Most > 0 {
			commits += fmt.Sprintf(", of at most %d", l.Most)
		}
		fmt.Fprintf(&b, "| %d | %d | %s | %d | %.0f | %.0f | %.1f µs | %.1f µs | %.1f µs |\n",
			l.Notaries, l.Inputs, commits, l.Transactions, l.PerSecond, l.PerSecond*float64(l.Inputs), l.Worker, l.Broker, l.Client)
	}
	b.WriteString(`
## Waiting for an answer

Requests come at a fixed rate; the time counts from when a request was due until its answer was read, read-committed, in
milliseconds. The rate is half of the throughput above, and for two inputs also the least that is wanted. Two notaries have the
rate of one, together.

| notaries | inputs | transactions/s | median | 90th percentile | 99th percentile | longest | processor time of the worker per transaction |
|---:|---:|---:|---:|---:|---:|---:|---:|
`)
	for _, l := range r.Loads {
		for _, p := range l.Paced {
			fmt.Fprintf(&b, "| %d | %d | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f µs |\n", l.Notaries, l.Inputs, p.PerSecond, p.Millis.P50, p.Millis.P90, p.Millis.P99, p.Millis.Max, p.Worker)
		}
	}
	r.sqlTable(&b)
	b.WriteString(`
## Repeat it

` + "`go run ./bench/notary`" + ` needs Linux, Java 17 and Maven for the broker, and a PostgreSQL. ` + "`-scale 0.1 -paced 2s -record=false`" + ` is a quick
look; ` + "`-profile DIR`" + ` writes processor profiles of the worker.
`)
	return b.String()
}

// wantedTable compares with what is wanted.
func (r results) wantedTable(b *strings.Builder) {
	one, ok := r.find(1, 2, 0, 0)
	if !ok {
		return
	}
	b.WriteString("| what is wanted | measured | there |\n|---|---|---|\n")
	fmt.Fprintf(b, "| %d transactions of two inputs per second on one partition | %.0f | %s |\n", wanted, one.PerSecond, verdict(one.PerSecond >= wanted))
	fmt.Fprintf(b, "| not less than %d | %.0f | %s |\n", least, one.PerSecond, verdict(one.PerSecond >= least))
	for _, p := range one.Paced {
		fmt.Fprintf(b, "| 99th percentile below %d ms | %.0f ms at %.0f transactions/s | %s |\n", wantedP99, p.Millis.P99, p.PerSecond, verdict(p.Millis.P99 < wantedP99))
	}
	if two, ok := r.find(2, 2, 0, 0); ok && len(two.Paced) > 0 && len(one.Paced) > 0 {
		ratio := two.Paced[0].Worker / one.Paced[0].Worker
		fmt.Fprintf(b, "| two notaries on two partitions: at the same total load at most 10 %% more processor time per transaction | %+.0f %% at %.0f transactions/s | %s |\n",
			100*(ratio-1), two.Paced[0].PerSecond, verdict(ratio <= wantedMoreCPU))
	}
	for _, most := range []int{0, fewInACommit} {
		slowOne, ok1 := r.find(1, 2, slowMillis, most)
		slowTwo, ok2 := r.find(2, 2, slowMillis, most)
		if !ok1 || !ok2 {
			continue
		}
		ratio, how := slowTwo.PerSecond/slowOne.PerSecond, "a commit has as many transactions as there are, and the processors are the limit"
		if most > 0 {
			how = fmt.Sprintf("a commit has at most %d, and is the limit", most)
		}
		fmt.Fprintf(b, "| two notaries %.1f times as fast as one when each commit takes %d ms longer | %.2f times where %s | %s |\n",
			wantedSlowRatio, slowMillis, ratio, how, verdict(ratio >= wantedSlowRatio))
	}
}

// sqlTable is the part about Postgres; empty when nothing is measured.
func (r results) sqlTable(b *strings.Builder) {
	if len(r.SQL) == 0 {
		return
	}
	b.WriteString(`
## The same in Postgres

The same rules in SQL (` + "`integration/notary/rules`" + `, whose answers are compared with the worker's in that suite), asked for the same
transactions in the same run: by one client, many transactions in one statement and one commit; and by eight clients, each
transaction in a commit of its own. Ids are kept as bytes, the states of a transaction are looked up in one statement of a prepared
function, by key, and the tables have statistics when the clock starts.
Commits wait for the disk, as those of Kafka with one node do not: "lazy" ones do not wait either. × is how many times as
fast the worker is.

| inputs | together in a commit | transactions/s | × | processor time of the server | a commit each, 8 clients | × | median | 99th percentile | processor time |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
`)
	for _, l := range r.Loads {
		if l.Notaries != 1 || l.SlowMillis != 0 {
			continue
		}
		together, single := r.sql(l.Inputs)
		fmt.Fprintf(b, "| %d | %d | %.0f | %s | %.1f µs | %.0f | %s | %.1f ms | %.1f ms | %.1f µs |\n", l.Inputs, together.Together, together.PerSecond, times(l.PerSecond, together.PerSecond),
			together.Server, single.PerSecond, times(l.PerSecond, single.PerSecond), single.Millis.P50, single.Millis.P99, single.Server)
	}
	for _, s := range r.SQL {
		if l, ok := r.find(1, s.Inputs, 0, 0); ok && s.Lazy {
			fmt.Fprintf(b, "| %d, lazy | | | | | %.0f | %s | %.1f ms | %.1f ms | %.1f µs |\n", s.Inputs, s.PerSecond, times(l.PerSecond, s.PerSecond), s.Millis.P50, s.Millis.P99, s.Server)
		}
	}
}

// plot draws throughput beside Postgres, and waiting times.
func plot(r results) string {
	fast, quick := measure.Chart{Heading: "Transactions per second, requests lying ready (more is better)"}, measure.Chart{Heading: "Median wait in ms at a fixed rate (less is better)"}
	for _, l := range r.Loads {
		fast.Bars = append(fast.Bars, measure.Bar{Title: l.title(), Value: l.PerSecond, Label: fmt.Sprintf("%.0f", l.PerSecond)})
		if together, single := r.sql(l.Inputs); l.Notaries == 1 && l.SlowMillis == 0 && together.Inputs > 0 {
			fast.Bars = append(fast.Bars,
				measure.Bar{Title: fmt.Sprintf("Postgres, %d in a commit", together.Together), Value: together.PerSecond, Label: fmt.Sprintf("%.0f", together.PerSecond), Other: true},
				measure.Bar{Title: fmt.Sprintf("Postgres, a commit each, %d clients", single.Clients), Value: single.PerSecond, Label: fmt.Sprintf("%.0f", single.PerSecond), Other: true})
		}
		for _, p := range l.Paced {
			quick.Bars = append(quick.Bars, measure.Bar{Title: fmt.Sprintf("%s, %.0f/s", l.title(), p.PerSecond), Value: p.Millis.P50, Label: fmt.Sprintf("%.1f (99 %%: %.1f)", p.Millis.P50, p.Millis.P99)})
		}
	}
	return measure.SVG(fast, quick)
}
