package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kerr"
)

// EmitsDynamic lets callbacks emit, in their transaction, to topics that are no edges of the graph because only the
// running system knows them: those that others declare. class names them as a whole, for catalogues and pictures;
// allowed is asked for every emit, with the topic's name without prefix, and must be cheap. A topic may lie anywhere
// and have any number of partitions; an empty key leaves the partition to the producer.
//
// Nobody checks at the start that such a topic exists: ask [CanEmit] first. One that vanishes in between costs aborts
// and, after Config.CrashLimit of them, its record, which is dead-lettered; other records go on.
func EmitsDynamic(class string, codec Codec, allowed func(topic string) bool) goka.Edge {
	return &edge{kind: EdgeDynamic, name: class, codec: codec, allowed: allowed}
}

// CanEmit tells why a callback cannot emit to a topic of [EmitsDynamic] now: it is not allowed
// ([ErrTopicNotAllowed]), does not exist ([ErrNoTopic]), or the brokers do not say; nil when it can. What is known of
// a topic is looked up again after some seconds. A Context that is not the engine's own (a test's) allows everything.
func CanEmit(ctx Context, topic string) error {
	c, ok := ctx.(interface{ canEmit(topic string) error })
	if !ok {
		return nil
	}
	return c.canEmit(topic)
}

// Errors of [CanEmit].
var (
	ErrTopicNotAllowed = errors.New("the group may not emit to this topic")
	ErrNoTopic         = errors.New("there is no such topic")
)

// How long what is known of a dynamic topic is taken for true, when it exists and when it does not.
const (
	dynamicKnown   = 10 * time.Second
	dynamicUnknown = time.Second
)

// dynamicTopics remembers which topics exist. The zero value is ready.
type dynamicTopics struct {
	mu    sync.Mutex
	known map[string]dynamicTopic
}

type dynamicTopic struct {
	err   error
	until time.Time
}

// check tells whether a topic exists, asking the brokers when it is not known lately.
func (d *dynamicTopics) check(ctx context.Context, e *Engine, topic string) error {
	now := time.Now()
	d.mu.Lock()
	t, ok := d.known[topic]
	d.mu.Unlock()
	if ok && now.Before(t.until) {
		return t.err
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.EndTimeout)
	defer cancel()
	meta, err := e.admin.Metadata(ctx, e.cfg.Prefix+topic)
	if err != nil {
		return fmt.Errorf("look for topic %s: %w", topic, err)
	}
	found := meta.Topics[e.cfg.Prefix+topic]
	t = dynamicTopic{until: now.Add(dynamicKnown)}
	switch {
	case errors.Is(found.Err, kerr.UnknownTopicOrPartition), found.Err == nil && len(found.Partitions) == 0:
		t = dynamicTopic{err: fmt.Errorf("topic %s: %w", topic, ErrNoTopic), until: now.Add(dynamicUnknown)}
	case found.Err != nil:
		return fmt.Errorf("look for topic %s: %w", topic, found.Err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string]dynamicTopic{}
	}
	d.known[topic] = t
	return t.err
}

func (rc *recordContext) canEmit(topic string) error {
	g := rc.p.s.e.graph
	if _, ok := g.outputs[topic]; ok {
		return nil
	}
	if g.dynamic == nil || g.owns(topic) || !g.dynamic.allowed(topic) {
		return fmt.Errorf("topic %s: %w", topic, ErrTopicNotAllowed)
	}
	return rc.p.s.e.dynamic.check(rc.Context(), rc.p.s.e, topic)
}

// owns tells whether a topic is an edge of the group, which no dynamic emit may write past.
func (g *Graph) owns(topic string) bool {
	for _, e := range g.edges {
		if e.Topic == topic && e.Kind != EdgeDynamic {
			return true
		}
	}
	return false
}

// isDynamic tells whether a topic can only have been emitted to through EmitsDynamic.
func (g *Graph) isDynamic(topic string) bool { return g.dynamic != nil && !g.owns(topic) }

// refusesTopic tells whether a produce error says that a topic is gone or closed to us, which only a dynamic topic can
// be while the group runs.
func refusesTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) ||
		errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.InvalidTopicException)
}
