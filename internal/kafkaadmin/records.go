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

// SchemaConflictError tells that the published descriptors of a message and this version's cannot read each other.
type SchemaConflictError struct {
	Type   string
	Reason string
}

func (e *SchemaConflictError) Error() string {
	return fmt.Sprintf("the published %s and this version's cannot read each other (%s): use the version that set the cluster up, or a newer one", e.Type, e.Reason)
}

// UnpublishedSchemas returns the messages of this version whose descriptors are not on topic fairlead.schemas, with
// their descriptors. A message that a newer version has published is left out. A message of which neither version can
// read the other's is a [SchemaConflictError].
func (a *Admin) UnpublishedSchemas(ctx context.Context) (map[string]*descriptorpb.FileDescriptorSet, error) {
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
	for name, set := range ours {
		news, err := newer(name, set, theirs[name])
		if err != nil {
			return nil, err
		}
		if !news {
			delete(ours, name)
		}
	}
	return ours, nil
}

// PublishSchemas writes the descriptors that [Admin.UnpublishedSchemas] finds to topic fairlead.schemas and returns the
// names of their messages. On a conflict nothing is written.
func (a *Admin) PublishSchemas(ctx context.Context) (written []string, err error) {
	missing, err := a.UnpublishedSchemas(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		if err := a.produce(ctx, topics.Schemas, name, missing[name]); err != nil {
			return written, err
		}
		written = append(written, name)
	}
	return written, nil
}

// newer tells whether our descriptors of a message should take the place of theirs.
func newer(name string, ours, theirs *descriptorpb.FileDescriptorSet) (bool, error) {
	if theirs == nil {
		return true, nil
	}
	a, err := schemas.Marshal(ours)
	if err != nil {
		return false, err
	}
	b, err := schemas.Marshal(theirs)
	if err != nil {
		return false, err
	}
	if bytes.Equal(a, b) {
		return false, nil
	}
	lost := schemas.Incompatibilities(theirs, ours)
	if len(lost) == 0 {
		return true, nil
	}
	if len(schemas.Incompatibilities(ours, theirs)) == 0 {
		return false, nil // a newer version was here
	}
	return false, &SchemaConflictError{Type: name, Reason: lost[0]}
}
