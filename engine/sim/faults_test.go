//go:build synctests

package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fault is one entry of a seed's plan. Everything that it needs is in it, so that a plan from which others were taken
// away does the same.
type fault struct {
	at    time.Duration
	kind  byte
	node  int
	count int
	lasts time.Duration
	topic string
	part  int32
	key   kmsg.Key
	err   *kerr.Error
}

// The kinds of faults.
const (
	kill       = 'k' // SIGKILL
	wipe       = 'w' // SIGKILL, and the disk is lost
	powerOff   = 'p' // the machine is gone without a word, its newest writes to disk may be lost
	killAt     = 'S' // SIGKILL inside the count-th write to network or disk from now
	graceful   = 's' // SIGTERM, and a start after a while
	stall      = 'z' // all traffic of a process waits, longer than the session time-out
	hiccup     = 't' // the same, shorter than the session time-out
	twin       = 'Z' // a process is cut off; its replacement starts under the same name; the old one comes back
	moveOne    = 'm' // the leader of a partition moves
	moveAll    = 'l' // all leaders move
	rehash     = 'r' // all coordinators move
	cutThird   = 'd' // a third of the connections breaks
	deafen     = 'a' // the next count responses to a kind of request are lost, after the broker acted
	entityErr  = 'e' // the next count requests of a kind are answered with an error, for a topic or group
	topErr     = 'g' // the same at the top of the response
	brokerOff  = 'b' // a broker cannot be reached
	compaction = 'C' // the compacted topics are compacted
	clockStep  = 'c' // the wall clock of a machine jumps
)

// kinds is what plans draw from; a kind that stands twice is drawn twice as often.
const kinds = "kkwpSSSsszzttZmmlrrdaaaaeegbCCcc"

var lossy = []kmsg.Key{
	kmsg.EndTxn, kmsg.EndTxn, kmsg.Produce, kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.AddPartitionsToTxn,
	kmsg.AddOffsetsToTxn, kmsg.InitProducerID, kmsg.Heartbeat, kmsg.OffsetFetch, kmsg.OffsetCommit, kmsg.Fetch, kmsg.ListOffsets,
	kmsg.FindCoordinator, kmsg.LeaveGroup,
}

var coordinator = []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress}

// errorsOf are the errors that a real broker gives to a kind of request in passing.
var errorsOf = map[kmsg.Key][]*kerr.Error{
	kmsg.Produce: {kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut,
		kerr.LeaderNotAvailable},
	kmsg.Fetch:              {kerr.NotLeaderForPartition, kerr.ReplicaNotAvailable, kerr.KafkaStorageError, kerr.UnknownServerError},
	kmsg.ListOffsets:        {kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.OffsetNotAvailable},
	kmsg.FindCoordinator:    {kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress},
	kmsg.JoinGroup:          append(slices.Clone(coordinator), kerr.UnknownMemberID, kerr.RebalanceInProgress),
	kmsg.SyncGroup:          append(slices.Clone(coordinator), kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration),
	kmsg.Heartbeat:          append(slices.Clone(coordinator), kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.IllegalGeneration),
	kmsg.OffsetFetch:        append(slices.Clone(coordinator), kerr.UnstableOffsetCommit),
	kmsg.OffsetCommit:       append(slices.Clone(coordinator), kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration),
	kmsg.TxnOffsetCommit:    append(slices.Clone(coordinator), kerr.UnknownMemberID, kerr.IllegalGeneration),
	kmsg.InitProducerID:     append(slices.Clone(coordinator), kerr.ConcurrentTransactions),
	kmsg.AddPartitionsToTxn: append(slices.Clone(coordinator), kerr.ConcurrentTransactions),
	kmsg.AddOffsetsToTxn:    append(slices.Clone(coordinator), kerr.ConcurrentTransactions),
	kmsg.EndTxn:             append(slices.Clone(coordinator), kerr.ConcurrentTransactions),
}

