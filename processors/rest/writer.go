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

func (w writer) Command(ctx context.Context, flow *flowv1.FlowStatus, command *flowv1.FlowCommand, trace string) (string, error) {
	r, err := commandRecord(flow, command)
	if err != nil {
		return "", err
	}
	r.Partition, r.Headers = byKey, traceHeaders(trace)
	placed, err := w.producer.Produce(ctx, r)
	if err != nil {
		return "", fmt.Errorf("writing a command for flow %s: %w", flow.GetFlowId(), err)
	}
	return identity.CommandID(placed.TopicID, placed.Partition, placed.Offset).String(), nil
}

// commandRecord addresses a command: to the flow worker, or to the mapper while the flow has not begun. The mapper knows
// whether it waits for admission; behind a start on flow.events no command is too early.
func commandRecord(flow *flowv1.FlowStatus, command *flowv1.FlowCommand) (engine.Record, error) {
	if flow.GetState() != flowv1.FlowState_FLOW_STATE_START_REQUESTED {
		return engine.Record{Topic: topics.FlowCommands, Key: flow.GetFlowId(), Msg: command, Codec: schemas.Codec[*flowv1.FlowCommand]()}, nil
	}
	id, err := identity.ParseUUID(flow.GetFlowId())
	if err != nil {
		return engine.Record{}, fmt.Errorf("the status of request %s has no flow id: %w", flow.GetClientRequestId(), err)
	}
	return engine.Record{
		Topic: topics.FlowMapperStart, Key: statusKey(flow.GetClientRequestId(), flow.GetVnode()),
		Msg:   &flowv1.MapperStart{Event: &flowv1.MapperStart_Command{Command: &flowv1.CommandFlow{FlowId: id[:], Command: command}}},
		Codec: schemas.Codec[*flowv1.MapperStart](),
	}, nil
}

func traceHeaders(trace string) map[string]string {
	if trace == "" {
		return nil
	}
	return map[string]string{engine.HeaderTrace: trace}
}
