package persistence

import (
	"encoding/hex"
	"strings"
	"testing"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
)

// The frame of the change feed is for ever: programs outside rely on it.
func TestFeedFrame(t *testing.T) {
	change := func(op feedv1.RowOperation, row string) *feedv1.Change {
		return &feedv1.Change{Vnode: "A6B620476147", Number: 7, CommittedAtUs: 1_700_000_000_123_456, FlowId: "f", Change: &feedv1.Change_Row{
			Row: &feedv1.RowChange{Table: "orders", Operation: op, Key: []byte(`{"id": "k"}`), Row: []byte(row)},
		}}
	}
	const head = `{"vnode":"A6B620476147","number":7,"committedAt":"2023-11-14T22:13:20.123456Z","flowId":"f","table":"orders","operation":`
	for _, c := range []struct {
		change *feedv1.Change
		want   string
	}{
		{change(feedv1.RowOperation_ROW_OPERATION_CREATED, `{"id": "k", "n": 1}`), head + `"created","key":{"id":"k"},"row":{"id":"k","n":1}}`},
		{change(feedv1.RowOperation_ROW_OPERATION_CHANGED, `{"id": "k", "n": 2}`), head + `"changed","key":{"id":"k"},"row":{"id":"k","n":2}}`},
		{change(feedv1.RowOperation_ROW_OPERATION_REMOVED, ""), head + `"removed","key":{"id":"k"}}`},
	} {
		r, contentType := newFeedRecord(c.change, cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON)
		got, err := feedCodec{}.Encode(r)
		if err != nil || string(got) != c.want || contentType != "application/json" || (feedCodec{}).TypeName(r) != "" {
			t.Errorf("%s: %s, %v", contentType, got, err)
		}
	}
	r, contentType := newFeedRecord(change(feedv1.RowOperation_ROW_OPERATION_REMOVED, ""), cpiv1.ChannelFormat_CHANNEL_FORMAT_UNSPECIFIED)
	got, err := feedCodec{}.Encode(r)
	const want = "0a0c4136423632303437363134371007"
	if err != nil || !strings.HasPrefix(hex.EncodeToString(got), want) || contentType != "application/x-protobuf" || (feedCodec{}).TypeName(r) != "fairlead.feed.v1.Change" {
		t.Errorf("%s: %x, %v", contentType, got, err)
	}
	if _, key, _, _ := (Looked{Vnode: "A6B620476147"}).change(CapturedChange{Shape: `{"t":"orders"}`, Key: []byte(`{"id": "k"}`)}); !strings.HasSuffix(key, ` {"id": "k"}`) {
		t.Errorf("key %s", key)
	}
	r, _ = newFeedRecord(change(feedv1.RowOperation_ROW_OPERATION_UNSPECIFIED, ""), cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON)
	if _, err := (feedCodec{}).Encode(r); err == nil {
		t.Error("a change that is none was written")
	}
}
