package notary

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/party"
	"github.com/fairleadio/fairlead/integration/replica"
)

// Environment of a run.
const familiesVariable = "FAIRLEAD_FAMILIES" // how many families of transactions are asked about

const (
	// perSecond bounds how fast clients ask, so that faults meet requests.
	perSecond = 150
	// patience is how long everything may take that must come to an end.
	patience  = 10 * time.Minute
	overrides = "sets: {uniqueness: {partitions: 6}, flow: {partitions: 6}}\n"
)

// TestNotary is the proof on processes.
func TestNotary(t *testing.T) {
	r := &run{Run: party.New(t, "notary", patience), faults: map[string]int{}}
	r.families = int(party.Number(t, familiesVariable, 60))
	r.start()
	ctx, cancel := r.Patient()
	defer cancel()
	stormy, calm := context.WithCancel(ctx)
	defer calm()
	chaos := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(r.Rnd.Uint64(), 2))
	go func() { chaos <- r.chaos(stormy, rnd) }()
	story := Story(r.Rnd, notaries(), r.families)
	r.Must("clients", r.client.Tell(ctx, paced(ctx, story), 24))
	calm()
	r.Must("faults", <-chaos)
	r.Say("all %d requests are answered; faults %v", len(story), r.faults)
	starts := r.Stop(ctx)
	judge(t, ctx, r.client)
	r.Say("judged on %s: %d requests about %d families; faults %v, %d process starts", r.Cluster.Kind(), len(story), r.families, r.faults, starts)
}

// run is one run of TestNotary.
type run struct {
	*party.Run
	families int
	client   *Client
	faults   map[string]int
}

// start brings the brokers and the processes of the worker up.
func (r *run) start() {
	r.Kafka(false)
	r.ApplyTopics(overrides)
	r.Sessions = 2
	r.Start("uniqueness", r.Settings("log: {format: text}\n"))
	client, err := NewClient(r.Cluster.Brokers(), r.Prefix)
	r.Must("make a client", err)
	r.T.Cleanup(client.Close)
	r.client = client
	// Nobody is ready before a first answer comes.
	first, cancelFirst := context.WithTimeout(r.T.Context(), 2*time.Minute)
	defer cancelFirst()
	r.Must("a first answer", client.Ask(first, Ask{Notary: notaries()[0], Family: -1, Tx: "first", Outputs: 1}))
	r.Say("%d processes run", r.Processes)
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
	if r.Cluster.Real() && r.Cluster.Nodes() > 1 {
		first, kinds = append(first, "broker"), append(kinds, "broker")
	}
	rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	whole := r.T.Context()
	var errs []error
	for n := 0; n < len(first) || ctx.Err() == nil; n++ {
		// Between faults there must be time to recover, or nothing is ever answered.
		pause := time.Duration(1500+rnd.IntN(2500)) * time.Millisecond
		if n < len(first) {
			replica.Wait(whole, pause)
		} else if replica.Wait(ctx, 3*pause); ctx.Err() != nil {
			break
		}
		kind, s := kinds[rnd.IntN(len(kinds))], r.Slots[rnd.IntN(len(r.Slots))]
		if n < len(first) {
			kind = first[n]
		}
		r.faults[kind]++
		r.Say("%s (worker %d)", kind, s.ID)
		switch kind {
		case "freeze":
			errs = append(errs, s.Freeze(whole, party.Session+time.Duration(rnd.IntN(2000))*time.Millisecond))
		case "broker":
			node := 1 + rnd.IntN(r.Cluster.Nodes())
			errs = append(errs, r.Cluster.Kill(node))
			replica.Wait(whole, time.Duration(rnd.IntN(2000))*time.Millisecond)
			again, cancel := context.WithTimeout(whole, 2*time.Minute)
			errs = append(errs, r.Cluster.Restart(again, node))
			cancel()
		default:
			errs = append(errs, s.Kill(kind == "wipe"))
		}
	}
	return errors.Join(errs...)
}
