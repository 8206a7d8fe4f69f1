package persistence

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
)

// feedRecord is a change in the form that its channel asks for.
type feedRecord struct {
	change *feedv1.Change
	json   bool
}

// Values of header content-type.
const (
	contentProtobuf = "application/x-protobuf"
	contentJSON     = "application/json"
)

func newFeedRecord(c *feedv1.Change, f cpiv1.ChannelFormat) (r feedRecord, contentType string) {
	if f == cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON {
		return feedRecord{c, true}, contentJSON
	}
	return feedRecord{c, false}, contentProtobuf
}

// feedCodec encodes feedRecords.
type feedCodec struct{}

// Encode encodes a feedRecord.
func (feedCodec) Encode(v any) ([]byte, error) {
	r, ok := v.(feedRecord)
	if !ok {
		return nil, fmt.Errorf("a change feed carries no %T", v)
	}
	if !r.json {
		return schemas.Marshal(r.change)
	}
	return encodeJSON(r.change)
}

// Decode is for readers, of which the group has none.
func (feedCodec) Decode([]byte) (any, error) {
	return nil, errors.New("change feeds are written, not read")
}

// TypeName is the message's for the Protobuf form; JSON has none.
func (feedCodec) TypeName(v any) string {
	if r, ok := v.(feedRecord); ok && !r.json {
		return schemas.Codec[*feedv1.Change]().TypeName(nil)
	}
	return ""
}

// jsonChange is the JSON form of a change; its names and meanings never change.
type jsonChange struct {
	Vnode       string          `json:"vnode"`
	Number      uint64          `json:"number"`
	CommittedAt string          `json:"committedAt"`
	FlowID      string          `json:"flowId,omitempty"`
	Table       string          `json:"table"`
	Operation   string          `json:"operation"`
	Key         json.RawMessage `json:"key"`
	Row         json.RawMessage `json:"row,omitempty"`
}

func encodeJSON(c *feedv1.Change) ([]byte, error) {
	row := c.GetRow()
	out := jsonChange{
		Vnode: c.GetVnode(), Number: c.GetNumber(), FlowID: c.GetFlowId(), Table: row.GetTable(), Key: row.GetKey(), Row: row.GetRow(),
		CommittedAt: time.UnixMicro(c.GetCommittedAtUs()).UTC().Format("2006-01-02T15:04:05.000000Z"),
	}
	switch row.GetOperation() {
	case feedv1.RowOperation_ROW_OPERATION_CREATED:
		out.Operation = "created"
	case feedv1.RowOperation_ROW_OPERATION_CHANGED:
		out.Operation = "changed"
	case feedv1.RowOperation_ROW_OPERATION_REMOVED:
		out.Operation = "removed"
	default:
		return nil, fmt.Errorf("change %d has the operation %s", c.GetNumber(), row.GetOperation())
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode change %d: %w", c.GetNumber(), err)
	}
	return b, nil
}
