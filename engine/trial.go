package engine

import (
	"context"
	"time"
)

// Trials keeps batches under suspicion apart, of all sessions of the engines that share it. While such a batch is in hand no
// other one is, so that a record that kills its process takes no records of other sessions with it: those would be in hand at
// as many deaths, and be dead-lettered though they harm nobody. A process that runs several groups gives all of them one.
type Trials struct{ turn chan struct{} }

// NewTrials makes one for the engines of a process.
func NewTrials() *Trials { return &Trials{make(chan struct{}, 1)} }

// trialPatience is how long a batch waits for another that is under suspicion: one that itself waits, for a server that is
// away, does not hold up other groups for longer.
const trialPatience = 5 * time.Second

// enter waits for its turn and returns what ends it.
func (t *Trials) enter(ctx context.Context) (leave func(), err error) {
	patience := time.NewTimer(trialPatience)
	defer patience.Stop()
	select {
	case t.turn <- struct{}{}:
		return func() { <-t.turn }, nil
	case <-patience.C:
		return func() {}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
