package kafkaadmin

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

	"github.com/fairleadio/fairlead/topics"
)

// Admin is a connection to a cluster. It may be used from any goroutine.
type Admin struct {
	opts   []kgo.Opt
	prefix string
	client *kgo.Client
	adm    *kadm.Client
}

// New connects lazily: the first call that needs a broker dials it.
func New(c Connection) (*Admin, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make Kafka client: %w", err)
	}
	return &Admin{opts: opts, prefix: c.Prefix, client: client, adm: kadm.NewClient(client)}, nil
}

// Close ends the connection.
func (a *Admin) Close() { a.client.Close() }

// Prefix returns the cluster's prefix.
func (a *Admin) Prefix() string { return a.prefix }

// fresh makes kadm ask the brokers: otherwise it answers from the client's cache, which may be seconds old, and a plan
// would be made for a cluster that is no more. Only requests with authorized operations go past the cache.
func fresh(ctx context.Context) context.Context { return kadm.WithAuthorizedOps(ctx) }

// Cluster describes the topics under the prefix, Kafka's own left out.
func (a *Admin) Cluster(ctx context.Context) (topics.Cluster, error) {
	meta, err := a.adm.Metadata(fresh(ctx))
	if err != nil {
		return topics.Cluster{}, fmt.Errorf("ask the cluster for its topics: %w", err)
	}
	out := topics.Cluster{ID: meta.Cluster, Prefix: a.prefix, Brokers: len(meta.Brokers)}
	var names []string
	for name, t := range meta.Topics {
		if t.IsInternal || strings.HasPrefix(name, "__") || !strings.HasPrefix(name, a.prefix) || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if t.Err != nil {
			return topics.Cluster{}, fmt.Errorf("describe topic %s: %w", name, t.Err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return out, nil
	}
	configs, err := a.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return topics.Cluster{}, fmt.Errorf("describe the topics' settings: %w", err)
	}
	for _, name := range names {
		e := existing(strings.TrimPrefix(name, a.prefix), meta.Topics[name])
		rc, err := configs.On(name, nil)
		if err == nil {
			err = rc.Err
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // deleted between the two requests
		}
		if err != nil {
			return topics.Cluster{}, fmt.Errorf("describe the settings of topic %s: %w", name, err)
		}
		for _, c := range rc.Configs {
			e.Effective[c.Key] = c.MaybeValue()
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig && !strings.HasPrefix(c.Key, "kfake.") {
				e.Config[c.Key] = c.MaybeValue()
			}
		}
		out.Topics = append(out.Topics, e)
	}
	return out, nil
}

func existing(name string, t kadm.TopicDetail) topics.Existing {
	e := topics.Existing{Name: name, Partitions: len(t.Partitions), Config: map[string]string{}, Effective: map[string]string{}}
	first := true
	for _, p := range t.Partitions {
		if first || len(p.Replicas) < e.Replicas {
			e.Replicas = len(p.Replicas)
		}
		first = false
	}
	return e
}

// Step is a change of a plan that is being made.
type Step struct {
	Topic string
	// Changes are made by one request.
	Changes []topics.Change
}

// Steps groups changes into requests: the settings of a topic change together or not at all.
func Steps(changes []topics.Change) []Step {
	var out []Step
	settings := map[string]int{}
	for _, c := range changes {
		if c.Kind != topics.SetConfig && c.Kind != topics.UnsetConfig {
			out = append(out, Step{c.Topic, []topics.Change{c}})
			continue
		}
		if i, ok := settings[c.Topic]; ok {
			out[i].Changes = append(out[i].Changes, c)
			continue
		}
		settings[c.Topic] = len(out)
		out = append(out, Step{c.Topic, []topics.Change{c}})
	}
	return out
}

// Do makes one step.
func (a *Admin) Do(ctx context.Context, s Step) error {
	topic := a.prefix + s.Topic
	c := s.Changes[0]
	var err error
	switch c.Kind {
	case topics.Create:
		configs := map[string]*string{}
		for k, v := range c.Config {
			configs[k] = &v
		}
		_, err = a.adm.CreateTopic(ctx, int32(c.Partitions), int16(c.Replicas), configs, topic)
		if err == nil {
			err = a.waitForLeaders(ctx, topic, c.Partitions)
		}
	case topics.AddPartitions:
		var r kadm.CreatePartitionsResponses
		if r, err = a.adm.UpdatePartitions(ctx, c.Partitions, topic); err == nil {
			err = r.Error()
		}
	case topics.SetConfig, topics.UnsetConfig:
		var alter []kadm.AlterConfig
		for _, c := range s.Changes {
			if c.Kind == topics.UnsetConfig {
				alter = append(alter, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: c.Key})
			} else {
				alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Key, Value: &c.To})
			}
		}
		var r kadm.AlterConfigsResponses
		if r, err = a.adm.AlterTopicConfigs(ctx, alter, topic); err == nil {
			for _, one := range r {
				err = errors.Join(err, one.Err)
			}
		}
	case topics.Delete:
		_, err = a.adm.DeleteTopic(ctx, topic)
	default:
		err = fmt.Errorf("unknown kind of change %q", c.Kind)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

// leaderPoll is how often a new topic is looked at until it can be written.
const leaderPoll = 50 * time.Millisecond

func (a *Admin) waitForLeaders(ctx context.Context, topic string, partitions int) error {
	tick := time.NewTicker(leaderPoll)
	defer tick.Stop()
	for {
		details, err := a.adm.ListTopics(fresh(ctx), topic)
		if err != nil {
			return fmt.Errorf("wait for the new topic's leaders: %w", err)
		}
		led := 0
		for _, p := range details[topic].Partitions {
			if p.Leader >= 0 && p.Err == nil {
				led++
			}
		}
		if led == partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the new topic's leaders: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Ping asks each known broker once, without waiting for one that is away.
func (a *Admin) Ping(ctx context.Context) error {
	if err := a.client.Ping(ctx); err != nil {
		return fmt.Errorf("no broker answers: %w", err)
	}
	return nil
}
