package flowmapper

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// MaxChannelArgument bounds the argument that a record of a channel becomes, bytes: what a flow takes.
const MaxChannelArgument = 512 << 10

// ScanView is a compacted topic in memory that can be gone through.
type ScanView interface {
	View
	All() iter.Seq2[string, any]
}

// Channels is the edge that turns the records of external channels into starts of flows. It is no processor group: its
// topics follow the virtual nodes. Each record starts one flow for each virtual node that receives from its topic; the
// client request id is derived from the record's place, so a record that came twice would start nothing.
type Channels struct {
	vnodes, packages ScanView
	relay            *engine.Relay
	metrics          *Metrics
	changed          chan struct{}
}

// ChannelsConfig says where the edge works. Relay brings brokers and names; its Group, Handle, DeadLetters and OnStuck
// are set here.
type ChannelsConfig struct {
	// VirtualNodes and Packages are views of virtual.node.info and cpi.info, ready.
	VirtualNodes, Packages ScanView
	Relay                  engine.RelayConfig
	Log                    *slog.Logger
	Metrics                *Metrics
}

// NewChannels makes the edge; [Channels.Changed] must be called whenever one of its views changes.
func NewChannels(cfg ChannelsConfig) (*Channels, error) {
	c := &Channels{vnodes: cfg.VirtualNodes, packages: cfg.Packages, metrics: cfg.Metrics, changed: make(chan struct{}, 1)}
	r := cfg.Relay
	r.Group, r.DeadLetters, r.Handle, r.Log = topics.FlowMapperChannels, topics.DeadLetterTopic(topics.FlowMapperChannels), c.handle, cfg.Log
	r.OnStuck = func(string, int32) { c.metrics.channel("stuck") }
	var err error
	c.relay, err = engine.NewRelay(r)
	if err != nil {
		return nil, fmt.Errorf("flow-mapper: %w", err)
	}
	return c, nil
}

// ChannelEdges are the topics that the edge is joined to, but for the channels' own.
func ChannelEdges() []engine.EdgeInfo {
	info := func(kind engine.EdgeKind, topic string, codec engine.Codec) engine.EdgeInfo {
		e := engine.EdgeInfo{Kind: kind, Topic: topic}
		if n, ok := codec.(engine.TypeNamer); ok {
			e.Type = n.TypeName(nil)
		}
		return e
	}
	return []engine.EdgeInfo{
		info(engine.EdgeDeadLetters, topics.DeadLetterTopic(topics.FlowMapperChannels), nil),
		info(engine.EdgeOutput, topics.FlowMapperStart, schemas.Codec[*flowv1.MapperStart]()),
		info(engine.EdgeReads, topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]()),
		info(engine.EdgeReads, topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]()),
	}
}

// Run works until ctx ends. The views must be ready.
func (c *Channels) Run(ctx context.Context) error {
	c.follow()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-c.changed:
				c.follow()
			}
		}
	})
	err := c.relay.Run(ctx)
	cancel()
	return err
}

// Changed has the edge look at its views again; it returns at once.
func (c *Channels) Changed() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// follow has the relay read what the views say.
func (c *Channels) follow() {
	var read, hold []string
	for _, msg := range c.vnodes.All() {
		v, ok := msg.(*vnodev1.VirtualNode)
		if !ok {
			continue
		}
		for _, r := range c.received(v) {
			if receives(v, r) {
				read = append(read, r.Topic)
			} else {
				hold = append(hold, r.Topic)
			}
		}
	}
	c.relay.Follow(read, hold)
}

// received are the routes by which a virtual node may receive.
func (c *Channels) received(v *vnodev1.VirtualNode) []channels.Route {
	msg, _ := c.packages.Get(v.GetCpiChecksum())
	cpi, _ := msg.(*cpiv1.Cpi)
	var out []channels.Route
	for _, r := range channels.Of(v, cpi) {
		if r.Kind == cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE {
			out = append(out, r)
		}
	}
	return out
}

// receives tells whether records of a route start flows now. While the virtual node lets no flow start they wait.
func receives(v *vnodev1.VirtualNode, r channels.Route) bool {
	return r.Active && v.GetFlowStart() != vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE
}

