package kafkaadmin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Names of headers that tools read and write.
const (
	HeaderType = "fl-type"
	HeaderNow  = "fl-now"
)

func typeHeader(m proto.Message) []kgo.RecordHeader {
	return []kgo.RecordHeader{{Key: HeaderType, Value: []byte(m.ProtoReflect().Descriptor().FullName())}}
}

// produce writes one record of a tool, stamped with the wall clock.
func (a *Admin) produce(ctx context.Context, topic, key string, m proto.Message) error {
	value, err := schemas.Marshal(m)
	if err != nil {
		return err
	}
	now := kgo.RecordHeader{Key: HeaderNow, Value: strconv.AppendInt(nil, time.Now().UnixMicro(), 10)}
	r := &kgo.Record{Topic: a.prefix + topic, Key: []byte(key), Value: value, Headers: append(typeHeader(m), now)}
	if err := a.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return fmt.Errorf("write to %s: %w", topic, err)
	}
	return nil
}

// Audit writes an entry to the audit topic, under its entity.
func (a *Admin) Audit(ctx context.Context, e *auditv1.Entry) error {
	return a.produce(ctx, topics.Audit, e.GetEntity(), e)
}

// PublishedSchemas returns the descriptors on topic fairlead.schemas by message name; none when the topic does not
// exist.
func (a *Admin) PublishedSchemas(ctx context.Context) (map[string]*descriptorpb.FileDescriptorSet, error) {
	out := map[string]*descriptorpb.FileDescriptorSet{}
	err := a.Read(ctx, Range{Topics: []string{topics.Schemas}}, func(r Record) error {
		if r.Value == nil {
			delete(out, string(r.Key))
			return nil
		}
		set := &descriptorpb.FileDescriptorSet{}
		if err := proto.Unmarshal(r.Value, set); err != nil {
			return fmt.Errorf("descriptors of %s on %s: %w", r.Key, topics.Schemas, err)
		}
		out[string(r.Key)] = set
		return nil
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return out, nil
	}
	return out, err
}

// PublishSchemas writes this version's descriptors to topic fairlead.schemas, where they are not there already. A type
// that a newer version has published is left alone. A type that neither version can read of the other is an error, and
// then nothing is written.
func (a *Admin) PublishSchemas(ctx context.Context) (written []string, err error) {
	own, err := schemas.FileDescriptorSet()
	if err != nil {
		return nil, err
	}
	ours, err := schemas.PerType(own)
	if err != nil {
		return nil, err
	}
	theirs, err := a.PublishedSchemas(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what is published: %w", err)
	}
	var news []string
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		news, err = appendIfNewer(news, name, ours[name], theirs[name])
		if err != nil {
			return nil, err
		}
	}
	for _, name := range news {
		if err := a.produce(ctx, topics.Schemas, name, ours[name]); err != nil {
			return written, err
		}
		written = append(written, name)
	}
	return written, nil
}

func appendIfNewer(news []string, name string, ours, theirs *descriptorpb.FileDescriptorSet) ([]string, error) {
	if theirs == nil {
		return append(news, name), nil
	}
	a, err := schemas.Marshal(ours)
	if err != nil {
		return nil, err
	}
	b, err := schemas.Marshal(theirs)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(a, b) {
		return news, nil
	}
	lost := schemas.Incompatibilities(theirs, ours)
	switch {
	case len(lost) == 0:
		return append(news, name), nil
	case len(schemas.Incompatibilities(ours, theirs)) == 0:
		return news, nil // a newer version was here
	default:
		return nil, fmt.Errorf("FL-TOPICS-020: the published %s and this version's cannot read each other (%s): use the version that made the cluster, or a newer one", name, lost[0])
	}
}
