package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topology is what the cluster says about the topics that the group uses.
type topology struct {
	cluster string
	topics  map[string]topicInfo
}

type topicInfo struct {
	id         [16]byte
	partitions int32
}

// MissingTopicsError tells what an operator must make before the group can run.
type MissingTopicsError struct {
	Group string
	// Missing are topics that do not exist; Wrong says of others what is wrong with them.
	Missing, Wrong []string
}

func (e *MissingTopicsError) Error() string {
	var parts []string
	if len(e.Missing) > 0 {
		parts = append(parts, "missing topics: "+strings.Join(e.Missing, ", "))
	}
	parts = append(parts, e.Wrong...)
	return fmt.Sprintf("group %s: %s (workers create no topics; run 'fairlead topics plan', then 'fairlead topics apply')", e.Group, strings.Join(parts, "; "))
}

// describe reads ids and partition counts of the group's topics, and checks that those of one partition have the
// same count.
func (e *Engine) describe(ctx context.Context) (*topology, error) {
	var names []string
	co := map[string]bool{}
	for _, ed := range e.graph.edges {
		if ed.Kind == EdgeReads || ed.Kind == EdgeInbox || ed.Kind == EdgeDynamic {
			continue
		}
		names = append(names, e.cfg.Prefix+ed.Topic)
		switch ed.Kind {
		case EdgeInput, EdgeJoin, EdgeTable, EdgeLoop, EdgeStore, EdgeRows, EdgeDeadLetters:
			co[ed.Topic] = true
		default: // outputs and lookups may have any number of partitions
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	meta, err := e.admin.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("read topics of group %s: %w", e.graph.group, err)
	}
	out := &topology{cluster: meta.Cluster, topics: map[string]topicInfo{}}
	missing := &MissingTopicsError{Group: string(e.graph.group)}
	count, of := int32(-1), ""
	for _, name := range names {
		t := meta.Topics[name]
		topic := e.strip(name)
		if errors.Is(t.Err, kerr.UnknownTopicOrPartition) || len(t.Partitions) == 0 && t.Err == nil {
			missing.Missing = append(missing.Missing, topic)
			continue
		}
		if t.Err != nil {
			return nil, fmt.Errorf("read topic %s: %w", topic, t.Err)
		}
		n := int32(len(t.Partitions))
		out.topics[topic] = topicInfo{t.ID, n}
		if !co[topic] {
			continue
		}
		if count < 0 {
			count, of = n, topic
		}
		if n != count {
			missing.Wrong = append(missing.Wrong, fmt.Sprintf("%s has %d partitions and %s has %d, they must have the same number", topic, n, of, count))
		}
	}
	if len(missing.Missing)+len(missing.Wrong) > 0 {
		return nil, missing
	}
	return out, nil
}

// askCommitted asks for what the group has committed of these partitions alone: others may be in the middle of a
// transaction at any time, and are not waited for. The answer is whole, or an error: a client that cannot find out a
// topic's name (newer brokers answer with ids, and the one that knows the name may be away) leaves it out without a word,
// which must not pass for a partition that nobody has ever committed.
func (s *session) askCommitted(ctx context.Context, want map[string]map[int32]kgo.Offset) (map[string]map[int32]kmsg.OffsetFetchResponseGroupTopicPartition, error) {
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = s.e.cfg.Prefix + string(s.e.graph.group)
	for _, t := range keys(want) {
		topic := kmsg.NewOffsetFetchRequestGroupTopic()
		topic.Topic = t
		for p := range want[t] {
			topic.Partitions = append(topic.Partitions, p)
		}
		slices.Sort(topic.Partitions)
		group.Topics = append(group.Topics, topic)
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(ctx, s.e.adminCl)
	if err != nil {
		return nil, err
	}
	if n := len(resp.Groups); n != 1 {
		return nil, fmt.Errorf("the answer is about %d groups", n)
	}
	if err := kerr.ErrorForCode(resp.Groups[0].ErrorCode); err != nil {
		return nil, err
	}
	out := map[string]map[int32]kmsg.OffsetFetchResponseGroupTopicPartition{}
	for _, t := range resp.Groups[0].Topics {
		out[t.Topic] = map[int32]kmsg.OffsetFetchResponseGroupTopicPartition{}
		for _, p := range t.Partitions {
			out[t.Topic][p.Partition] = p
		}
	}
	for _, t := range group.Topics {
		for _, id := range t.Partitions {
			p, ok := out[t.Topic][id]
			if !ok {
				return nil, fmt.Errorf("the answer lacks %s/%d", t.Topic, id)
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("%s/%d: %w", t.Topic, id, err)
			}
		}
	}
	return out, nil
}

// fetchCommitted reads what the group has committed for the partitions in hand.
func (s *session) fetchCommitted(ctx context.Context, want map[string]map[int32]kgo.Offset) (*assignment, error) {
	var all map[string]map[int32]kmsg.OffsetFetchResponseGroupTopicPartition
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var err error
		if all, err = s.askCommitted(ctx, want); err == nil {
			break
		}
		s.e.cfg.Log.Debug("committed offsets are not known yet", "group", string(s.e.graph.group), "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
	a := &assignment{committed: map[string]map[int32]committed{}}
	var starts kadm.ListedOffsets
	seen := map[int32]bool{}
	for t, ps := range want {
		topic := s.e.strip(t)
		a.topics = append(a.topics, topic)
		a.committed[topic] = map[int32]committed{}
		for p := range ps {
			if !seen[p] {
				seen[p] = true
				a.partitions = append(a.partitions, p)
			}
			if r := all[t][p]; r.Offset >= 0 {
				c := committed{offset: r.Offset, epoch: r.LeaderEpoch}
				if r.Metadata != nil {
					c.metadata = *r.Metadata
				}
				c.now, c.clean = parseMetadata(c.metadata)
				a.committed[topic][p] = c
				continue
			}
			if starts == nil {
				var err error
				if starts, err = s.e.admin.ListStartOffsets(ctx, keys(want)...); err != nil {
					return nil, fmt.Errorf("find the start of %s: %w", topic, err)
				}
			}
			o, ok := starts.Lookup(t, p)
			if !ok || o.Err != nil {
				return nil, fmt.Errorf("find the start of %s/%d: %w", topic, p, o.Err)
			}
			a.committed[topic][p] = committed{offset: o.Offset, epoch: -1, fresh: true, clean: true}
		}
	}
	slices.Sort(a.topics)
	slices.Sort(a.partitions)
	return a, nil
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// logBounds returns the uncommitted end and the start of each changelog.
func (s *session) logBounds(ctx context.Context, logs []*changelog) (ends, starts map[string]map[int32]int64, err error) {
	var topics []string
	for _, l := range logs {
		topics = append(topics, s.e.cfg.Prefix+l.topic)
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	if len(topics) == 0 {
		return map[string]map[int32]int64{}, map[string]map[int32]int64{}, nil
	}
	read := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) (map[string]map[int32]int64, error) {
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
			listed, err := list(ctx, topics...)
			if err == nil {
				err = listed.Error()
			}
			if err == nil {
				out := map[string]map[int32]int64{}
				listed.Each(func(o kadm.ListedOffset) {
					t := s.e.strip(o.Topic)
					if out[t] == nil {
						out[t] = map[int32]int64{}
					}
					out[t][o.Partition] = o.Offset
				})
				return out, nil
			}
			s.e.cfg.Log.Debug("cannot read the changelogs' bounds yet", "group", string(s.e.graph.group), "error", err)
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(wait):
			}
		}
	}
	if ends, err = read(s.e.admin.ListEndOffsets); err != nil {
		return nil, nil, fmt.Errorf("read the ends of changelogs: %w", err)
	}
	if starts, err = read(s.e.admin.ListStartOffsets); err != nil {
		return nil, nil, fmt.Errorf("read the starts of changelogs: %w", err)
	}
	return ends, starts, nil
}

// jumpToStart goes on at a log's start after its records expired; only topics of requests with deadlines may.
func (s *session) jumpToStart(ctx context.Context, topic string, partition int32) error {
	starts, err := s.e.admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("find the start of %s: %w", topic, err)
	}
	o, ok := starts.Lookup(topic, partition)
	if !ok || o.Err != nil {
		return fmt.Errorf("find the start of %s/%d: %w", topic, partition, o.Err)
	}
	s.e.metrics.lost.WithLabelValues(s.e.strip(topic)).Inc()
	s.e.cfg.Log.Error("requests expired before they were read; going on at the log's start", "group", string(s.e.graph.group),
		"topic", s.e.strip(topic), "partition", partition, "offset", o.Offset)
	s.cl.Client().SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: o.Offset}}})
	return nil
}

func (s *session) topicID(topic string) [16]byte {
	if t := s.state.topology.Load(); t != nil {
		return t.topics[topic].id
	}
	return [16]byte{}
}
