package notary

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/integration/replica"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/processors/uniqueness"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// seedVariable repeats a run's decisions.
const seedVariable = "FAIRLEAD_SEED"

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(seedVariable); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		seed = n
	}
	t.Logf("seed %d (%s=%d repeats it)", seed, seedVariable, seed)
	return seed
}

func notaries() []string {
	return []string{"AAAAAAAAAAA1", "BBBBBBBBBBB2", "CCCCCCCCCCC3", "DDDDDDDDDDD4"}
}

// wires are one process's connections to the brokers; cutting them is what brokers see of a SIGKILL.
type wires struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (w *wires) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	w.conns = append(w.conns, c)
	return c, nil
}

func (w *wires) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, c := range w.conns {
		_ = c.Close() // nobody is there any more to be told
	}
}

// inside is one process of the worker inside the test's.
type inside struct {
	engine *enginetest.Engine
	db     engine.DB
	wires  *wires
}

func graph(t testing.TB) *engine.Graph {
	t.Helper()
	w, err := uniqueness.NewWorker(uniqueness.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return w.Graph()
}

func boot(t testing.TB, c *enginetest.Cluster, instance string, db engine.DB) *inside {
	t.Helper()
	cfg := c.Config(t)
	if db != nil {
		cfg.DB = db
	}
	w := &wires{}
	cfg.InstanceID, cfg.Outside.Dial = instance, w.dial
	cfg.TransactionTimeout, cfg.EndTimeout = 2*time.Second, 2*time.Second
	uniqueness.Tune(&cfg)
	return &inside{enginetest.Launch(t, cfg, graph(t)), cfg.DB, w}
}

// TestLinearizable is the proof in one process: connections are cut, disks lost, processes stopped in order and joined by
// others, while clients ask.
func TestLinearizable(t *testing.T) {
	seed := seedOf(t)
	rnd := rand.New(rand.NewPCG(seed, 1))
	c := enginetest.NewCluster(t)
	c.Prefix = "notary-"
	c.CreateTopics(t, 3, graph(t))
	client, err := NewClient(c.Brokers(), c.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	const families = 60
	story := Story(rnd, notaries(), families)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	stormy, calm := context.WithCancel(ctx)
	faults := map[string]int{}
	var storm sync.WaitGroup
	storm.Go(func() {
		a, b := boot(t, c, "a", nil), boot(t, c, "b", nil)
		kinds := []string{"kill", "wipe", "stop", "kill"}
		for n := 0; n < len(kinds) || stormy.Err() == nil; n++ {
			replica.Wait(stormy, time.Duration(1000+rnd.IntN(2000))*time.Millisecond)
			kind := kinds[n%len(kinds)]
			faults[kind]++
			which, name := &a, "a"
			if rnd.IntN(2) == 0 {
				which, name = &b, "b"
			}
			if kind != "stop" {
				(*which).wires.kill()
			}
			if err := (*which).engine.Stop(); err != nil && kind == "stop" {
				t.Errorf("stop %s: %v", name, err)
			}
			db := (*which).db
			if kind == "wipe" {
				db = nil
			}
			*which = boot(t, c, name, db)
		}
	})
	told := client.Tell(ctx, paced(ctx, story), 16)
	calm()
	storm.Wait()
	if told != nil {
		t.Fatal(told)
	}
	c.Drained(t, graph(t))
	judge(t, ctx, client)
	t.Logf("%d requests about %d families, faults %v", len(story), families, faults)
}

// judge reads what the store holds and has the history judged.
func judge(t *testing.T, ctx context.Context, client *Client) {
	t.Helper()
	rows, err := client.Rows(ctx)
	if err != nil {
		t.Fatal(err)
	}
	history, strange := client.History()
	for _, s := range strange {
		t.Error(s)
	}
	for _, p := range Judge(history, rows) {
		t.Error(p)
	}
	results := map[string]int{}
	for _, a := range history {
		results[a.Answer.GetResult().String()]++
	}
	t.Logf("%d answers %v, %d rows", len(history), results, len(rows))
}
