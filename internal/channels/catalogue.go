package channels

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Catalogue is the catalogue with the topics of the external channels that a cluster's virtual nodes have, and of those
// that they are about to get.
func Catalogue(ctx context.Context, a *kafkaadmin.Admin, planned ...topics.Channel) ([]topics.Topic, error) {
	packages, err := facts(ctx, a, topics.CpiInfo, func() *cpiv1.Cpi { return &cpiv1.Cpi{} })
	if err != nil {
		return nil, err
	}
	vnodes, err := facts(ctx, a, topics.VirtualNodeInfo, func() *vnodev1.VirtualNode { return &vnodev1.VirtualNode{} })
	if err != nil {
		return nil, err
	}
	var all []topics.Channel
	for _, v := range vnodes {
		all = append(all, Rows(Of(v, packages[v.GetCpiChecksum()]))...)
	}
	return topics.WithChannels(topics.All(), append(all, planned...)), nil
}

// facts reads a compacted topic whole; there are none in one that does not exist yet.
func facts[M proto.Message](ctx context.Context, a *kafkaadmin.Admin, topic string, fresh func() M) (map[string]M, error) {
	out := map[string]M{}
	err := a.Read(ctx, kafkaadmin.Range{Topics: []string{topic}, From: kafkaadmin.Start()}, func(r kafkaadmin.Record) error {
		if r.Value == nil {
			delete(out, string(r.Key))
			return nil
		}
		m := fresh()
		if err := proto.Unmarshal(r.Value, m); err != nil {
			return fmt.Errorf("%s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		out[string(r.Key)] = m
		return nil
	})
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, fmt.Errorf("reading the external channels from %s: %w", topic, err)
	}
	return out, nil
}
