package engine_test

import (
	"testing"
	"time"

	"github.com/fairleadio/fairlead/engine/enginetest"
)

// A member to which the group gives no partitions is a spare, says so, and takes over.
func TestSpare(t *testing.T) {
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 1, transfers())
	owner := c.Start(t, transfers())
	spare := enginetest.Launch(t, c.Config(t), transfers())
	until := func(what string, cond func() bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx := enginetest.Context(t); !cond(); {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%s: owner %+v, spare %+v", what, owner.Status(), spare.Status())
			}
		}
	}
	// Which of the two has the partition, the group decides anew.
	until("one works and one is a spare", func() bool {
		a, b := owner.Status(), spare.Status()
		return a.Ready() && b.Spare() && !b.Ready() && !a.Spare() || b.Ready() && a.Spare() && !a.Ready() && !b.Spare()
	})
	if spare.Status().Ready() {
		owner, spare = spare, owner
	}
	if err := owner.Stop(); err != nil {
		t.Error(err)
	}
	if owner.Status().Spare() {
		t.Error("a member that has stopped is a spare")
	}
	until("the spare works", func() bool { return spare.Status().Ready() && !spare.Status().Spare() })
}
