package flows

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/integration/replica"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Environment of a run.
const (
	flowsVariable     = "FAIRLEAD_FLOWS"     // how many flows
	seedVariable      = "FAIRLEAD_SEED"      // repeats a run's decisions
	artifactsVariable = "FAIRLEAD_ARTIFACTS" // an existing directory that keeps the workers' logs
)

const (
	defaultFlows = 400
	fewFlows     = 120 // without a real Kafka
	workers      = 3
	clients      = 32
	perSecond    = 80 // starts, at most
	// faultsPerSecond is how many flows a second of faults stands for: they end sooner when all are started.
	faultsPerSecond = 30
	leastStorm      = 12 * time.Second
	// patiencePerFlow is how much longer everything may take for each flow, on a machine that has other things to do.
	patiencePerFlow = 50 * time.Millisecond
	session         = 3 * time.Second
	// histories is how many flows' histories are asked for; each reads a whole partition of the journal.
	histories = 400
	shown     = 30
	// manyFaults is how many come in quick succession.
	manyFaults = 6
	// partitions is the file of overrides for `fairlead topics apply`.
	partitions = "sets: {flow: {partitions: 6}, flow-mapper: {partitions: 6}, flow-status: {partitions: 6}, facts: {partitions: 1}, tools: {partitions: 1}}\n"
)

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestFlows is the proof: flows under faults, then a judgement over every record.
func TestFlows(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole cluster of processes")
	}
	real := os.Getenv(kafkatest.RealServersVariable) == "1" || os.Getenv(kafkatest.BootstrapVariable) != ""
	count, storm := uint64(fewFlows), leastStorm/2
	if real {
		count, storm = defaultFlows, leastStorm
	}
	seed := number(t, seedVariable, uint64(time.Now().UnixNano()))
	r := &flowsRun{t: t, began: time.Now(), rnd: rand.New(rand.NewPCG(seed, 1)), count: int(number(t, flowsVariable, count))}
	r.storm = max(storm, time.Duration(r.count)*time.Second/perSecond)
	t.Logf("seed %d (%s=%d repeats it), %d flows in %v", seed, seedVariable, seed, r.count, r.storm)
	r.start()
	r.ask()
	r.drain()
	r.judge()
}

// flowsRun is one run of TestFlows.
type flowsRun struct {
	t       *testing.T
	rnd     *rand.Rand
	began   time.Time
	count   int
	storm   time.Duration
	cluster *kafkatest.Cluster
	place   *place
	client  *Client
	vnodes  []Vnode
	slots   []*slot
	asked   []Asked
	faults  map[string]int
	// ends are the requests that are seen to have ended.
	ends *endings
}

func (r *flowsRun) say(format string, args ...any) {
	r.t.Logf("%6.1fs "+format, append([]any{time.Since(r.began).Seconds()}, args...)...)
}

