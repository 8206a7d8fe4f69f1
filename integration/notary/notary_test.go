package notary

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/integration/replica"
)

// Environment of a run.
const (
	familiesVariable  = "FAIRLEAD_FAMILIES"  // how many families of transactions are asked about
	artifactsVariable = "FAIRLEAD_ARTIFACTS" // an existing directory that keeps the workers' logs
)

const (
	workers = 3
	session = 3 * time.Second
	// perSecond bounds how fast clients ask, so that faults meet requests.
	perSecond = 150
	// patience is how long everything may take that must come to an end.
	patience  = 10 * time.Minute
	overrides = "sets: {uniqueness: {partitions: 6}, flow: {partitions: 6}}\n"
)

// TestNotary is the proof on processes.
func TestNotary(t *testing.T) {
	seed := seedOf(t)
	r := &run{t: t, began: time.Now(), rnd: rand.New(rand.NewPCG(seed, 1)), families: 60, faults: map[string]int{}}
	if s := os.Getenv(familiesVariable); s != "" {
		n, err := strconv.Atoi(s)
		r.must(familiesVariable, err)
		r.families = n
	}
	r.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stormy, calm := context.WithCancel(ctx)
	defer calm()
	chaos := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 2))
	go func() { chaos <- r.chaos(stormy, rnd) }()
	story := Story(r.rnd, notaries(), r.families)
	r.must("clients", r.client.Tell(ctx, paced(ctx, story), 24))
	calm()
	r.must("faults", <-chaos)
	r.say("all %d requests are answered; faults %v", len(story), r.faults)
	starts := 0
	for _, s := range r.slots {
		r.must("stop", s.Stop(ctx))
		for _, u := range s.Unasked() {
			t.Error(u)
		}
		n, _ := s.Starts()
		starts += n
	}
	judge(t, ctx, r.client)
	r.say("judged on %s: %d requests about %d families; faults %v, %d process starts", r.cluster.Kind(), len(story), r.families, r.faults, starts)
}

// run is one run of TestNotary.
type run struct {
	t        *testing.T
	rnd      *rand.Rand
	began    time.Time
	families int
	cluster  *kafkatest.Cluster
	client   *Client
	slots    []*replica.Replica
	faults   map[string]int
}

func (r *run) say(format string, args ...any) {
	r.t.Logf("%6.1fs "+format, append([]any{time.Since(r.began).Seconds()}, args...)...)
}

func (r *run) must(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// start brings the brokers and three processes of the worker up.
func (r *run) start() {
	t, dir := r.t, r.t.TempDir()
	binary := filepath.Join(dir, "fairlead.exe")
	built := make(chan error, 1)
	go func() {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/fairlead").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		built <- err
	}()
	r.cluster = kafkatest.Start(t, kafkatest.Options{Nodes: 3, Log: r.say})
	r.must("build fairlead", <-built)
	prefix, brokers := fmt.Sprintf("notary-%d-", r.began.UnixNano()), strings.Join(r.cluster.Brokers(), ",")
	file := filepath.Join(dir, "overrides.yaml")
	r.must("write overrides", os.WriteFile(file, []byte(overrides), 0o600))
	// On a busy machine a broker may drop out for a moment: what was made stays, so it is asked for again.
	making, cancelMaking := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancelMaking()
	said := ""
	err := kafkatest.Until(making, time.Second, func() (bool, error) {
		apply := exec.CommandContext(making, binary, "topics", "apply", "--brokers", brokers, "--prefix", prefix, "--profile", "production", "--overrides", file, "--timeout", "2m", "--yes")
		apply.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir)
		out, err := apply.CombinedOutput()
		said = string(out)
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("make topics: %v\n%s", err, said)
	}
	settings := filepath.Join(dir, "fairlead.yaml")
	r.must("write settings", os.WriteFile(settings, fmt.Appendf(nil, `kafka: {brokers: [%s], prefix: %q}
monitor: {address: ""}
log: {format: text}
engine: {sessions: 2, session_timeout: %s, unsafe_topics: %t}
`, brokers, prefix, session, !r.cluster.Real()), 0o600))
	logs := os.Getenv(artifactsVariable)
	if logs == "" {
		logs = dir
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, s := range r.slots {
			if t.Failed() {
				t.Log(s.Tail(6 << 10))
			}
		}
	})
	for n := range workers {
		name := "worker-" + strconv.Itoa(n)
		storage := filepath.Join(dir, name)
		s := replica.New(replica.Options{ID: n, Dir: storage, Log: filepath.Join(logs, name+".log"), Command: func() *exec.Cmd {
			return exec.Command(binary, "worker", "uniqueness", "--config", settings, "--set", "process.instance="+name, "--set", "process.data_dir="+storage)
		}})
		r.slots = append(r.slots, s)
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("worker %d: %v", s.ID, err)
			}
		})
	}
	client, err := NewClient(r.cluster.Brokers(), prefix)
	r.must("make a client", err)
	t.Cleanup(client.Close)
	r.client = client
	// Nobody is ready before a first answer comes.
	first, cancelFirst := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancelFirst()
	r.must("a first answer", client.Ask(first, Ask{Notary: notaries()[0], Family: -1, Tx: "first", Outputs: 1}))
	r.say("%d processes run", workers)
}

// paced hands a story out at a steady rate.
func paced(ctx context.Context, story []Ask) iter.Seq[Ask] {
	return func(yield func(Ask) bool) {
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for _, a := range story {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if !yield(a) {
				return
			}
		}
	}
}

// chaos does harm, each kind once and then at random until ctx ends. All runs again when it returns.
func (r *run) chaos(ctx context.Context, rnd *rand.Rand) error {
	first := []string{"kill", "wipe", "freeze", "kill"}
	kinds := []string{"kill", "kill", "wipe", "freeze"}
	if r.cluster.Real() && r.cluster.Nodes() > 1 {
		first, kinds = append(first, "broker"), append(kinds, "broker")
	}
	rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	whole := r.t.Context()
	var errs []error
	for n := 0; n < len(first) || ctx.Err() == nil; n++ {
		// Between faults there must be time to recover, or nothing is ever answered.
		pause := time.Duration(1500+rnd.IntN(2500)) * time.Millisecond
		if n < len(first) {
			replica.Wait(whole, pause)
		} else if replica.Wait(ctx, 3*pause); ctx.Err() != nil {
			break
		}
		kind, s := kinds[rnd.IntN(len(kinds))], r.slots[rnd.IntN(len(r.slots))]
		if n < len(first) {
			kind = first[n]
		}
		r.faults[kind]++
		r.say("%s (worker %d)", kind, s.ID)
		switch kind {
		case "freeze":
			errs = append(errs, s.Freeze(whole, session+time.Duration(rnd.IntN(2000))*time.Millisecond))
		case "broker":
			node := 1 + rnd.IntN(r.cluster.Nodes())
			errs = append(errs, r.cluster.Kill(node))
			replica.Wait(whole, time.Duration(rnd.IntN(2000))*time.Millisecond)
			again, cancel := context.WithTimeout(whole, 2*time.Minute)
			errs = append(errs, r.cluster.Restart(again, node))
			cancel()
		default:
			errs = append(errs, s.Kill(kind == "wipe"))
		}
	}
	return errors.Join(errs...)
}
