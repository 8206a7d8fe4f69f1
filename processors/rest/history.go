package rest

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/fairleadio/fairlead/identity"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// JournalRow is one live row of a flow's journal.
type JournalRow struct {
	// Key is flow id (16 bytes), attempt, step and ordinal, each a big-endian u32.
	Key   []byte
	Value *flowv1.JournalRow
}

// flowHistory is what a flow asked and was answered, step by step.
type flowHistory struct {
	FlowID string       `json:"flowId"`
	Steps  []historyRow `json:"steps"`
}

type historyRow struct {
	Attempt uint32 `json:"attempt"`
	Step    uint32 `json:"step"`
	Ordinal uint32 `json:"ordinal"`
	// Kind is start, request or end.
	Kind string `json:"kind"`
	// Operation is what a request asks for; the class of the flow for a start; the status for an end.
	Operation       string          `json:"operation"`
	Arguments       json.RawMessage `json:"arguments,omitempty"`
	ArgumentsSHA256 string          `json:"argumentsSha256,omitempty"`
	At              string          `json:"at"`
	AnsweredAt      string          `json:"answeredAt,omitempty"`
	// WaitedMicros is the time from question to answer.
	WaitedMicros int64           `json:"waitedMicros,omitempty"`
	Answer       json.RawMessage `json:"answer,omitempty"`
	Error        *flowError      `json:"error,omitempty"`
	// Cut tells that a retry left this step behind.
	Cut bool `json:"cut,omitempty"`
}

const journalKeyBytes = 16 + 3*4

// toHistory makes the history of a flow from the rows of its journal.
func toHistory(flowID string, rows []JournalRow) (flowHistory, error) {
	h := flowHistory{FlowID: flowID, Steps: make([]historyRow, 0, len(rows))}
	for _, r := range rows {
		row, err := toHistoryRow(flowID, r)
		if err != nil {
			return flowHistory{}, err
		}
		h.Steps = append(h.Steps, row)
	}
	slices.SortFunc(h.Steps, func(a, b historyRow) int {
		return slices.Compare([]uint32{a.Attempt, a.Step, a.Ordinal}, []uint32{b.Attempt, b.Step, b.Ordinal})
	})
	h.markCut()
	return h, nil
}

// markCut marks the steps that a later attempt did again: an attempt goes on from where its first step stands.
func (h *flowHistory) markCut() {
	first := map[uint32]uint32{}
	for _, r := range h.Steps {
		if at, ok := first[r.Attempt]; r.Step > 0 && (!ok || r.Step < at) {
			first[r.Attempt] = r.Step
		}
	}
	for i := range h.Steps {
		for attempt, from := range first {
			r := &h.Steps[i]
			r.Cut = r.Cut || attempt > r.Attempt && r.Step >= from
		}
	}
}

func toHistoryRow(flowID string, r JournalRow) (historyRow, error) {
	if len(r.Key) != journalKeyBytes {
		return historyRow{}, fmt.Errorf("journal of flow %s: a key has %d bytes, %d are right", flowID, len(r.Key), journalKeyBytes)
	}
	row := historyRow{
		Attempt: binary.BigEndian.Uint32(r.Key[16:]), Step: binary.BigEndian.Uint32(r.Key[20:]), Ordinal: binary.BigEndian.Uint32(r.Key[24:]),
	}
	switch v := r.Value.GetRow().(type) {
	case *flowv1.JournalRow_Start:
		var start appv1.Start
		if err := proto.Unmarshal(v.Start.GetStart(), &start); err != nil {
			return historyRow{}, fmt.Errorf("journal of flow %s: reading the start: %w", flowID, err)
		}
		row.Kind, row.Operation, row.At = "start", start.GetFlowClass(), instant(v.Start.GetNowUs())
		row.Arguments = validJSON(start.GetInput())
	case *flowv1.JournalRow_Request:
		row.Kind, row.Operation, row.At = "request", v.Request.GetOperation(), instant(v.Request.GetAskedAtUs())
		row.ArgumentsSHA256 = hex.EncodeToString(v.Request.GetArgumentsSha256())
		row.Arguments = operationJSON(v.Request.GetOperation(), v.Request.GetArguments())
		if us := v.Request.GetAnsweredAtUs(); us != 0 {
			row.AnsweredAt, row.WaitedMicros = instant(us), us-v.Request.GetAskedAtUs()
			if err := row.answer(v.Request.GetAnswer()); err != nil {
				return historyRow{}, fmt.Errorf("journal of flow %s, step %d: %w", flowID, row.Step, err)
			}
		}
	case *flowv1.JournalRow_End:
		row.Kind, row.Operation, row.At = "end", stateName(v.End.GetState()), instant(v.End.GetAtUs())
		row.Answer = validJSON(v.End.GetResult())
		if e := v.End.GetError(); e != nil {
			row.Error = &flowError{Type: e.GetType(), Message: e.GetMessage()}
		}
	default:
		row.Kind = "unknown"
	}
	return row, nil
}

func (r *historyRow) answer(encoded []byte) error {
	var a appv1.Answer
	if err := proto.Unmarshal(encoded, &a); err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	switch o := a.GetOutcome().(type) {
	case *appv1.Answer_Error:
		r.Error = &flowError{Type: o.Error.GetType(), Message: o.Error.GetMessage()}
	case *appv1.Answer_Result:
		if len(o.Result) > 0 {
			r.Answer = base64JSON(o.Result)
		}
	}
	return nil
}

// operationJSON shows the arguments of an operation, whatever operations the schema has: an operation is the name
// of a field of fairlead.app.v1.Request.
func operationJSON(operation string, encoded []byte) json.RawMessage {
	field := (&appv1.Request{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(operation))
	if field == nil || field.Message() == nil {
		return base64JSON(encoded)
	}
	m := dynamicpb.NewMessage(field.Message())
	if err := proto.Unmarshal(encoded, m); err != nil {
		return base64JSON(encoded)
	}
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return base64JSON(encoded)
	}
	return text
}

func base64JSON(b []byte) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil
	}
	return text
}

func validJSON(b []byte) json.RawMessage {
	if !json.Valid(b) {
		return nil
	}
	return b
}

// journalPrefix is what the journal keys of a flow begin with.
func journalPrefix(flowID string) ([]byte, error) {
	u, err := identity.ParseUUID(flowID)
	if err != nil {
		return nil, fmt.Errorf("flow id: %w", err)
	}
	return u[:], nil
}
