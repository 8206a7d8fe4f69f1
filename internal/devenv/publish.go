package devenv

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// cluster is a Kafka that is being prepared.
type cluster struct {
	admin    *kafkaadmin.Admin
	producer *engine.Producer
}

// prepareTopics makes the cluster's topics what the catalogue says, through the same plan as `topics apply`, and those of
// channels that are about to be there.
func (c cluster) prepareTopics(ctx context.Context, planned ...topics.Channel) (changes int, err error) {
	now, err := c.admin.Cluster(ctx)
	if err != nil {
		return 0, err
	}
	catalogue, err := channels.Catalogue(ctx, c.admin, planned...)
	if err != nil {
		return 0, err
	}
	plan, err := topics.NewPlan(catalogue, topics.Dev(), topics.Overrides{}, false, now)
	if err != nil {
		return 0, err
	}
	if len(plan.Refusals) > 0 {
		return 0, fmt.Errorf("FL-DEV-004: the topics of this cluster cannot be used: %s", plan.Refusals[0])
	}
	for _, step := range kafkaadmin.Steps(plan.Changes) {
		if err := c.admin.Do(ctx, step); err != nil {
			return 0, fmt.Errorf("preparing topic %s: %w", step.Topic, err)
		}
	}
	if _, err := c.admin.PublishSchemas(ctx); err != nil {
		return 0, fmt.Errorf("publishing message descriptors: %w", err)
	}
	return len(plan.Changes), nil
}

// publish writes the facts that differ from those published, in order; with onlyMissing, those that are not there.
func (c cluster) publish(ctx context.Context, wanted []fact, onlyMissing bool) (written int, err error) {
	type place struct{ topic, key string }
	codecs := map[string]engine.Codec{}
	var names []string
	for _, f := range wanted {
		if codecs[f.topic] == nil {
			names = append(names, f.topic)
		}
		codecs[f.topic] = f.codec
	}
	if len(names) == 0 {
		return 0, nil
	}
	have := map[place]proto.Message{}
	err = c.admin.Read(ctx, kafkaadmin.Range{Topics: names}, func(r kafkaadmin.Record) error {
		at := place{r.Topic, string(r.Key)}
		delete(have, at)
		if r.Value == nil {
			return nil
		}
		// What cannot be read is published again.
		if m, err := codecs[r.Topic].Decode(r.Value); err == nil {
			if m, ok := m.(proto.Message); ok {
				have[at] = m
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("reading what is published: %w", err)
	}
	if onlyMissing {
		wanted = slices.DeleteFunc(wanted, func(f fact) bool { return have[place{f.topic, f.key}] != nil })
	}
	changed := outdated(wanted, func(topic, key string) proto.Message { return have[place{topic, key}] }, time.Now().UnixMicro())
	for _, f := range changed {
		if _, err := c.producer.Produce(ctx, engine.Record{Topic: f.topic, Key: f.key, Partition: -1, Msg: f.msg, Codec: f.codec}); err != nil {
			return 0, fmt.Errorf("publishing %s of %s: %w", f.key, f.topic, err)
		}
	}
	return len(changed), nil
}
