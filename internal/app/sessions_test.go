package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func member(t *testing.T, name string) identity.Holding {
	t.Helper()
	h, err := identity.NewHolding("O="+name+", L=London, C=GB", "group")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func publish[M proto.Message](t *testing.T, c *enginetest.Cluster, topic, key string, m M) {
	t.Helper()
	c.Produce(t, topic, key, m, schemas.Codec[M]())
}

// install publishes the guest in Rust as a package, and two virtual nodes that have it.
func install(t *testing.T, c *enginetest.Cluster) {
	t.Helper()
	wasm, err := os.ReadFile("../../sdk/guests/rust/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	sha := sha256.Sum256(wasm)
	publish(t, c, topics.CpiChunks, fmt.Sprintf("%x/%08d", sha, 0), &cpiv1.Chunk{Sha256: sha[:], Parts: 1, Data: wasm})
	publish(t, c, topics.CpiInfo, "CPI", &cpiv1.Cpi{
		Name: "rust", Version: "1", Checksum: "CPI",
		Modules: []*cpiv1.Module{{Name: "guest", Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, Sha256: sha[:], SizeBytes: uint64(len(wasm)), Chunks: 1, Flows: []*cpiv1.FlowClass{
			{Name: "rust-hello", Startable: true}, {Name: "rust-send", Startable: true}, {Name: "rust-receive", Protocol: "rust-chat", ProtocolVersions: []uint32{1}},
		}}},
		Cpks: []*cpiv1.Cpk{{Channels: []*cpiv1.ChannelDeclaration{{Name: "greetings", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE, FlowClass: "rust-hello"}}}},
	})
	for _, name := range []string{"Alice", "Bob"} {
		h := member(t, name)
		v := &vnodev1.VirtualNode{
			Identity: &vnodev1.HoldingIdentity{X500Name: h.Name.String(), GroupId: h.GroupID}, ShortHash: h.ShortHash(), CpiChecksum: "CPI",
			FlowStart: vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE, FlowOperation: vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE,
		}
		if name == "Bob" {
			v.Channels = []*vnodev1.ChannelRoute{{Channel: "greetings", Topic: "ext.greetings", Active: true}}
		}
		publish(t, c, topics.VirtualNodeInfo, h.ShortHash(), v)
	}
}

// lastStatuses waits until done is satisfied by the last status of every flow, by key.
func lastStatuses(t *testing.T, c *enginetest.Cluster, done func(map[string]*flowv1.FlowStatus) bool) map[string]*flowv1.FlowStatus {
	t.Helper()
	var out map[string]*flowv1.FlowStatus
	c.ConsumeUntil(t, topics.FlowStatus, func(records []*kgo.Record) bool {
		out = map[string]*flowv1.FlowStatus{}
		for _, r := range records {
			s := &flowv1.FlowStatus{}
			if err := proto.Unmarshal(r.Value, s); err != nil {
				t.Fatal(err)
			}
			out[string(r.Key)] = s
		}
		return done(out)
	})
	return out
}

// Flows of two virtual nodes talk through the real workers, while the process is replaced by one with an empty disk;
// records of an external channel start flows, once each.
func TestFlowsTalkAndChannelsStartThem(t *testing.T) {
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	c.CreateTopic(t, "ext.greetings", 2, nil)
	install(t, c)
	run := func() (stop func()) {
		a := newApp(t, testConfig(c), Flow, FlowMapper)
		ctx, cancel := context.WithCancel(enginetest.Context(t))
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		if err := a.WaitReady(ctx); err != nil {
			t.Fatal(errors.Join(err, <-ended))
		}
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	const chats, greetings = 20, 5
	alice, bob := member(t, "Alice"), member(t, "Bob")
	for n := range chats {
		request := fmt.Sprintf("chat-%d", n)
		publish(t, c, topics.FlowMapperStart, request+"-"+alice.ShortHash(), &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: &flowv1.StartFlow{
			Identity: &vnodev1.HoldingIdentity{X500Name: alice.Name.String(), GroupId: alice.GroupID}, Vnode: alice.ShortHash(), ClientRequestId: request,
			FlowClass: "rust-send", RequestBody: fmt.Appendf(nil, `{"to":%q,"message":"hello %d"}`, bob.Name, n), CreatedAtUs: time.Now().UnixMicro(), Initiator: flowv1.Initiator_INITIATOR_RPC,
		}}})
	}
	for n := range greetings {
		c.ProduceRaw(t, &kgo.Record{Topic: "ext.greetings", Key: fmt.Appendf(nil, "%d", n), Value: []byte(`"Carol"`)})
	}
	stop := run()
	// Some responders think for a second now; the next process goes on with them.
	lastStatuses(t, c, func(all map[string]*flowv1.FlowStatus) bool {
		for _, s := range all {
			if s.GetInitiator() == flowv1.Initiator_INITIATOR_P2P {
				return true
			}
		}
		return false
	})
	stop()
	defer run()()
	all := lastStatuses(t, c, func(all map[string]*flowv1.FlowStatus) bool {
		ended := 0
		for _, s := range all {
			if s.GetState() == flowv1.FlowState_FLOW_STATE_COMPLETED || s.GetState() == flowv1.FlowState_FLOW_STATE_FAILED {
				ended++
			}
		}
		return ended >= 2*chats+greetings
	})
	if len(all) != 2*chats+greetings {
		t.Errorf("%d flows, not %d", len(all), 2*chats+greetings)
	}
	for n := range chats {
		s := all[fmt.Sprintf("chat-%d-%s", n, alice.ShortHash())]
		if want := fmt.Sprintf(`"received: hello %d"`, n); string(s.GetResult()) != want {
			t.Errorf("chat %d: %s %s %v", n, s.GetState(), s.GetResult(), s.GetError())
		}
	}
	responders, started := 0, 0
	for key, s := range all {
		switch {
		case strings.HasSuffix(key, "-INITIATED-"+bob.ShortHash()):
			responders++
			if s.GetState() != flowv1.FlowState_FLOW_STATE_COMPLETED || s.GetInitiatedBy() != alice.Name.String() {
				t.Errorf("responder %s: %s %v", key, s.GetState(), s.GetError())
			}
		case strings.HasPrefix(key, "ext-"):
			started++
			// The guest greets names only, not records: that it says so shows that it got its argument.
			if s.GetError().GetType() != "bad-input" || s.GetInitiator() != flowv1.Initiator_INITIATOR_CHANNEL {
				t.Errorf("greeting %s: %s %v", key, s.GetState(), s.GetError())
			}
		}
	}
	if responders != chats || started != greetings {
		t.Errorf("%d responders, %d flows of the channel", responders, started)
	}
}