// handle turns a record into a start for each virtual node that receives it. Of several channels of one virtual node
// on one topic the first by name counts.
func (c *Channels) handle(_ context.Context, in engine.Incoming) ([]engine.Record, error) {
	var out []engine.Record
	for _, msg := range c.vnodes.All() {
		v, ok := msg.(*vnodev1.VirtualNode)
		if !ok {
			continue
		}
		for _, r := range c.received(v) {
			if r.Topic != in.Topic {
				continue
			}
			if !receives(v, r) {
				break
			}
			key, start, err := StartOfRecord(r, in)
			if err != nil {
				c.metrics.channel("dead")
				return nil, err
			}
			out = append(out, engine.Record{Topic: topics.FlowMapperStart, Key: key, Partition: -1, Msg: start, Codec: schemas.Codec[*flowv1.MapperStart]()})
			c.metrics.channel("started")
			break
		}
	}
	if len(out) == 0 {
		return nil, engine.ErrNotFollowed
	}
	return out, nil
}

// ChannelRequestID is the client request id of the flow that a record starts: "ext-" and 32 hexadecimal digits of the
// SHA-256 over topic id, partition (4 bytes big-endian) and offset (8 bytes big-endian).
func ChannelRequestID(topicID [16]byte, partition int32, offset int64) string {
	place := append(make([]byte, 0, 28), topicID[:]...)
	place = binary.BigEndian.AppendUint32(place, uint32(partition))
	place = binary.BigEndian.AppendUint64(place, uint64(offset))
	sum := sha256.Sum256(place)
	return "ext-" + hex.EncodeToString(sum[:16])
}

// channelArgument is the argument of a flow that a record starts. A key or header that is text stands as it is, else
// under another name in base64; a value that is JSON stands as JSON, else in base64.
type channelArgument struct {
	Channel   string `json:"channel"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Timestamp in milliseconds since 1970, UTC.
	Timestamp   int64             `json:"timestamp"`
	Key         *string           `json:"key,omitempty"`
	KeyBase64   string            `json:"keyBase64,omitempty"`
	Value       json.RawMessage   `json:"value,omitempty"`
	ValueBase64 *string           `json:"valueBase64,omitempty"`
	Headers     map[string]string `json:"headers"`
}

// StartOfRecord is the start that a record of a route's topic asks for. Its error, which begins with the stable id
// FL-MAPPER-006, says why the record can start no flow.
func StartOfRecord(r channels.Route, in engine.Incoming) (key string, start *flowv1.MapperStart, err error) {
	arg := channelArgument{
		Channel: r.Channel, Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, Timestamp: in.Timestamp.UnixMilli(), Headers: map[string]string{},
	}
	if in.Key != nil {
		if k := string(in.Key); utf8.ValidString(k) {
			arg.Key = &k
		} else {
			arg.KeyBase64 = base64.StdEncoding.EncodeToString(in.Key)
		}
	}
	switch {
	case in.Value == nil: // a tombstone: the argument has no value
	case json.Valid(in.Value) && utf8.Valid(in.Value): // Valid alone takes strings that are no text
		arg.Value = in.Value
	default:
		v := base64.StdEncoding.EncodeToString(in.Value)
		arg.ValueBase64 = &v
	}
	for _, h := range in.Headers {
		if strings.HasPrefix(h.Key, "fl-") || !utf8.ValidString(h.Key) {
			continue
		}
		if utf8.Valid(h.Value) {
			arg.Headers[h.Key] = string(h.Value)
		} else {
			arg.Headers[h.Key+"Base64"] = base64.StdEncoding.EncodeToString(h.Value)
		}
	}
	body, err := json.Marshal(arg)
	if err != nil {
		return "", nil, fmt.Errorf("FL-MAPPER-006: channel %s: %w", r.Channel, err)
	}
	if len(body) > MaxChannelArgument {
		return "", nil, fmt.Errorf("FL-MAPPER-006: channel %s: the record makes an argument of %d bytes, a flow takes at most %d: send a reference instead of the data", r.Channel, len(body), MaxChannelArgument)
	}
	s := &flowv1.StartFlow{
		Identity: r.Identity, Vnode: r.Vnode, ClientRequestId: ChannelRequestID(in.TopicID, in.Partition, in.Offset), FlowClass: r.FlowClass,
		RequestBody: body, InitiatedBy: "channel " + r.Channel, CreatedAtUs: in.Timestamp.UnixMicro(), Initiator: flowv1.Initiator_INITIATOR_CHANNEL,
	}
	key = s.GetClientRequestId() + "-" + s.GetVnode()
	if err := CheckStart(key, s); err != nil {
		return "", nil, fmt.Errorf("FL-MAPPER-006: channel %s: %w", r.Channel, err)
	}
	return key, &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: s}}, nil
}