var faulty = func() []kmsg.Key {
	keys := make([]kmsg.Key, 0, len(errorsOf))
	for k := range errorsOf {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}()

// newPlan draws count faults of the given kinds over a time.
func newPlan(seed uint64, count int, kinds string, over time.Duration, s *shape) []fault {
	r := newRNG(seed, "faults")
	var plan []fault
	for range count {
		f := fault{
			at: r.between(3*time.Second, over), kind: kinds[r.intn(len(kinds))], node: r.intn(3), count: 1 + r.intn(3),
			topic: pick(r, s.topics()), part: int32(r.intn(partitions)), lasts: r.between(500*time.Millisecond, 20*time.Second),
		}
		switch f.kind {
		case killAt:
			f.count = 1 + r.intn(150)
		case stall:
			f.lasts = r.between(7*time.Second, 20*time.Second)
		case hiccup:
			f.lasts = r.between(50*time.Millisecond, 2500*time.Millisecond)
		case twin:
			f.lasts = r.between(7*time.Second, 20*time.Second)
		case brokerOff:
			f.lasts = r.between(200*time.Millisecond, 10*time.Second)
		case deafen:
			f.key = pick(r, lossy)
		case entityErr, topErr:
			f.key = pick(r, faulty)
			f.err = pick(r, errorsOf[f.key])
			if f.key == kmsg.Produce && slices.Contains(s.inputs, f.topic) {
				f.topic = topicOut
			}
		}
		plan = append(plan, f)
	}
	slices.SortStableFunc(plan, func(a, b fault) int { return int(a.at - b.at) })
	return plan
}

func (f fault) String() string {
	s := fmt.Sprintf("%c at %.3fs", f.kind, f.at.Seconds())
	node := " node " + string(rune('a'+f.node))
	switch f.kind {
	case kill, wipe, powerOff, clockStep:
		return s + node
	case killAt:
		return fmt.Sprintf("%s%s, write %d", s, node, f.count)
	case graceful, stall, hiccup, twin:
		return fmt.Sprintf("%s%s for %.1fs", s, node, f.lasts.Seconds())
	case moveOne:
		return fmt.Sprintf("%s %s/%d", s, f.topic, f.part)
	case deafen:
		return fmt.Sprintf("%s %d × %s", s, f.count, f.key.Name())
	case entityErr, topErr:
		return fmt.Sprintf("%s %d × %s: %s", s, f.count, f.key.Name(), strings.ToLower(f.err.Message))
	case brokerOff:
		return fmt.Sprintf("%s broker %d for %.1fs", s, f.node, f.lasts.Seconds())
	}
	return s
}

// storm lets the plan happen.
func (w *world) storm() {
	for i, f := range w.plan {
		time.Sleep(f.at - time.Since(w.began))
		w.logs.add("", "FAULT "+f.String())
		w.strike(i, f)
	}
}

func (w *world) strike(i int, f fault) {
	n := w.nodes[f.node]
	l := n.current()
	draw := newRNG(w.seed, fmt.Sprint("fault ", f.at))
	switch f.kind {
	case kill, wipe, powerOff:
		if l != nil {
			l.die(death{wipe: f.kind == wipe, silent: f.kind == powerOff, power: f.kind == powerOff})
			w.revive(n, f.lasts/2)
		}
	case killAt:
		if l != nil {
			l.mu.Lock()
			l.effects = f.count
			l.mu.Unlock()
		}
	case graceful:
		if l != nil {
			w.tally(func(c *count) { c.Stops++ })
			w.running.Go(func() {
				l.shutdown()
				w.revive(n, f.lasts/4)
			})
		}
	case stall, hiccup:
		w.tally(func(c *count) { c.Stalls++ })
		n.mu.Lock()
		if until := time.Now().Add(f.lasts); until.After(n.stall) {
			n.stall = until
		}
		n.mu.Unlock()
	case twin:
		if l != nil {
			w.tally(func(c *count) { c.Stalls++ })
			w.cutOff(n, l, f.lasts)
		}
	case moveOne:
		w.move(f.topic, f.part, int32(draw.intn(len(brokers))))
	case moveAll:
		for _, t := range w.shape.topics() {
			for p := range int32(partitions) {
				w.move(t, p, int32(draw.intn(len(brokers))))
			}
		}
	case compaction:
		w.compact()
	case clockStep:
		if w.shape.clocks {
			w.tally(func(c *count) { c.ClockSteps++ })
			n.mu.Lock()
			n.wrong = draw.between(-w.settings.skew, w.settings.skew)
			n.mu.Unlock()
		}
	case rehash:
		w.fake.RehashCoordinators()
	case cutThird:
		w.net.each(func(k *link) {
			if mix(k.name, uint64(i))%3 == 0 {
				k.cut()
			}
		})
	case deafen:
		w.net.loseResponses(int16(f.key), f.count)
	case entityErr, topErr:
		kf := kfake.Fault{Keys: []kmsg.Key{f.key}, Err: f.err, Count: f.count, TopLevel: f.kind == topErr}
		if f.key == kmsg.Produce || f.key == kmsg.Fetch && f.kind == entityErr {
			kf.TopLevel = false
			kf.Topic = w.settings.prefix + f.topic
		}
		w.handles = append(w.handles, w.fake.Fault(kf))
	case brokerOff:
		w.net.refuse(brokers[f.node], f.lasts)
	}
}

func (w *world) move(topic string, part, to int32) {
	if err := w.fake.MoveTopicPartition(w.settings.prefix+topic, part, to); err != nil {
		w.fail("move %s/%d: %v", topic, part, err)
	}
}

// cutOff makes a process unreachable and starts another under its name, with an empty disk; the old one comes back
// later and dies some time after.
func (w *world) cutOff(n *node, l *life, lasts time.Duration) {
	l.mu.Lock()
	l.stall = time.Now().Add(lasts)
	l.leaving = true
	l.mu.Unlock()
	n.mu.Lock()
	w.keepDisk(l, n.disk)
	n.disk = w.newDisk()
	n.life = nil
	n.mu.Unlock()
	w.revive(n, w.settings.restart)
	w.running.Go(func() {
		select {
		case <-time.After(lasts + w.settings.restart):
			l.die(death{})
		case <-l.ended:
		}
	})
}