func (r *flowsRun) must(what string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// start brings everything up: broker, binary and the facts of a dev cluster at the same time.
func (r *flowsRun) start() {
	t, dir := r.t, r.t.TempDir()
	logs := os.Getenv(artifactsVariable)
	if logs == "" {
		logs = dir
	}
	binary, seeded, cache := filepath.Join(dir, "fairlead.exe"), filepath.Join(dir, "dev"), filepath.Join(dir, "cache")
	var wg sync.WaitGroup
	var buildErr, seedErr error
	var dev *devenv.Cluster
	wg.Go(func() {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/fairlead").CombinedOutput()
		if err != nil {
			buildErr = fmt.Errorf("%w\n%s", err, out)
		}
		dev, seedErr = devenv.Start(t.Context(), devenv.Options{
			Dir: seeded, CacheDir: cache, App: "../../apps/hello", RestAddress: "127.0.0.1:0", Workers: []string{app.Rest}, Build: "test",
		})
	})
	r.cluster = kafkatest.Start(t, kafkatest.Options{Nodes: 3, Log: r.say})
	wg.Wait()
	if dev != nil {
		defer func() { r.must("stop the dev cluster", dev.Close(context.WithoutCancel(t.Context()))) }()
	}
	r.must("build fairlead", buildErr)
	r.must("start a dev cluster", seedErr)
	r.say("the binary is built, and a dev cluster has published its facts")
	prefix := fmt.Sprintf("flows-%d-", r.began.UnixNano())
	brokers := strings.Join(r.cluster.Brokers(), ",")
	overrides := filepath.Join(dir, "overrides.yaml")
	r.must("write overrides", os.WriteFile(overrides, []byte(partitions), 0o600))
	apply := exec.CommandContext(t.Context(), binary, "topics", "apply", "--brokers", brokers, "--prefix", prefix, "--profile", "production", "--overrides", overrides, "--yes", "--timeout", "2m")
	apply.Env = append(os.Environ(), "FAIRLEAD_CONFIG="+filepath.Join(dir, "config.yaml"))
	out, err := apply.CombinedOutput()
	if err != nil {
		t.Fatalf("topics apply: %v\n%s", err, out)
	}
	r.place, err = newPlace(r.cluster.Brokers(), prefix)
	r.must("connect", err)
	t.Cleanup(r.place.close)
	info := dev.Info()
	from, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: info.Brokers, Prefix: info.Prefix})
	r.must("connect to the dev cluster", err)
	defer from.Close()
	r.must("copy the dev cluster's facts", r.place.take(t.Context(), from))
	for _, v := range info.VirtualNodes {
		r.vnodes = append(r.vnodes, Vnode{v.ShortHash, v.X500Name})
	}
	r.say("topics are made, facts are published")
	r.ends = r.follow()

	addresses, err := freeAddresses(r.rnd, workers)
	r.must("find ports", err)
	tls := filepath.Join(seeded, "tls")
	args := []string{"--brokers", brokers, "--prefix", prefix}
	for _, set := range []string{
		"monitor.address=", "rest.certificate_file=" + filepath.Join(tls, "rest.pem"), "rest.key_file=" + filepath.Join(tls, "rest-key.pem"),
		"rest.start_timeout=5s", "engine.sessions=1", "engine.session_timeout=" + session.String(), "log.format=text",
		"engine.unsafe_topics=" + strconv.FormatBool(!r.cluster.Real()),
	} {
		args = append(args, "--set", set)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if t.Failed() {
			for _, s := range r.slots {
				t.Log(s.Tail(6 << 10))
			}
		}
	})
	var urls []string
	for id, address := range addresses {
		s := newSlot(id, dir, logs, address, binary, args...)
		// As in an image that brings them: the compiled modules, until the disk is wiped.
		r.must("copy compiled modules", os.CopyFS(filepath.Join(s.Dir, "compiled"), os.DirFS(filepath.Join(cache, "compiled"))))
		r.slots, urls = append(r.slots, s), append(urls, s.url())
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("worker %d: %v", s.ID, err)
			}
		})
	}
	r.client, err = NewClient(info.CAFile, info.User, info.Password, urls...)
	r.must("make a client", err)
	t.Cleanup(r.client.HTTP.CloseIdleConnections)
	r.must("wait for the workers", r.everywhere(t.Context(), func(ctx context.Context, url string) error {
		_, err := r.client.Ended(ctx, url, r.vnodes[0].ShortHash)
		return err
	}))
	r.say("%d workers are ready", workers)
}

// everywhere repeats a call to every worker until it works, for a while.
func (r *flowsRun) everywhere(ctx context.Context, f func(ctx context.Context, url string) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, s := range r.slots {
		var last error
		err := kafkatest.Until(ctx, 100*time.Millisecond, func() (bool, error) {
			last = f(ctx, s.url())
			return last == nil, nil
		})
		if err != nil {
			return errors.Join(err, last)
		}
	}
	return nil
}

// ask starts the flows at a steady rate while faults happen.
func (r *flowsRun) ask() {
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*r.storm+3*time.Minute)
	defer cancel()
	stormy, calm := context.WithTimeout(ctx, max(r.storm, time.Duration(r.count)*time.Second/faultsPerSecond))
	defer calm()
	chaos := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 2))
	go func() { chaos <- r.chaos(stormy, rnd) }()

	requests := make(chan Request)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for range clients {
		rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 3))
		wg.Go(func() {
			for q := range requests {
				a, err := r.client.Start(ctx, rnd, q)
				mu.Lock()
				r.asked, errs = append(r.asked, a), append(errs, err)
				mu.Unlock()
			}
		})
	}
	tick := time.NewTicker(r.storm / time.Duration(r.count))
	defer tick.Stop()
	for n := range r.count {
		requests <- Draw(r.rnd, r.vnodes, n)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(requests)
	wg.Wait()
	calm()
	took := time.Since(r.began)
	r.must("faults", <-chaos)
	tries, taken := 0, 0
	for _, a := range r.asked {
		tries, taken = tries+a.Tries, taken+a.Taken
	}
	r.say("all %d flows were asked for with %d calls, %d of them told that there is such a flow; faults %v, over at %.1fs",
		len(r.asked), tries, taken, r.faults, took.Seconds())
	r.must("clients", errors.Join(errs...))
}

