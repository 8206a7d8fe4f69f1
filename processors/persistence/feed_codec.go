package persistence

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

// jsonChange is the JSON form of a change; its names and meanings never change. It has a table with operation, key and
// row, or a state with operation, or a transaction.
type jsonChange struct {
	Vnode       string           `json:"vnode"`
	Number      uint64           `json:"number"`
	CommittedAt string           `json:"committedAt"`
	FlowID      string           `json:"flowId,omitempty"`
	Table       string           `json:"table,omitempty"`
	Operation   string           `json:"operation,omitempty"`
	Key         json.RawMessage  `json:"key,omitempty"`
	Row         json.RawMessage  `json:"row,omitempty"`
	State       *jsonState       `json:"state,omitempty"`
	Transaction *jsonTransaction `json:"transaction,omitempty"`
}

type jsonState struct {
	Ref         string          `json:"ref"`
	Type        string          `json:"type"`
	TypeVersion uint32          `json:"typeVersion"`
	Contract    string          `json:"contract"`
	Notary      string          `json:"notary"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	Token       *jsonToken      `json:"token,omitempty"`
	ConsumedBy  string          `json:"consumedBy,omitempty"`
}

type jsonToken struct {
	Type     string `json:"type"`
	Symbol   string `json:"symbol"`
	Issuer   string `json:"issuer"`
	Amount   string `json:"amount"`
	Owner    string `json:"owner,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Priority uint64 `json:"priority,omitempty"`
}

type jsonTransaction struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func encodeJSON(c *feedv1.Change) ([]byte, error) {
	out := jsonChange{
		Vnode: c.GetVnode(), Number: c.GetNumber(), FlowID: c.GetFlowId(),
		CommittedAt: time.UnixMicro(c.GetCommittedAtUs()).UTC().Format("2006-01-02T15:04:05.000000Z"),
	}
	word := ""
	switch x := c.GetChange().(type) {
	case *feedv1.Change_Row:
		out.Table, out.Key, out.Row = x.Row.GetTable(), x.Row.GetKey(), x.Row.GetRow()
		out.Operation = rowOperation(x.Row.GetOperation())
		word = out.Operation
	case *feedv1.Change_State:
		out.State = jsonStateOf(x.State)
		switch x.State.GetOperation() {
		case feedv1.StateOperation_STATE_OPERATION_CREATED:
			out.Operation = "created"
		case feedv1.StateOperation_STATE_OPERATION_CONSUMED:
			out.Operation = "consumed"
		case feedv1.StateOperation_STATE_OPERATION_UNSPECIFIED:
		}
		word = out.Operation
	case *feedv1.Change_Transaction:
		if s := x.Transaction.GetStatus(); s != feedv1.TransactionStatus_TRANSACTION_STATUS_UNSPECIFIED {
			word = strings.ToLower(strings.TrimPrefix(s.String(), "TRANSACTION_STATUS_"))
		}
		out.Transaction = &jsonTransaction{hashText(x.Transaction.GetId()), word}
	}
	if word == "" {
		return nil, fmt.Errorf("change %d says nothing that can be told: %T", c.GetNumber(), c.GetChange())
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode change %d: %w", c.GetNumber(), err)
	}
	return b, nil
}

func rowOperation(o feedv1.RowOperation) string {
	switch o {
	case feedv1.RowOperation_ROW_OPERATION_CREATED:
		return "created"
	case feedv1.RowOperation_ROW_OPERATION_CHANGED:
		return "changed"
	case feedv1.RowOperation_ROW_OPERATION_REMOVED:
		return "removed"
	default:
		return ""
	}
}

func jsonStateOf(s *feedv1.StateChange) *jsonState {
	out := &jsonState{Ref: stateRef(s.GetRef()), Type: s.GetType(), TypeVersion: s.GetTypeVersion(), Contract: s.GetContract(), Notary: s.GetNotary(), Payload: s.GetPayload()}
	if len(s.GetConsumedBy()) > 0 {
		out.ConsumedBy = hashText(s.GetConsumedBy())
	}
	if t := s.GetToken(); t != nil {
		out.Token = &jsonToken{Type: t.GetType(), Symbol: t.GetSymbol(), Issuer: hashText(t.GetIssuer()), Amount: t.GetAmount(), Tag: t.GetTag(), Priority: t.GetPriority()}
		if len(t.GetOwner()) > 0 {
			out.Token.Owner = hashText(t.GetOwner())
		}
	}
	return out
}
