package persistence

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	feedv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
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
	ledgerFrame(t)
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

// ledgerFrame checks that of changes of the ledger, from the outbox to the record.
func ledgerFrame(t *testing.T) {
	t.Helper()
	id, by := bytes.Repeat([]byte{0xab}, 32), bytes.Repeat([]byte{0xcd}, 32)
	const head = `{"vnode":"A6B620476147","number":7,"committedAt":"2023-11-14T22:13:20.123456Z","flowId":"f",`
	ab, cd := "SHA-256:"+strings.Repeat("AB", 32), "SHA-256:"+strings.Repeat("CD", 32)
	ref := &ledgerv1.StateRef{Transaction: id, Index: 3}
	token := &ledgerv1.Token{Type: "cash", Symbol: "EUR", Issuer: by, Amount: "0.25", Owner: id, Tag: "t", Priority: 9}
	for _, c := range []struct {
		change *feedv1.Change
		key    string
		want   string
	}{
		{&feedv1.Change{Change: &feedv1.Change_Transaction{Transaction: &feedv1.TransactionChange{Id: id, Status: feedv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED}}},
			"transaction " + ab, `"transaction":{"id":"` + ab + `","status":"verified"}}`},
		{&feedv1.Change{Change: &feedv1.Change_State{State: &feedv1.StateChange{Operation: feedv1.StateOperation_STATE_OPERATION_CREATED, Ref: ref, Type: "T", TypeVersion: 2, Contract: "C", Notary: "O=N",
			Payload: []byte(`{"a": 1}`), Token: token}}}, "state " + ab + ":3",
			`"operation":"created","state":{"ref":"` + ab + `:3","type":"T","typeVersion":2,"contract":"C","notary":"O=N","payload":{"a":1},` +
				`"token":{"type":"cash","symbol":"EUR","issuer":"` + cd + `","amount":"0.25","owner":"` + ab + `","tag":"t","priority":9}}}`},
		{&feedv1.Change{Change: &feedv1.Change_State{State: &feedv1.StateChange{Operation: feedv1.StateOperation_STATE_OPERATION_CONSUMED, Ref: ref, Type: "T", TypeVersion: 2, Contract: "C", Notary: "O=N", ConsumedBy: by}}},
			"state " + ab + ":3", `"operation":"consumed","state":{"ref":"` + ab + `:3","type":"T","typeVersion":2,"contract":"C","notary":"O=N","consumedBy":"` + cd + `"}}`},
	} {
		encoded, err := proto.Marshal(c.change)
		if err != nil {
			t.Fatal(err)
		}
		stored := []byte(`\x` + hex.EncodeToString(encoded))
		captured, err := capturedChange([][]byte{[]byte("7"), []byte("1700000000123456"), []byte("f"), {}, []byte("0"), []byte("[]"), nil, stored})
		if err != nil {
			t.Fatal(err)
		}
		change, key, _, _ := (Looked{Vnode: "A6B620476147"}).change(captured)
		r, _ := newFeedRecord(change, cpiv1.ChannelFormat_CHANNEL_FORMAT_JSON)
		if got, err := (feedCodec{}).Encode(r); err != nil || string(got) != head+c.want || key != c.key {
			t.Errorf("%s: %s, %v; want %s", key, got, err, head+c.want)
		}
	}
	// What a newer version wrote is left for it, and not told as something else.
	for _, b := range []string{`\x`, `\x0a`, `\xzz`, `\xa20601`} {
		if c, err := capturedChange([][]byte{[]byte("7"), []byte("1"), []byte("f"), {}, []byte("0"), []byte("[]"), nil, []byte(b)}); err == nil {
			t.Errorf("%s was read as %+v", b, c)
		}
	}
	for _, c := range []*feedv1.Change{{}, {Change: &feedv1.Change_State{State: &feedv1.StateChange{}}}, {Change: &feedv1.Change_Transaction{Transaction: &feedv1.TransactionChange{}}}} {
		if b, err := encodeJSON(c); err == nil {
			t.Errorf("a change that says nothing became %s", b)
		}
	}
}
