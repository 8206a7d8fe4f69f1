package bank

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/integration/replica"
)

// chaos does harm at random until its context ends.
type chaos struct {
	rnd     *rand.Rand
	cluster *kafkatest.Cluster
	slots   []*replica.Replica
	// session is the workers' session time-out: a frozen one is frozen for longer.
	session time.Duration
	say     func(format string, args ...any)
	done    map[string]int

	frozen, brokers sync.WaitGroup
	brokerDown      sync.Mutex
	mu              sync.Mutex
	errs            []error
}

// faults returns the kinds of harm that this cluster allows, by name; the frequent ones several times.
func (c *chaos) faults() []string {
	out := []string{"kill", "kill", "kill", "kill", "wipe", "freeze", "freeze", "scale"}
	if c.cluster.Nodes() > 1 {
		out = append(out, "broker", "stall")
	}
	return out
}

// run first does each kind of harm once, in random order, and then goes on at random. All is whole again when it
// returns.
func (c *chaos) run(ctx context.Context) error {
	c.done = map[string]int{}
	first := []string{"kill", "wipe", "freeze", "scale"}
	if c.cluster.Nodes() > 1 {
		first = append(first, "broker", "stall")
	}
	c.rnd.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	kinds := c.faults()
	for n := 0; ctx.Err() == nil; n++ {
		replica.Wait(ctx, time.Duration(500+c.rnd.IntN(1500))*time.Millisecond)
		if ctx.Err() != nil {
			break
		}
		kind := kinds[c.rnd.IntN(len(kinds))]
		if n < len(first) {
			kind = first[n]
		}
		c.done[kind]++
		if err := c.do(ctx, kind); err != nil {
			c.note(fmt.Errorf("%s: %w", kind, err))
		}
	}
	c.frozen.Wait()
	c.brokers.Wait()
	for _, s := range c.slots {
		s.Want()
	}
	return errors.Join(c.errs...)
}

func (c *chaos) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

func (c *chaos) do(ctx context.Context, kind string) error {
	s := c.slots[c.rnd.IntN(len(c.slots))]
	switch kind {
	case "kill", "wipe":
		c.say("%s worker %d", kind, s.ID)
		return s.Kill(kind == "wipe")
	case "freeze":
		d := c.session + time.Duration(c.rnd.IntN(2000))*time.Millisecond
		c.say("freeze worker %d for %v", s.ID, d)
		c.frozen.Go(func() {
			if err := s.Freeze(ctx, d); err != nil {
				c.note(fmt.Errorf("freeze: %w", err))
			}
		})
	case "scale":
		// Three to one and back, in order.
		c.say("scale down to worker %d", s.ID)
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		c.frozen.Wait() // who is frozen cannot stop in order
		var errs []error
		for _, o := range c.slots {
			if o != s {
				errs = append(errs, o.Stop(stopping))
			}
		}
		replica.Wait(ctx, time.Duration(1000+c.rnd.IntN(2000))*time.Millisecond)
		c.say("scale up")
		for _, o := range c.slots {
			o.Want()
		}
		return errors.Join(errs...)
	case "broker", "stall":
		id := 1 + c.rnd.IntN(c.cluster.Nodes())
		lasts := time.Duration(1000+c.rnd.IntN(3000)) * time.Millisecond
		if !c.brokerDown.TryLock() {
			return nil // two of three at once lose the quorum, not the engine's case
		}
		c.say("%s: broker %d for %v", kind, id, lasts)
		harm := c.restart
		if kind == "stall" {
			harm = c.stall
		}
		c.brokers.Go(func() {
			defer c.brokerDown.Unlock()
			if err := harm(ctx, id, lasts); err != nil {
				c.note(fmt.Errorf("%s: %w", kind, err))
			}
		})
	}
	return nil
}

// stall freezes a broker for a while: markers of decided transactions reach its partitions later than others, and
// clients wait on open connections.
func (c *chaos) stall(ctx context.Context, id int, lasts time.Duration) error {
	if err := c.cluster.Pause(id); err != nil {
		return err
	}
	replica.Wait(ctx, lasts)
	if err := c.cluster.Continue(id); err != nil {
		return err
	}
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	return c.cluster.WaitNodes(again)
}

// restart kills a broker and brings it back after a while; the other faults go on meanwhile.
func (c *chaos) restart(ctx context.Context, id int, down time.Duration) error {
	if err := c.cluster.Kill(id); err != nil {
		return err
	}
	replica.Wait(ctx, down)
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	if err := c.cluster.Restart(again, id); err != nil {
		return err
	}
	c.say("broker %d is back", id)
	return nil
}
