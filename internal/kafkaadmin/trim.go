package kafkaadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/fairleadio/fairlead/topics"
)

// Trim is what can be removed of one partition of a loop topic: its group has read it, and it is old.
type Trim struct {
	// Topic is without prefix.
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// From is the log's start, To the first offset that stays.
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Trims finds what can be removed of the loop topics of a catalogue: records before a time that their group has read and
// committed. Loops have no retention of their own, because what they hold must not be lost before it was read. Topics that
// the cluster does not have are passed over.
func (a *Admin) Trims(ctx context.Context, catalogue []topics.Topic, before time.Time) ([]Trim, error) {
	var out []Trim
	for _, t := range catalogue {
		if t.Own != topics.KindLoop {
			continue
		}
		name := a.prefix + t.Name
		committed, err := a.adm.FetchOffsets(ctx, a.prefix+t.Owner)
		if errors.Is(err, kerr.GroupIDNotFound) {
			continue // nobody has read anything
		}
		if err != nil {
			return nil, fmt.Errorf("read what group %s has committed: %w", t.Owner, err)
		}
		starts, err := a.adm.ListStartOffsets(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read the start of %s: %w", t.Name, err)
		}
		since, err := a.adm.ListOffsetsAfterMilli(ctx, before.UnixMilli(), name)
		if err != nil {
			return nil, fmt.Errorf("find the records of %s before %s: %w", t.Name, before.UTC().Format(time.RFC3339), err)
		}
		for p, start := range starts[name] {
			c, ok := committed.Lookup(name, p)
			after, known := since.Lookup(name, p)
			if !ok || !known || start.Err != nil || after.Err != nil {
				continue
			}
			if to := min(c.At, after.Offset); to > start.Offset {
				out = append(out, Trim{Topic: t.Name, Partition: p, From: start.Offset, To: to})
			}
		}
	}
	slices.SortFunc(out, func(a, b Trim) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition - b.Partition)
	})
	return out, nil
}

// Trim removes it.
func (a *Admin) Trim(ctx context.Context, what []Trim) error {
	offsets := kadm.Offsets{}
	for _, t := range what {
		offsets.AddOffset(a.prefix+t.Topic, t.Partition, t.To, -1)
	}
	done, err := a.adm.DeleteRecords(ctx, offsets)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		return fmt.Errorf("remove records: %w", err)
	}
	return nil
}
