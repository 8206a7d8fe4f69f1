package flowmapper_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/processors/flowmapper"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func aliceRoute(t *testing.T) channels.Route {
	t.Helper()
	h, err := identity.NewHolding("O=Alice, L=London, C=GB", "group")
	if err != nil {
		t.Fatal(err)
	}
	return channels.Route{
		Channel: "bids", Topic: "ext.bids", Vnode: h.ShortHash(), FlowClass: "take", Active: true,
		Identity: &vnodev1.HoldingIdentity{X500Name: h.Name.String(), GroupId: h.GroupID},
	}
}

func TestStartOfRecord(t *testing.T) {
	r := aliceRoute(t)
	at := time.UnixMilli(1_700_000_000_123)
	for _, c := range []struct {
		name string
		in   engine.Incoming
		want string // the argument, or the error
	}{
		{"json", engine.Incoming{Key: []byte("k"), Value: []byte(`{"a": 1}`), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "fl-cause", Value: []byte("x")}, {Key: "b", Value: []byte{0xff}}}},
			`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"key":"k","value":{"a":1},"headers":{"bBase64":"/w==","h":"v"}}`},
		{"text", engine.Incoming{Value: []byte("hello")},
			`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"valueBase64":"aGVsbG8=","headers":{}}`},
		{"json that is no text", engine.Incoming{Value: []byte("{\"a\":\"\xff\"}")},
			`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"valueBase64":"eyJhIjoi/yJ9","headers":{}}`},
		{"bytes", engine.Incoming{Key: []byte{0xff}, Value: []byte{}},
			`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"keyBase64":"/w==","valueBase64":"","headers":{}}`},
		{"tombstone", engine.Incoming{Key: []byte("")},
			`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"key":"","headers":{}}`},
		{"large", engine.Incoming{Value: []byte(strings.Repeat("x", 400<<10))}, "FL-MAPPER-006: channel bids: the record makes an argument of 546254 bytes, a flow takes at most 524288"},
	} {
		c.in.Topic, c.in.TopicID, c.in.Partition, c.in.Offset, c.in.Timestamp = "ext.bids", [16]byte{1}, 2, 7, at
		key, start, err := flowmapper.StartOfRecord(r, c.in)
		if err != nil {
			if !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		s := start.GetStart()
		if string(s.GetRequestBody()) != c.want {
			t.Errorf("%s: %s", c.name, s.GetRequestBody())
		}
		if err := flowmapper.CheckStart(key, s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if s.GetClientRequestId() != "ext-960210bec35c7f86f7a13e9b1c27761a" && c.name == "json" {
			t.Errorf("client request id %s", s.GetClientRequestId())
		}
	}
	r.FlowClass = ""
	if _, _, err := flowmapper.StartOfRecord(r, engine.Incoming{}); err == nil || !strings.Contains(err.Error(), "flow_class") {
		t.Errorf("a channel without a flow: %v", err)
	}
}

// rows is a view that a test changes.
type rows struct {
	mu sync.Mutex
	m  map[string]any
}

func (r *rows) Get(key string) (any, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.m[key]
	return m, ok
}

func (r *rows) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for k, v := range r.m {
			if !yield(k, v) {
				return
			}
		}
	}
}

func (r *rows) set(key string, v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m[key] = v
}

// Records of a channel start flows while its route is active, wait while it is not, and bad ones are put aside.
func TestChannelsOnKafka(t *testing.T) {
	c := enginetest.NewCluster(t)
	for _, topic := range []string{topics.FlowMapperStart, "flow-mapper.channels.dlq", "ext.bids"} {
		c.CreateTopic(t, topic, 1, map[string]string{"max.message.bytes": fmt.Sprint(engine.MaxProduceBytes)})
	}
	r := aliceRoute(t)
	node := func(active bool) *vnodev1.VirtualNode {
		return &vnodev1.VirtualNode{Identity: r.Identity, ShortHash: r.Vnode, CpiChecksum: "CPI", Channels: []*vnodev1.ChannelRoute{{Channel: r.Channel, Topic: r.Topic, Active: active}}}
	}
	vnodes := &rows{m: map[string]any{r.Vnode: node(true)}}
	packages := &rows{m: map[string]any{"CPI": &cpiv1.Cpi{Cpks: []*cpiv1.Cpk{{Channels: []*cpiv1.ChannelDeclaration{
		{Name: r.Channel, Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE, FlowClass: r.FlowClass},
	}}}}}}
	edge, err := flowmapper.NewChannels(flowmapper.ChannelsConfig{
		VirtualNodes: vnodes, Packages: packages, Log: slog.New(slog.DiscardHandler), Relay: engine.RelayConfig{Brokers: c.Brokers(), Prefix: c.Prefix, InstanceID: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := edge.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() { cancel(); done.Wait() }()
	send := func(value string) {
		c.ProduceRaw(t, &kgo.Record{Topic: r.Topic, Key: []byte("k"), Value: []byte(value)})
	}
	send(`"one"`)
	send(strings.Repeat("x", 600<<10))
	send(`"two"`)
	c.Consume(t, topics.FlowMapperStart, 2)
	if dead := c.Consume(t, "flow-mapper.channels.dlq", 1); len(dead[0].Value) != 600<<10 {
		t.Errorf("the dead letter has %d bytes", len(dead[0].Value))
	}
	vnodes.set(r.Vnode, node(false))
	edge.Changed()
	send(`"waits"`)
	vnodes.set(r.Vnode, node(true))
	edge.Changed()
	seen := map[string]bool{}
	for _, rec := range c.Consume(t, topics.FlowMapperStart, 3) {
		msg, err := schemas.Codec[*flowv1.MapperStart]().Decode(rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		s := msg.(*flowv1.MapperStart).GetStart()
		if err := flowmapper.CheckStart(string(rec.Key), s); err != nil {
			t.Error(err)
		}
		seen[s.GetClientRequestId()] = true
	}
	if len(seen) != 3 {
		t.Errorf("starts %v", seen)
	}
}
