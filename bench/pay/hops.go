package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/trace"
)

// hops is what the ways of payments through the topics are like: the median of each figure.
type hops struct {
	// Followed is how many payments were followed.
	Followed int `json:"followed"`
	// InARow is the longest chain, All is how many hops there were.
	InARow int `json:"inARow"`
	All    int `json:"all"`
	// Total is the time of the longest chain, Work that in steps of it, Wait that between them: commit, transport, waiting
	// its turn. Each is the time of a hop of it. Milliseconds.
	Total float64 `json:"totalMs"`
	Work  float64 `json:"workMs"`
	Wait  float64 `json:"waitMs"`
	Each  float64 `json:"eachMs"`
}

// followed bounds how many payments are followed.
const followed = 25

// follow finds the ways of the last of some requests through the topics.
func follow(ctx context.Context, c *cluster, ids []string, since time.Time) ([]trace.Trace, error) {
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: c.brokers, Prefix: c.prefix})
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	records, err := trace.Scan(ctx, admin, since)
	if err != nil {
		return nil, err
	}
	var out []trace.Trace
	for _, id := range ids[max(0, len(ids)-followed):] {
		t := trace.Build(id, records)
		if len(t.Hops) == 0 {
			return nil, fmt.Errorf("request %s has left no record", id)
		}
		out = append(out, t)
	}
	return out, nil
}

// longest is the longest chain of a trace, from its first hop to its last.
func longest(t trace.Trace) []trace.Hop {
	byNumber := map[int]trace.Hop{}
	var last trace.Hop
	for _, h := range t.Hops {
		byNumber[h.Number] = h
		if h.Depth > last.Depth {
			last = h
		}
	}
	var out []trace.Hop
	for h, ok := last, last.Number > 0; ok; h, ok = byNumber[h.Cause] {
		out = append(out, h)
	}
	slices.Reverse(out)
	return out
}

// hopsOf sums traces up.
func hopsOf(all []trace.Trace) hops {
	var row, count []int
	var total, work, each []float64
	for _, t := range all {
		chain := longest(t)
		if len(chain) == 0 {
			continue
		}
		first, last := chain[0], chain[len(chain)-1]
		took := float64(last.AtMicros+last.WorkMicros-first.AtMicros) / 1e3
		var worked int64
		for _, h := range chain {
			worked += h.WorkMicros
		}
		row, count = append(row, len(chain)), append(count, len(t.Hops))
		total, work, each = append(total, took), append(work, float64(worked)/1e3), append(each, took/float64(len(chain)))
	}
	out := hops{Followed: len(row), InARow: median(row), All: median(count), Total: median(total), Work: median(work), Each: median(each)}
	out.Wait = max(0, out.Total-out.Work)
	return out
}

// median is the one in the middle; zero of none.
func median[T int | float64](all []T) T {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
