package app

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/processors/rest"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// journalReader reads flows' journals from the store's topic: one partition, from the flow's start on.
type journalReader struct{ admin *kafkaadmin.Admin }

// Bounds of one reading.
const (
	journalTime = 15 * time.Second
	journalRows = 100_000
	// clockSkew is how far the clocks of brokers and workers may be apart.
	clockSkew = 10 * time.Minute
)

// Rows implements [rest.Journal].
func (r journalReader) Rows(ctx context.Context, flowID string, since time.Time) ([]rest.JournalRow, error) {
	id, err := identity.ParseUUID(flowID)
	if err != nil {
		return nil, fmt.Errorf("flow id %q: %w", flowID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, journalTime)
	defer cancel()
	topic := topics.StoreTopic(topics.FlowGroup, topics.FlowJournalStore)
	spans, err := r.admin.Spans(ctx, kafkaadmin.Range{Topics: []string{topic}, From: kafkaadmin.Since(since.Add(-clockSkew))})
	if err != nil {
		return nil, fmt.Errorf("finding the journal of flow %s: %w", flowID, err)
	}
	partitions := 0
	for _, s := range spans {
		partitions = max(partitions, int(s.Partition)+1)
	}
	if partitions == 0 {
		return nil, fmt.Errorf("finding the journal of flow %s: topic %s has no partitions", flowID, topic)
	}
	own := topics.Partition([]byte(flowID), partitions)
	var wanted []kafkaadmin.Span
	for _, s := range spans {
		if s.Partition == own {
			wanted = append(wanted, s)
		}
	}
	rows := map[string]*flowv1.JournalRow{}
	err = r.admin.ReadSpans(ctx, wanted, func(rec kafkaadmin.Record) error {
		if !bytes.HasPrefix(rec.Key, id[:]) {
			return nil
		}
		if rec.Value == nil {
			delete(rows, string(rec.Key))
			return nil
		}
		row := &flowv1.JournalRow{}
		if err := proto.Unmarshal(rec.Value, row); err != nil {
			return fmt.Errorf("%s/%d/%d is not a journal row: %w", rec.Topic, rec.Partition, rec.Offset, err)
		}
		rows[string(rec.Key)] = row
		if len(rows) > journalRows {
			return fmt.Errorf("it has more than %d rows", journalRows)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the journal of flow %s: %w", flowID, err)
	}
	out := make([]rest.JournalRow, 0, len(rows))
	for key, row := range rows {
		out = append(out, rest.JournalRow{Key: []byte(key), Value: row})
	}
	return out, nil
}
