package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// relayed runs a relay that copies every record to "out", under the record's place, and refuses "poison".
func relayed(t *testing.T, c *enginetest.Cluster, instance string, unwanted *atomic.Value, stuck func(string, int32)) (*engine.Relay, func()) {
	t.Helper()
	r, err := engine.NewRelay(engine.RelayConfig{
		Brokers: c.Brokers(), Prefix: c.Prefix, Group: "relay", InstanceID: instance, DeadLetters: "relay.dlq", Build: "test", OnStuck: stuck,
		Handle: func(_ context.Context, in engine.Incoming) ([]engine.Record, error) {
			switch {
			case in.Topic == unwanted.Load():
				return nil, engine.ErrNotFollowed
			case string(in.Value) == "poison":
				return nil, errors.New("no good")
			case string(in.Value) == "panic":
				panic("very bad")
			case in.TopicID == [16]byte{}:
				return nil, errors.New("the topic has no id")
			}
			return []engine.Record{{Topic: "out", Key: fmt.Sprintf("%s/%d/%d", in.Topic, in.Partition, in.Offset), Partition: -1, Msg: string(in.Value), Codec: text}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return r, stop
}

func TestRelayFollowsTopicsThatComeAndGo(t *testing.T) {
	c := enginetest.NewCluster(t)
	for topic, partitions := range map[string]int32{"out": 1, "relay.dlq": 1, "one": 2, "two": 1} {
		c.CreateTopic(t, topic, partitions, nil)
	}
	send := func(topic, value string) { c.Produce(t, topic, value, value, text) }
	out := func(n int) map[string]string {
		t.Helper()
		seen := map[string]string{}
		for _, r := range c.Consume(t, "out", n) {
			if seen[string(r.Key)] != "" {
				t.Errorf("%s was relayed twice", r.Key)
			}
			if header(r, engine.HeaderCause) != string(r.Key) {
				t.Errorf("%s has cause %s", r.Key, header(r, engine.HeaderCause))
			}
			seen[string(r.Key)] = string(r.Value)
		}
		if len(seen) != n {
			t.Errorf("%d records, not %d: %v", len(seen), n, seen)
		}
		return seen
	}
	var unwanted atomic.Value
	unwanted.Store("")
	r, stop := relayed(t, c, "0", &unwanted, nil)
	send("one", "a") // before anybody follows it
	r.Follow([]string{"one", "later"}, nil)
	out(1)
	send("one", "b")
	out(2)

	// What nobody follows waits; what is held waits too, and keeps its place.
	r.Follow([]string{"two"}, []string{"one"})
	send("two", "c")
	out(3)
	send("one", "held")
	r.Follow([]string{"two"}, nil)
	send("one", "gone")
	send("two", "d")
	out(4)

	// A topic that is made later is found; what waited is read from where it was left.
	c.CreateTopic(t, "later", 1, nil)
	send("later", "e")
	r.Follow([]string{"one", "two", "later"}, nil)
	got := fmt.Sprint(out(7))
	for _, want := range []string{"held", "gone", "later/0/0:e"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}

	// Bad records go to the dead letters; the others go on. Nobody speaks for the engine.
	c.Produce(t, "two", "k", "poison", text, engine.HeaderCause, "forged/0/0", "own", "1")
	send("two", "panic")
	send("two", "f")
	out(8)
	dead := c.Consume(t, "relay.dlq", 2)
	if h := header(dead[0], engine.HeaderDLQError); h != "no good" || header(dead[0], "own") != "1" || header(dead[0], engine.HeaderCause) != "two/0/2" || header(dead[0], engine.HeaderDLQSource) != "two/0/2" {
		t.Errorf("dead letter %v", dead[0].Headers)
	}
	if h := header(dead[1], engine.HeaderDLQError); !strings.Contains(h, "very bad") {
		t.Errorf("dead letter %v", dead[1].Headers)
	}

	// A topic that the worker does not want any more is left, until it is followed again.
	unwanted.Store("one")
	send("one", "g")
	send("two", "h")
	out(9)
	unwanted.Store("")
	r.Follow([]string{"one", "two", "later"}, nil)
	out(10)

	// Another process goes on where this one stopped.
	stop()
	send("one", "i")
	r2, stop2 := relayed(t, c, "1", &unwanted, nil)
	r2.Follow([]string{"one", "two", "later"}, nil)
	out(11)
	stop2()
}

// A topic whose records expired before they were read is not read on in silence; the others are.
func TestRelayStopsWhereRecordsAreLost(t *testing.T) {
	c := enginetest.NewCluster(t)
	for _, topic := range []string{"out", "relay.dlq", "one", "two"} {
		c.CreateTopic(t, topic, 1, nil)
	}
	var unwanted atomic.Value
	unwanted.Store("")
	r, stop := relayed(t, c, "0", &unwanted, nil)
	r.Follow([]string{"one"}, nil)
	c.Produce(t, "one", "k", "a", text)
	c.Produce(t, "one", "k", "b", text)
	c.Consume(t, "out", 2)
	stop()
	c.Produce(t, "one", "k", "lost", text)
	c.Produce(t, "one", "k", "c", text)
	upTo := kadm.Offsets{}
	upTo.AddOffset(c.Prefix+"one", 0, 3, -1)
	if _, err := c.Admin().DeleteRecords(enginetest.Context(t), upTo); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 10)
	r, stop = relayed(t, c, "0", &unwanted, func(topic string, p int32) { told <- fmt.Sprintf("%s/%d", topic, p) })
	defer stop()
	r.Follow([]string{"one", "two"}, nil)
	select {
	case at := <-told:
		if at != "one/0" {
			t.Errorf("told of %s", at)
		}
	case <-enginetest.Context(t).Done():
		t.Fatal("nobody was told")
	}
	c.Produce(t, "two", "k", "d", text)
	got := c.Consume(t, "out", 3)
	if string(got[2].Key) != "two/0/0" {
		t.Errorf("%s was read on", got[2].Key)
	}
}
