package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// Record is what a trace needs of one record.
type Record struct {
	Place engine.Cause
	// Cause is zero for a record that came from outside.
	Cause engine.Cause
	Key   string
	// Type is the message name.
	Type string
	// StepMicros is when the step that wrote it began, WrittenMicros when it was handed to Kafka (whole
	// milliseconds), both microseconds UTC.
	StepMicros, WrittenMicros int64
	// Tombstone is a record without value.
	Tombstone bool
}

// Log reads committed records; [kafkaadmin.Admin] is one.
type Log interface {
	Read(ctx context.Context, r kafkaadmin.Range, f func(kafkaadmin.Record) error) error
}

// Topics returns the topics that hops go through: all but tables, stores, the engine's rows, the facts that the database
// worker publishes, and what neither groups nor rest write.
func Topics() []string {
	var out []string
	groups := map[string]bool{}
	for _, t := range topics.All() {
		if t.Own == topics.KindRows {
			groups[t.Owner] = true
		}
	}
	for _, t := range topics.All() {
		inner := t.Own == topics.KindTable || t.Own == topics.KindStore || t.Own == topics.KindRows || t.Set == topics.FactsSet
		byGroup := slices.ContainsFunc(t.Writers, func(w string) bool { return groups[w] })
		if !inner && (byGroup || slices.Contains(t.Writers, topics.RestWorker)) {
			out = append(out, t.Name)
		}
	}
	return out
}

// Scan reads the headers of all hops since a time; the zero time reads everything. Topics that the cluster does not
// have are passed over.
func Scan(ctx context.Context, log Log, since time.Time) ([]Record, error) {
	from := kafkaadmin.Start()
	if !since.IsZero() {
		from = kafkaadmin.Since(since)
	}
	var out []Record
	for _, topic := range Topics() {
		err := log.Read(ctx, kafkaadmin.Range{Topics: []string{topic}, From: from}, func(r kafkaadmin.Record) error {
			out = append(out, read(r))
			return nil
		})
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("reading %s: %w", topic, err)
		}
	}
	return out, nil
}

// read takes what is needed; headers that cannot be read count as absent.
func read(r kafkaadmin.Record) Record {
	out := Record{
		Place: engine.Cause{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, Key: string(r.Key), Type: r.Header(engine.HeaderType),
		WrittenMicros: r.Time.UnixMicro(), Tombstone: r.Value == nil,
	}
	if c, err := engine.ParseCause(r.Header(engine.HeaderCause)); err == nil {
		out.Cause = c
	}
	out.StepMicros = out.WrittenMicros
	if us, err := strconv.ParseInt(r.Header(engine.HeaderNow), 10, 64); err == nil {
		out.StepMicros = us
	}
	return out
}
