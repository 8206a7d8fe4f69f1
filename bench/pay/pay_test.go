package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/bench/measure"
	"github.com/fairleadio/fairlead/internal/trace"
)

func TestHops(t *testing.T) {
	// 1 → 2 → 4, and 1 → 3, which ends later than its chain is long.
	one := trace.Trace{Hops: []trace.Hop{
		{Number: 1, Depth: 1, AtMicros: 0, WorkMicros: 1000}, {Number: 2, Cause: 1, Depth: 2, AtMicros: 5000, WorkMicros: 2000},
		{Number: 3, Cause: 1, Depth: 2, AtMicros: 90_000}, {Number: 4, Cause: 2, Depth: 3, AtMicros: 11_000, WorkMicros: 1000},
	}}
	if chain := longest(one); len(chain) != 3 || chain[0].Number != 1 || chain[2].Number != 4 {
		t.Errorf("the longest chain is %v", chain)
	}
	want := hops{Followed: 2, InARow: 3, All: 4, Total: 12, Work: 4, Wait: 8, Each: 4}
	if got := hopsOf([]trace.Trace{one, {}, one}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := hopsOf(nil); got != (hops{}) {
		t.Errorf("hops of nothing are %+v", got)
	}
}

func TestChildParts(t *testing.T) {
	all := measure.Processes{
		1: {PID: 1, Name: "bench", Own: time.Hour}, 2: {PID: 2, Parent: 1, Name: "java", Own: 3}, 3: {PID: 3, Parent: 1, Name: "fairlead.exe", Own: 4},
		4: {PID: 4, Parent: 1, Name: "postgres", Own: 5}, 5: {PID: 5, Parent: 4, Name: "postgres", Own: 6, Ended: 1},
	}
	got := childParts(all, 1, map[int]string{3: "worker flow"})
	if len(got) != 3 || got["Kafka"] != 3 || got["worker flow"] != 4 || got["Postgres"] != 12 {
		t.Errorf("parts are %v", got)
	}
}

func TestNetwork(t *testing.T) {
	b := bench{options: options{members: 2}}
	names, apps := b.network()
	if len(names) != 4 || apps[notaryName] != notaryApp || apps[memberName(1)] != tokensApp {
		t.Errorf("%v %v", names, apps)
	}
}

func TestLimit(t *testing.T) {
	l := many{Cores: 1.9, Parts: map[string]float64{"a": 1, "b": 6, "c": 2, "d": 1}}
	if got := l.limit(2); got != "the processors limit it (1.9 of 2 cores busy); most have b 60 %, c 20 %, a 10 %" {
		t.Error(got)
	}
	if got := l.limit(4); !strings.HasPrefix(got, "waiting limits it") {
		t.Error(got)
	}
}

func sample() results {
	m := func(n int, rate float64) many {
		return many{AtOnce: n, Seconds: 10, PerSecond: rate, Millis: measure.Percentiles{P50: 300, P99: 900}, Cores: 1.9, Parts: map[string]float64{"worker flow": 6, "Kafka": 4}}
	}
	return results{Recorded: "2026-11-26", Machine: "a machine", Cores: 2, Members: 16, Sites: []site{
		{Kind: "Apache Kafka", Single: measure.Percentiles{P50: 190, P99: 400, Count: 100}, Hops: hops{Followed: 25, InARow: 37, All: 60, Total: 185, Each: 5}, Many: []many{m(16, 80), m(64, 120), m(192, 110)}},
		{Kind: "fairlead dev: one process", Single: measure.Percentiles{P50: 130, P99: 200, Count: 100}, Hops: hops{Followed: 25, InARow: 37, All: 60, Total: 37, Each: 1}, Many: []many{m(16, 90)}},
	}}
}

func TestPage(t *testing.T) {
	text := page(sample())
	for _, want := range []string{
		"while a hop costs at most 5 ms | 190 ms; a hop 5.0 ms | yes |", "| on Kafka at least 300 payments per second | 120, with 64 at once | no |",
		"within 100 ms at the median | 130 ms; a hop 1.0 ms | no |", "| Apache Kafka | 64 | 120.0 | 300 ms | 900 ms | 0 | 1.9 | 10.0 ms |", "| worker flow | 6.00 ms | 60 % |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	slow := sample()
	slow.Sites[0].Single.P50, slow.Sites[0].Hops.Each = 300, 7
	if text := page(slow); !strings.Contains(text, "does not apply: a hop costs more") {
		t.Errorf("a slow broker is the product's fault:\n%s", text)
	}
	if !strings.Contains(plot(sample()), "Kafka, 192 at once") {
		t.Error("the picture lacks a load")
	}
}

func TestRecordedAndWrittenAnew(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"bench/pay", "docs"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := options{root: root, record: true}
	if err := report(o, sample()); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(root, "docs", "performance-pay.md"))
	if err != nil {
		t.Fatal(err)
	}
	if err := rewrite(o); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(filepath.Join(root, "docs", "performance-pay.md")); err != nil || string(again) != string(first) {
		t.Errorf("the page from the record is another one: %v", err)
	}
}
