package rest

import (
	"context"
	"fmt"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Producer writes records; [engine.Producer] is one.
type Producer interface {
	Produce(ctx context.Context, r engine.Record) (engine.Placed, error)
}

// NewWriter returns the Writer that writes to Kafka.
func NewWriter(p Producer) Writer { return writer{p} }

type writer struct{ producer Producer }

// byKey lets a record's key decide its partition.
const byKey = -1

func (w writer) Start(ctx context.Context, key string, start *flowv1.StartFlow, trace string) (string, error) {
	placed, err := w.producer.Produce(ctx, engine.Record{
		Topic: topics.FlowMapperStart, Key: key, Partition: byKey, Headers: traceHeaders(trace),
		Msg:   &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: start}},
		Codec: schemas.Codec[*flowv1.MapperStart](),
	})
	if err != nil {
		return "", fmt.Errorf("writing the start of %s: %w", key, err)
	}
	return identity.FlowID(placed.TopicID, placed.Partition, placed.Offset).String(), nil
}

func (w writer) Command(ctx context.Context, flowID string, command *flowv1.FlowCommand, trace string) error {
	_, err := w.producer.Produce(ctx, engine.Record{
		Topic: topics.FlowCommands, Key: flowID, Partition: byKey, Headers: traceHeaders(trace),
		Msg: command, Codec: schemas.Codec[*flowv1.FlowCommand](),
	})
	if err != nil {
		return fmt.Errorf("writing a command for flow %s: %w", flowID, err)
	}
	return nil
}

func traceHeaders(trace string) map[string]string {
	if trace == "" {
		return nil
	}
	return map[string]string{engine.HeaderTrace: trace}
}
