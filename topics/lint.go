package topics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Finding is a setting of a cluster's topic that can lose data or break a group.
type Finding struct {
	ID    string `json:"id"`
	Topic string `json:"topic"`
	// HoldsState tells whether the topic holds state: then production workers refuse to start.
	HoldsState bool   `json:"holds_state"`
	Text       string `json:"text"`
}

// String is the line that people read.
func (f Finding) String() string { return fmt.Sprintf("%s %s: %s", f.ID, f.Topic, f.Text) }

// Ids of findings.
const (
	FoundMissing         = "FL-TOPICS-010"
	FoundReplicas        = "FL-TOPICS-011"
	FoundMinInsync       = "FL-TOPICS-012"
	FoundUnclean         = "FL-TOPICS-013"
	FoundDeleteRetention = "FL-TOPICS-014"
	FoundCleanup         = "FL-TOPICS-015"
	FoundRetention       = "FL-TOPICS-016"
	FoundMaxMessage      = "FL-TOPICS-017"
	FoundPartitions      = "FL-TOPICS-018"
)

// Lint returns what is unsafe about a cluster's topics, sorted by topic. Under the dev profile one replica is safe
// enough. Only the topics of wanted are looked at; nil looks at the whole catalogue.
func Lint(catalogue []Topic, p Profile, cluster Cluster, wanted []string) []Finding {
	existing := map[string]Existing{}
	for _, e := range cluster.Topics {
		existing[e.Name] = e
	}
	l := linter{dev: p.Name == Dev().Name, counts: map[string]Existing{}}
	for _, t := range catalogue {
		if wanted != nil && !slices.Contains(wanted, t.Name) {
			continue
		}
		if e, ok := existing[t.Name]; ok {
			if t.Class == External {
				continue // it is shared with others, who may have shaped it
			}
			l.topic(t, e)
		} else {
			l.add(FoundMissing, t, "it does not exist: run fairlead topics apply")
		}
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return strings.Compare(a.Topic, b.Topic) })
	return l.found
}

type linter struct {
	dev    bool
	found  []Finding
	counts map[string]Existing
}

func (l *linter) add(id string, t Topic, format string, args ...any) {
	holds := t.Compacted() || t.Class == Loop
	l.found = append(l.found, Finding{ID: id, Topic: t.Name, HoldsState: holds, Text: fmt.Sprintf(format, args...)})
}

func (l *linter) topic(t Topic, e Existing) {
	if !l.dev {
		l.safety(t, e)
	}
	if got := e.Effective[configUnclean]; got == "true" {
		l.add(FoundUnclean, t, "unclean.leader.election.enable is true: a broker that lacks records may become leader and they are lost: set it to false")
	}
	if got := e.Effective[configCleanup]; got != t.Config[configCleanup] {
		l.add(FoundCleanup, t, "cleanup.policy is %s, it must be %s", got, t.Config[configCleanup])
	}
	if t.Compacted() {
		if ms := number(e.Effective[configDeleteRetention]); ms < minDeleteRetentionMs {
			l.add(FoundDeleteRetention, t, "delete.retention.ms is %d: readers that were away would miss deletions; at least %d is needed", ms, int64(minDeleteRetentionMs))
		}
	}
	if t.Class == Loop && (number(e.Effective[configRetention]) != -1 || number(e.Effective[configRetentionBytes]) != -1) {
		l.add(FoundRetention, t, "retention.ms is %s and retention.bytes %s: a loop must keep what was not read yet, and fairlead topics trim removes the rest: both must be -1",
			e.Effective[configRetention], e.Effective[configRetentionBytes])
	}
	if got, want := number(e.Effective[configMaxMessage]), number(t.Config[configMaxMessage]); got < want {
		l.add(FoundMaxMessage, t, "max.message.bytes is %d: records up to %d are written", got, want)
	}
	if other, ok := l.counts[t.Set]; ok && other.Partitions != e.Partitions {
		l.add(FoundPartitions, t, "it has %d partitions, %s of the same set %s has %d: groups need them equal", e.Partitions, other.Name, t.Set, other.Partitions)
	} else if !ok {
		l.counts[t.Set] = e
	}
}

func (l *linter) safety(t Topic, e Existing) {
	if e.Replicas < 3 {
		l.add(FoundReplicas, t, "it has %d replicas: fewer than 3 cannot lose a broker and stay safe", e.Replicas)
	}
	minInsync := int(number(e.Effective[configMinInsync]))
	switch {
	case minInsync < 2:
		l.add(FoundMinInsync, t, "min.insync.replicas is %d: a record counts as written before two brokers have it; set 2", minInsync)
	case minInsync >= e.Replicas:
		l.add(FoundMinInsync, t, "min.insync.replicas is %d of %d replicas: one broker that restarts stops all writes", minInsync, e.Replicas)
	}
}

// number reads a broker's setting; what is no number counts as 0, which no rule accepts.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
