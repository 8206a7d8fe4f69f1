package kafkaadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Group is how a consumer group is.
type Group struct {
	// Name is without the prefix.
	Name string
	// State is Kafka's word: Stable, PreparingRebalance, CompletingRebalance, Empty, or Dead for a group that Kafka does
	// not know.
	State   string
	Members int
	// Lag counts what the group has still to read of what is committed. Read is false when it never read anything.
	Lag  int64
	Read bool
	// Err is why Kafka does not tell of this group.
	Err error
}

// maxCounted is up to how many offsets of lag are looked at one by one: offsets count the markers of transactions too, so
// that a group which has read everything seems to be one behind.
const maxCounted = 1000

// Groups tells how consumer groups are; names are without the prefix.
func (a *Admin) Groups(ctx context.Context, names []string) ([]Group, error) {
	prefixed := make([]string, len(names))
	for i, n := range names {
		prefixed[i] = a.prefix + n
	}
	lags, err := a.adm.Lag(ctx, prefixed...)
	if err != nil {
		return nil, fmt.Errorf("ask Kafka for the consumer groups: %w", err)
	}
	out := make([]Group, 0, len(names))
	behind := map[string][]Span{}
	var topics []string
	for _, name := range names {
		l, ok := lags[a.prefix+name]
		g := Group{Name: name, State: l.State, Members: len(l.Members), Err: l.Error()}
		if !ok || errors.Is(g.Err, kerr.GroupIDNotFound) { // brokers differ in how they say so
			g.State, g.Err = "Dead", nil
		}
		for topic, partitions := range l.Lag {
			for p, at := range partitions {
				g.Read = g.Read || at.Commit.At >= 0
				if at.Lag > 0 {
					short := strings.TrimPrefix(topic, a.prefix)
					behind[name] = append(behind[name], Span{Topic: short, Partition: p, From: max(at.Commit.At, at.Start.Offset), To: at.End.Offset})
					if !slices.Contains(topics, short) {
						topics = append(topics, short)
					}
				}
			}
		}
		out = append(out, g)
	}
	if len(topics) == 0 {
		return out, nil
	}
	// The end for groups is that of what is committed, which Kafka's own lag does not know.
	ends, err := a.Spans(ctx, Range{Topics: topics})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if err := a.count(ctx, &out[i], behind[out[i].Name], ends); err != nil {
			return nil, fmt.Errorf("count what group %s has to read: %w", out[i].Name, err)
		}
	}
	return out, nil
}

func (a *Admin) count(ctx context.Context, g *Group, behind, ends []Span) error {
	for i, s := range behind {
		at := slices.IndexFunc(ends, func(e Span) bool { return e.Topic == s.Topic && e.Partition == s.Partition })
		if at < 0 || ends[at].To <= s.From {
			behind[i].To = s.From
			continue
		}
		behind[i].To = ends[at].To
		g.Lag += behind[i].To - s.From
	}
	if g.Lag == 0 || g.Lag > maxCounted {
		return nil
	}
	var n int64
	err := a.ReadSpans(ctx, behind, func(Record) error {
		n++
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err == nil { // who may not read the records is told the offsets
		g.Lag = n
	}
	return nil
}

// CountSince counts the records of a topic since a time, up to a number, and tells when the last of them was written. A
// topic that does not exist has none.
func (a *Admin) CountSince(ctx context.Context, topic string, since time.Time, upTo int) (n int, last time.Time, err error) {
	err = a.Read(ctx, Range{Topics: []string{topic}, From: Since(since)}, func(r Record) error {
		n++
		last = r.Time
		if n >= upTo {
			return ErrStop
		}
		return nil
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return 0, time.Time{}, nil
	}
	return n, last, err
}