// chaos does harm until ctx ends, each kind once and then at random; all processes run again when it returns. After
// manyFaults it leaves the cluster time to work in between.
func (r *flowsRun) chaos(ctx context.Context, rnd *rand.Rand) error {
	r.faults = map[string]int{}
	first := []string{"kill", "wipe", "freeze"}
	rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	kinds := []string{"kill", "kill", "kill", "kill", "wipe", "freeze"}
	var errs []error
	for n := 0; ; n++ {
		pause := time.Duration(1000+rnd.IntN(2500)) * time.Millisecond
		if n >= manyFaults {
			pause *= 4
		}
		if n < len(first) {
			replica.Wait(r.t.Context(), pause)
		} else if replica.Wait(ctx, pause); ctx.Err() != nil {
			return errors.Join(errs...)
		}
		kind, s := kinds[rnd.IntN(len(kinds))], r.slots[rnd.IntN(len(r.slots))]
		if n < len(first) {
			kind = first[n]
		}
		r.faults[kind]++
		r.say("%s worker %d", kind, s.ID)
		if kind == "freeze" {
			errs = append(errs, s.Freeze(r.t.Context(), session+time.Duration(rnd.IntN(2000))*time.Millisecond))
		} else {
			errs = append(errs, s.Kill(kind == "wipe"))
		}
	}
}

// patience is the generous bound of what comes after the faults.
func (r *flowsRun) patience() time.Duration {
	return 3*time.Minute + time.Duration(r.count)*patiencePerFlow
}

// drain waits until every flow has ended and nothing is left to be read.
func (r *flowsRun) drain() {
	ctx, cancel := context.WithTimeout(r.t.Context(), r.patience())
	defer cancel()
	if err := r.ends.wait(ctx, len(r.asked)); err != nil {
		r.t.Errorf("flows do not end: %d of %d: %v", r.ends.count(), len(r.asked), err)
	}
	r.say("%d flows have ended", r.ends.count())
	err := kafkatest.Until(ctx, 200*time.Millisecond, func() (bool, error) {
		left, err := r.place.lag(ctx)
		running, _, admissionErr := r.place.admission(ctx)
		return len(left) == 0 && running == 0, errors.Join(err, admissionErr)
	})
	if err != nil && ctx.Err() == nil {
		r.t.Errorf("look for what is left to be read: %v", err)
	}
	r.say("nothing is left to be read")
}

// judge asks REST, stops the workers, and reads everything.
func (r *flowsRun) judge() {
	ctx, cancel := context.WithTimeout(r.t.Context(), r.patience())
	defer cancel()
	listed := map[string]int{}
	err := r.everywhere(ctx, func(ctx context.Context, url string) error {
		sum := 0
		for _, v := range r.vnodes {
			n, err := r.client.Ended(ctx, url, v.ShortHash)
			if err != nil {
				return err
			}
			sum += n
		}
		if listed[url] = sum; sum < len(r.asked) {
			return fmt.Errorf("it lists %d of %d ended flows", sum, len(r.asked))
		}
		return nil
	})
	if err != nil {
		r.t.Errorf("ask the workers for the ended flows: %v", err)
	}
	told := r.histories(ctx)
	starts := 0
	for _, s := range r.slots {
		if err := s.Stop(ctx); err != nil {
			r.t.Error(err)
		}
		started, _ := s.Starts()
		starts += started
		for _, u := range s.Unasked() {
			r.t.Error(u)
		}
	}
	r.say("the workers have stopped")
	r.must("wait for open transactions", kafkatest.Until(ctx, 100*time.Millisecond, func() (bool, error) {
		n, err := r.place.open(ctx)
		return n == 0, err
	}))
	r.ends.stop()
	r.say("no transaction is open")
	found, err := r.place.collect(ctx)
	r.must("collect", err)
	found.Histories, found.Listed = told, listed
	problems := Check(r.asked, found)
	for _, p := range problems[:min(len(problems), shown)] {
		r.t.Error(p)
	}
	if len(problems) > shown {
		r.t.Errorf("and %d more problems", len(problems)-shown)
	}
	rows, records := 0, 0
	for _, j := range found.Journals {
		rows += len(j)
	}
	for _, s := range found.Statuses {
		records += len(s)
	}
	r.say("judged on %s: %d flows, %d status records, %d journal rows, %d histories; faults %v, %d process starts, %d workers; longest time without an end %v",
		r.cluster.Kind(), len(r.asked), records, rows, len(told), r.faults, starts, workers, r.ends.longest().Round(time.Millisecond))
}

