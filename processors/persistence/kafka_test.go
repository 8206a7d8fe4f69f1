package persistence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/processors/persistence"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

func edges(t *testing.T, group string, g *engine.Graph) {
	t.Helper()
	var out []topics.Edge
	for _, e := range g.Edges() {
		out = append(out, topics.Edge{Kind: topics.Kind(e.Kind), Topic: e.Topic, Type: e.Type})
	}
	if err := topics.Check(group, out); err != nil {
		t.Error(err)
	}
}

func TestEdges(t *testing.T) {
	w := newWorker(t, newMemory())
	edges(t, topics.PersistenceGroup, w.Graph())
	edges(t, topics.PersistenceFeedGroup, w.FeedGraph())
}

// inputs are requests as the group reads them: some that change, some that come twice, some that are refused.
func inputs(t testing.TB, n int) []enginetest.Input {
	t.Helper()
	var out []enginetest.Input
	for i := range n {
		vnode, flow := []string{vnodeA, vnodeB}[i%2], fmt.Sprintf("%08x-2222-4333-8444-555555555555", i%5)
		r := persist(vnode, fmt.Sprint(i/4))
		r.FlowId = flow
		if i%7 == 0 {
			r.Operation = &persistencev1.Request_Remove{Remove: &appv1.RemoveRows{Table: "item", Keys: [][]byte{fmt.Appendf(nil, `{"id":"%d"}`, i/8)}}}
		}
		if i%11 == 0 {
			r.Operation = &persistencev1.Request_Find{Find: &appv1.FindRows{Table: "nothing"}}
		}
		raw, err := schemas.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		headers := map[string]string{engine.HeaderRequest: fmt.Sprintf("r%d", i-i%3/2)}
		if i%13 == 0 {
			headers[engine.HeaderDeadline] = "1"
		}
		out = append(out, enginetest.Input{Topic: topics.PersistenceRequests, Key: flow, Value: raw, Headers: headers})
	}
	return out
}

// What every group must keep, kept by the one that answers.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	var mu sync.Mutex
	store := newMemory()
	in := inputs(t, 60)
	enginetest.Suite{
		Graph: func(t testing.TB) *engine.Graph {
			mu.Lock()
			defer mu.Unlock()
			return newWorker(t, store).Graph()
		},
		Prepare: func(testing.TB, *enginetest.Cluster) {
			mu.Lock()
			defer mu.Unlock()
			store = newMemory()
		},
		Inputs:     in,
		Poison:     &enginetest.Input{Topic: topics.PersistenceRequests, Key: flowA, Value: in[1].Value},
		Content:    enginetest.OnlyKeys,
		Repeatable: true,
	}.Run(t)
}

// And by the one that tells.
func TestFeedConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	var mu sync.Mutex
	store := newMemory()
	fill := func(m *memory) *memory {
		for range 40 {
			m.capture(&persistence.Plan{Vnode: vnodeA}, 1, item{ID: "i"})
			m.capture(&persistence.Plan{Vnode: vnodeB}, 1, item{ID: "i"})
		}
		return m
	}
	var in []enginetest.Input
	for n := range 30 {
		vnode := []string{vnodeA, vnodeB}[n%2]
		raw, err := schemas.Marshal(&persistencev1.Drain{Vnode: vnode})
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, enginetest.Input{Topic: topics.PersistenceDrain, Key: vnode, Value: raw})
	}
	enginetest.Suite{
		Graph: func(t testing.TB) *engine.Graph {
			mu.Lock()
			defer mu.Unlock()
			return newWorker(t, store).FeedGraph()
		},
		Prepare: func(t testing.TB, c *enginetest.Cluster) {
			mu.Lock()
			defer mu.Unlock()
			store = fill(newMemory())
			for _, topic := range []string{"feed.proto." + vnodeA, "feed.proto." + vnodeB, "feed.json"} {
				c.CreateTopic(t, topic, 2, nil)
			}
		},
		Inputs:     in,
		Poison:     &enginetest.Input{Topic: topics.PersistenceDrain, Key: "x", Value: in[0].Value},
		Repeatable: true,
	}.Run(t)
}

