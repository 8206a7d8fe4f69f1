package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A client that has sent to a topic and not stored its partitions yet takes the transaction for an empty one.
func TestCommitWaitsForClientToStoreTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := time.Now().Add(time.Second)
		asked := 0
		leader := func(topic string, partition int32) (int32, int32, error) {
			if topic != "loop" || partition != 3 {
				t.Errorf("asked for %s/%d, which nobody wrote to", topic, partition)
			}
			if asked++; time.Now().Before(stored) {
				return -1, -1, errors.New("the topic was unknown before")
			}
			return 0, 5, nil
		}
		var topics storedTopics
		topics.wrote("loop", 3)
		if err := topics.wait(t.Context(), leader); err != nil {
			t.Fatal(err)
		}
		if time.Now().Before(stored) {
			t.Error("did not wait")
		}
		asked = 0
		topics.wrote("loop", 3)
		if err := topics.wait(t.Context(), leader); err != nil || asked > 0 {
			t.Errorf("a topic that is known is asked for again %d times: %v", asked, err)
		}
		topics.forget()
		stored = time.Now().Add(time.Hour)
		topics.wrote("loop", 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := topics.wait(ctx, leader); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting ended with %v", err)
		}
	})
}

// A partition whose leader went away after it was written to is known all the same.
func TestLeaderlessPartitionIsStored(t *testing.T) {
	var topics storedTopics
	topics.wrote("loop", 0)
	err := topics.wait(t.Context(), func(string, int32) (int32, int32, error) { return -1, 4, errors.New("no leader") })
	if err != nil {
		t.Fatal(err)
	}
}