// histories asks the workers for the histories of flows, of a random choice when there are many.
func (r *flowsRun) histories(ctx context.Context) map[string][]Step {
	chosen := slices.Clone(r.asked)
	r.rnd.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	chosen = chosen[:min(len(chosen), max(10, histories*defaultFlows/max(defaultFlows, len(chosen))))]
	out := map[string][]Step{}
	for n, a := range chosen {
		h, err := r.client.History(ctx, r.slots[n%len(r.slots)].url(), a.Request)
		if err != nil {
			r.t.Errorf("ask for the history of %s: %v", a.Key(), err)
			break
		}
		out[a.Key()] = h
	}
	r.say("%d histories were told", len(out))
	return out
}

// freeAddresses finds ports below those that systems give to outgoing connections, so that none takes one while a
// worker is down.
func freeAddresses(rnd *rand.Rand, n int) ([]string, error) {
	const low, high, tries = 18_000, 31_000, 1000
	var out []string
	for range tries {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rnd.IntN(high-low)))
		l, err := net.Listen("tcp4", address)
		if err != nil || slices.Contains(out, address) {
			continue
		}
		if out = append(out, address); l.Close() != nil || len(out) == n {
			break
		}
	}
	if len(out) < n {
		return nil, fmt.Errorf("found %d free ports, need %d", len(out), n)
	}
	return out, nil
}

// endings follows flow.status while the run goes on.
type endings struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	seen    map[string]bool
	last    time.Time
	pause   time.Duration
	err     error
	changed chan struct{}
}

func (r *flowsRun) follow() *endings {
	spans, err := r.place.admin.Spans(r.t.Context(), kafkaadmin.Range{Topics: []string{topics.FlowStatus}})
	r.must("find flow.status", err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	e := &endings{cancel: cancel, done: make(chan struct{}), seen: map[string]bool{}, changed: make(chan struct{}, 1)}
	go func() {
		defer close(e.done)
		err := r.place.admin.Follow(ctx, spans, e.add)
		e.mu.Lock()
		defer e.mu.Unlock()
		if ctx.Err() == nil {
			e.err = err
		}
	}()
	r.t.Cleanup(e.stop)
	return e
}

func (e *endings) add(rec kafkaadmin.Record) error {
	s := &flowv1.FlowStatus{}
	if err := proto.Unmarshal(rec.Value, s); err != nil {
		return fmt.Errorf("read a status: %w", err)
	}
	if !ended(s.GetState()) {
		return nil
	}
	e.mu.Lock()
	e.seen[string(rec.Key)] = true
	if now := time.Now(); e.last.IsZero() {
		e.last = now
	} else {
		e.pause, e.last = max(e.pause, now.Sub(e.last)), now
	}
	e.mu.Unlock()
	select {
	case e.changed <- struct{}{}:
	default:
	}
	return nil
}

func (e *endings) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen)
}

func (e *endings) longest() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pause
}

func (e *endings) wait(ctx context.Context, n int) error {
	for e.count() < n {
		select {
		case <-e.changed:
		case <-e.done:
			e.mu.Lock()
			defer e.mu.Unlock()
			return fmt.Errorf("follow flow.status: %w", e.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (e *endings) stop() {
	e.cancel()
	<-e.done
}
