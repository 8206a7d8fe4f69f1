package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// Items that are settled in order, with panics, errors after Settle, deletes, large values, and transactions whose end is cut off: local
// storage is what the changelog is, and each count is right.
func TestSettleUnderFaults(t *testing.T) {
	c := enginetest.NewCluster(t)
	var mu sync.Mutex
	once := map[string]bool{}
	first := func(what string) bool {
		mu.Lock()
		defer mu.Unlock()
		seen := once[what]
		once[what] = true
		return !seen
	}
	var biggest atomic.Int64
	large := make([]byte, 300<<10)
	g := engine.Define("settling",
		engine.Batch("in", text, engine.BatchOptions{Independent: true}, func(_ context.Context, items []engine.Item[string]) []error {
			biggest.Store(max(biggest.Load(), int64(len(items))))
			out := make([]error, len(items))
			for i, it := range items {
				n, _ := strconv.Atoi(it.Msg)
				if n%97 == 0 {
					out[i] = engine.Poison("not at all")
					continue
				}
				s := it.Store("s")
				for _, k := range [][]byte{[]byte("all"), fmt.Appendf(nil, "k%d", n%50)} {
					v, _ := strconv.Atoi(string(s.Get(k)))
					s.Set(k, []byte(strconv.Itoa(v+1)))
				}
				own := fmt.Appendf(nil, "own%d", n)
				s.Set(own, []byte(it.Msg))
				if n%3 == 0 {
					s.Delete(fmt.Appendf(nil, "own%d", n-3))
				}
				if n%40 == 0 {
					s.Set([]byte("flip"), large)
				} else if n%40 == 20 {
					s.Set([]byte("flip"), []byte("small"))
				} else if v := s.Get([]byte("flip")); n%7 == 0 && v != nil {
					s.Set([]byte("seen"), fmt.Append(nil, len(v)))
				}
				it.Emit("out", it.Key(), it.Msg)
				it.Settle()
				if len(items) > 1 && n%151 == 7 && first(it.Msg+"p") {
					panic("once")
				}
				if len(items) > 1 && n%211 == 9 && first(it.Msg+"e") {
					out[i] = engine.Retry(0, fmt.Errorf("once"))
				}
			}
			return out
		}),
		engine.Store("s"), goka.Output("out", text))
	c.CreateTopics(t, 2, g)
	const total = 3000
	var cut atomic.Int64
	for _, key := range []int16{26, 28} {
		c.Fake.ControlKey(key, func(kmsg.Request) (kmsg.Response, error, bool) {
			c.Fake.KeepControl()
			if n := cut.Add(1); n < 200 && rand.IntN(6) == 0 {
				return nil, fmt.Errorf("cut off"), true
			}
			return nil, nil, false
		})
	}
	cfg := c.Config(t)
	enginetest.StartConfig(t, cfg, g)
	for n := 1; n <= total; n++ {
		c.Produce(t, "in", "k"+strconv.Itoa(n), strconv.Itoa(n), text)
	}
	c.Drained(t, g)
	good := total - total/97
	got := map[string]int{}
	for _, r := range c.Consume(t, "out", good) {
		got[string(r.Value)]++
	}
	for k, n := range got {
		if n != 1 {
			t.Errorf("%s came out %d times", k, n)
		}
	}
	if biggest.Load() < 2 || cut.Load() < 20 {
		t.Errorf("the largest batch had %d items, and %d requests could be cut off: nothing was tried", biggest.Load(), cut.Load())
	}
	sum := 0
	for p := range int32(2) {
		rows, _, _, err := engine.LocalRows(cfg.DB, "settling-store-s", p)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(string(rows["all"]))
		sum += n
	}
	if sum != good || len(got) != good {
		t.Errorf("counted %d, out %d, want %d", sum, len(got), good)
	}
	end := c.Fold(t, "settling-store-s") // of both partitions; unique keys can be compared
	for p := range int32(2) {
		rows, _, _, _ := engine.LocalRows(cfg.DB, "settling-store-s", p)
		for k, v := range rows {
			if len(k) > 3 && k[:3] == "own" && string(end[k]) != string(v) {
				t.Errorf("%s: local %q, topic %q", k, v, end[k])
			}
		}
	}
}
