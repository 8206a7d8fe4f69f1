package party

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/integration/replica"
)

// Fault is a kind of harm.
type Fault string

// The kinds of harm: a process is killed, killed and robbed of its disk, or frozen for longer than its session lasts; all
// processes are killed at once; Postgres is killed and comes back.
const (
	Kill     Fault = "kill"
	Wipe     Fault = "wipe"
	Freeze   Fault = "freeze"
	All      Fault = "all"
	Postgres Fault = "postgres"
)

// Storm does harm: each of the kinds once, in a random order, and then at random until ctx ends; a kind that is named more
// often comes more often. Done counts what happened; it is not to be read before Storm has returned, and then all runs again.
func (r *Run) Storm(ctx context.Context, rnd *rand.Rand, done map[string]int, kinds ...Fault) error {
	var first []Fault
	for _, k := range kinds {
		if !slices.Contains(first, k) {
			first = append(first, k)
		}
	}
	rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	whole := r.T.Context()
	var errs []error
	for n := 0; n < len(first) || ctx.Err() == nil; n++ {
		pause := time.Duration(1500+rnd.IntN(2500)) * time.Millisecond
		if n < len(first) {
			replica.Wait(whole, pause)
		} else if replica.Wait(ctx, 2*pause); ctx.Err() != nil {
			break
		}
		kind, s := kinds[rnd.IntN(len(kinds))], r.Slots[rnd.IntN(len(r.Slots))]
		if n < len(first) {
			kind = first[n]
		}
		done[string(kind)]++
		r.Say("%s (worker %d)", kind, s.ID)
		if err := r.harm(whole, rnd, kind, s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", kind, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Run) harm(ctx context.Context, rnd *rand.Rand, kind Fault, s *replica.Replica) error {
	switch kind {
	case Freeze:
		return s.Freeze(ctx, Session+time.Duration(rnd.IntN(2000))*time.Millisecond)
	case Postgres:
		err := r.Postgres.Kill()
		replica.Wait(ctx, time.Duration(rnd.IntN(3000))*time.Millisecond)
		return errors.Join(err, r.Postgres.Restart(ctx))
	case All:
		var errs []error
		for _, s := range r.Slots {
			errs = append(errs, s.Kill(false))
		}
		return errors.Join(errs...)
	default:
		return s.Kill(kind == Wipe)
	}
}