// Both groups, while the store fails before and after its effects and processes come and go: each request has one
// effect, every change is told once in each channel, in order, and the outbox is empty at the end.
func TestChangesAreToldOnce(t *testing.T) {
	const requests = 300
	c := enginetest.NewCluster(t)
	store := newMemory()
	random := rand.New(rand.NewPCG(1, 2))
	failures := 0
	store.interrupt = func(string, bool) error {
		if random.IntN(6) == 0 {
			failures++
			return &postgres.Error{Class: postgres.Retry, Message: "interrupted"}
		}
		return nil
	}
	w := newWorker(t, store)
	c.CreateTopics(t, 2, w.Graph(), w.FeedGraph())
	for _, topic := range []string{"feed.proto." + vnodeA, "feed.proto." + vnodeB, "feed.json"} {
		c.CreateTopic(t, topic, 3, nil)
	}
	cfg := c.Config(t)
	cfg.RetryBackoff, cfg.Retries = 1, 1000
	feedCfg := c.Config(t)
	feedCfg.RetryBackoff, feedCfg.Retries = 1, 1000
	main, feed := enginetest.StartConfig(t, cfg, w.Graph()), enginetest.StartConfig(t, feedCfg, w.FeedGraph())
	codec := schemas.Codec[*persistencev1.Request]()
	for n := range requests {
		r := persist([]string{vnodeA, vnodeB}[n%2], fmt.Sprint(n))
		for range 1 + n%2 {
			c.Produce(t, topics.PersistenceRequests, r.GetFlowId(), r, codec, engine.HeaderRequest, fmt.Sprint("r", n))
		}
		if n%100 == 50 {
			if err := errors.Join(main.Stop(), feed.Stop()); err != nil {
				t.Fatal(err)
			}
			main, feed = enginetest.StartConfig(t, cfg, w.Graph()), enginetest.StartConfig(t, feedCfg, w.FeedGraph())
		}
	}
	replies := map[string]int{}
	for _, r := range c.Consume(t, topics.FlowRepliesPersistence, requests*3/2) {
		m := &rpcv1.Reply{}
		if err := proto.Unmarshal(r.Value, m); err != nil || m.GetError() != nil {
			t.Fatal(err, m.GetError())
		}
		replies[header(r, engine.HeaderRequest)]++
	}
	for id, n := range replies {
		if n > 2 {
			t.Errorf("%s was answered %d times", id, n)
		}
	}
	if len(replies) != requests || store.effects != requests {
		t.Errorf("%d requests were answered, %d had an effect", len(replies), store.effects)
	}
	for _, v := range []string{vnodeA, vnodeB} {
		told(t, c.Consume(t, "feed.proto."+v, requests/2), map[string]int{v: requests / 2})
	}
	told(t, c.Consume(t, "feed.json", requests), map[string]int{vnodeA: requests / 2, vnodeB: requests / 2})
	// No record says that the last confirmation was worked off.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for gone := enginetest.Context(t); store.left() > 0; {
		select {
		case <-tick.C:
		case <-gone.Done():
			t.Fatalf("%d changes stay in the outbox", store.left())
		}
	}
	if failures < 20 {
		t.Errorf("only %d failures", failures)
	}
}

// told checks that the records tell every change of the virtual nodes once.
func told(t *testing.T, records []*kgo.Record, want map[string]int) {
	t.Helper()
	seen := map[string]map[uint64]bool{}
	for _, r := range records {
		change := &feedv1.Change{}
		switch header(r, "content-type") {
		case "application/x-protobuf":
			if err := proto.Unmarshal(r.Value, change); err != nil || header(r, engine.HeaderType) != "fairlead.feed.v1.Change" {
				t.Fatal(err)
			}
		case "application/json":
			var j struct {
				Vnode                                 string
				Number                                uint64
				CommittedAt, FlowID, Table, Operation string
				Key, Row                              item
			}
			if err := json.Unmarshal(r.Value, &j); err != nil || j.Operation != "created" || j.Table != "item" || j.Row.V != "x" || j.Key.ID != j.Row.ID || j.FlowID != flowA ||
				j.CommittedAt != "1970-01-01T00:00:00.000001Z" || header(r, engine.HeaderType) != "" {
				t.Fatalf("%s: %v", r.Value, err)
			}
			change.Vnode, change.Number = j.Vnode, j.Number
		default:
			t.Fatalf("content-type %q", header(r, "content-type"))
		}
		v := change.GetVnode()
		if seen[v] == nil {
			seen[v] = map[uint64]bool{}
		}
		if n := change.GetNumber(); seen[v][n] || n == 0 || n > uint64(want[v]) {
			t.Errorf("change %d of %s is told twice, or is none", n, v)
		}
		seen[v][change.GetNumber()] = true
	}
	for v, n := range want {
		if len(seen[v]) != n {
			t.Errorf("%d of %d changes of %s were told", len(seen[v]), n, v)
		}
	}
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
