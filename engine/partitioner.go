package engine

import "github.com/twmb/franz-go/pkg/kgo"

// explicitOrKey sends records with a partition of their own there, others by Kafka's murmur2 of their key.
type explicitOrKey struct{ byKey kgo.Partitioner }

func (e explicitOrKey) ForTopic(t string) kgo.TopicPartitioner {
	return &explicitTopic{e.byKey.ForTopic(t)}
}

type explicitTopic struct{ byKey kgo.TopicPartitioner }

func (e *explicitTopic) RequiresConsistency(*kgo.Record) bool { return true }

func (e *explicitTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return e.byKey.Partition(r, n)
}
