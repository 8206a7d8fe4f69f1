package engine

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fence makes the running transaction one that only a member of the present generation can commit. What does that is
// the commit of offsets in it: the group's coordinator refuses those of a member that was given up. A transaction
// that moves no input (due timers, suspects) has none of its own, so a process that was stalled past its session
// could end it although its partitions, and its timers, are another's; here it commits the offsets that are
// committed already.
func (s *session) fence(ctx context.Context) error {
	cl := s.cl.Client()
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = s.txID, id, epoch, s.e.cfg.Prefix+string(s.e.graph.group)
	added, err := add.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("fence: add offsets to the transaction: %w", err)
	}
	member, _ := cl.GroupMetadata()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = s.txID, id, epoch, add.Group
	req.Generation, req.MemberID = s.generation, member
	if s.e.cfg.InstanceID != "" {
		req.InstanceID = kmsg.StringPtr(s.memberID)
	}
	held := map[int32]bool{}
	for topic, parts := range cl.CommittedOffsets() {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.topicID(s.e.strip(topic))
		for p, at := range parts {
			if part := s.parts[p]; part != nil {
				rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
				rp.Partition, rp.Offset, rp.LeaderEpoch = p, at.Offset, at.Epoch
				rp.Metadata = kmsg.StringPtr(metadata(max(part.now, part.last), false))
				t.Partitions = append(t.Partitions, rp)
				held[p] = true
			}
		}
		req.Topics = append(req.Topics, t)
	}
	// Refusals come by partition: an empty request is never refused.
	if len(held) != len(s.parts) {
		return fmt.Errorf("fence: %d of %d partitions are still assigned", len(held), len(s.parts))
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("fence: commit offsets: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("fence: commit offsets: %w", err)
			}
		}
	}
	return nil
}

// movesInput tells whether franz-go will commit offsets of its own with the running transaction.
func (s *session) movesInput() bool { return len(s.cl.Client().UncommittedOffsets()) > 0 }

// endFenced commits a flushed transaction that moves no input and is apart from the batch's own, whose records are polled
// already: the session's own End would commit them.
func (s *session) endFenced(ctx context.Context) error {
	if err := s.fence(ctx); err != nil {
		return fmt.Errorf("%w: %w", errRebuild, err)
	}
	if err := s.cl.Client().EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("%w: end transaction: %w", errRebuild, err)
	}
	s.open = false
	return nil
}

// endPlain commits a fenced transaction past franz-go's session: its End, finding no offsets to commit, would take the
// broker for an old one and sleep half a second (txn.go of v1.22.2, for what KIP-447 made unnecessary).
func (s *session) endPlain(ctx context.Context) error {
	err := s.cl.Client().EndTransaction(ctx, kgo.TryCommit)
	return s.ended(err == nil, err)
}
