package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// signerHash is whose the packages of this test are.
var signerHash = strings.Repeat("5E", 32)

// announce publishes a module as a package whose file has a checksum, for one virtual node.
func announce(t *testing.T, c *enginetest.Cluster, key string, file [32]byte, wasm []byte) {
	t.Helper()
	sha := sha256.Sum256(wasm)
	parts := (len(wasm) + cpi.ChunkSize - 1) / cpi.ChunkSize
	for part := range parts {
		publish(t, c, topics.CpiChunks, fmt.Sprintf("%x/%08d", sha, part), &cpiv1.Chunk{
			Sha256: sha[:], Part: uint32(part), Parts: uint32(parts), Data: wasm[part*cpi.ChunkSize : min(len(wasm), (part+1)*cpi.ChunkSize)],
		})
	}
	publish(t, c, topics.CpiInfo, key, &cpiv1.Cpi{
		Name: key, Version: "1", Checksum: key,
		Modules: []*cpiv1.Module{{Name: "iou", Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, Sha256: sha[:], SizeBytes: uint64(len(wasm)), Chunks: uint32(parts),
			Flows: []*cpiv1.FlowClass{{Name: "lend", Startable: true}}, Contracts: []string{"com.example.IOU"}}},
		Cpks: []*cpiv1.Cpk{{Name: "iou", Version: "1", SignerSummaryHash: "SHA-256:" + signerHash, FileSha256: file[:], ModuleSha256S: [][]byte{sha[:]}}},
	})
}

// A flow has its transactions verified by the contract in its own module: through the real workers, while the process is
// replaced by one that has nothing, and while a package that a transaction names is still on its way.
func TestFlowsHaveTransactionsVerified(t *testing.T) {
	wasm, err := appbuild.Builder{}.Compile(t.Context(), "../../processors/verification/testdata/guests/iou")
	if err != nil {
		t.Fatal(err)
	}
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	file, coming := sha256.Sum256([]byte("file")), sha256.Sum256([]byte("a file that comes later"))
	announce(t, c, "CPI", file, wasm)
	alice := member(t, "Alice")
	publish(t, c, topics.VirtualNodeInfo, alice.ShortHash(), &vnodev1.VirtualNode{
		Identity: &vnodev1.HoldingIdentity{X500Name: alice.Name.String(), GroupId: alice.GroupID}, ShortHash: alice.ShortHash(), CpiChecksum: "CPI",
		FlowStart: vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE, FlowOperation: vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE,
	})
	start := func(request string, checksum [32]byte, rest string) {
		publish(t, c, topics.FlowMapperStart, request+"-"+alice.ShortHash(), &flowv1.MapperStart{Event: &flowv1.MapperStart_Start{Start: &flowv1.StartFlow{
			Identity: &vnodev1.HoldingIdentity{X500Name: alice.Name.String(), GroupId: alice.GroupID}, Vnode: alice.ShortHash(), ClientRequestId: request,
			FlowClass: "lend", RequestBody: fmt.Appendf(nil, `{"Checksum":"%x","Signer":%q,%s}`, checksum, signerHash, rest), CreatedAtUs: time.Now().UnixMicro(),
			Initiator: flowv1.Initiator_INITIATOR_RPC,
		}}})
	}
	run := func() (stop func()) {
		a := newApp(t, testConfig(c), Flow, FlowMapper, Verification)
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
	ended := func(all map[string]*flowv1.FlowStatus) (n int) {
		for _, s := range all {
			if s.GetState() == flowv1.FlowState_FLOW_STATE_COMPLETED || s.GetState() == flowv1.FlowState_FLOW_STATE_FAILED {
				n++
			}
		}
		return n
	}
	start("valid", file, `"Amount":10,"Left":4`)
	start("grows", file, `"Amount":10,"Left":11`)
	start("nothing", file, `"Amount":0,"Left":-1`)
	start("hidden", file, `"Amount":10,"Left":4,"Hide":true`)
	start("missing", coming, `"Amount":10,"Left":4`)
	start("later", coming, `"Amount":10,"Left":4,"Tries":1000`)
	stop := run()
	asked := map[string]bool{} // what flow "later" has waited for, each time until another time
	lastStatuses(t, c, func(all map[string]*flowv1.FlowStatus) bool {
		if w := all["later-"+alice.ShortHash()].GetWaitingFor(); w != "" {
			asked[w] = true
		}
		return ended(all) == 5 && len(asked) > 1
	})
	stop()
	defer run()()
	announce(t, c, "LATER", coming, wasm)
	for n := range 10 {
		start(fmt.Sprint("valid-", n), file, `"Amount":10,"Left":4`)
	}
	all := lastStatuses(t, c, func(all map[string]*flowv1.FlowStatus) bool { return ended(all) == 16 })
	told := func(request string) string {
		s := all[request+"-"+alice.ShortHash()]
		return s.GetState().String() + " " + string(s.GetResult()) + s.GetError().GetType() + " " + s.GetError().GetMessage()
	}
	const completed, failed = "FLOW_STATE_COMPLETED ", "FLOW_STATE_FAILED "
	for request, want := range map[string]string{
		"valid":   completed + `{"failures":null,"tries":1}`,
		"valid-9": completed + `{"failures":null,"tries":1}`,
		"grows":   completed + `{"failures":["com.example.IOU: a debt of 10 grows to 11"],"tries":1}`,
		"nothing": completed + `{"failures":["com.example.IOU: output 0: its amount is 0","com.example.IOU: output 0: its amount is -1"],"tries":1}`,
		"hidden":  failed + "unresolved FL-VERIFICATION-003: transaction",
		"missing": failed + "package-missing FL-VERIFICATION-004: transaction",
		"later":   completed + `{"failures":null,"tries":`,
	} {
		if got := told(request); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
	if strings.Contains(told("later"), `"tries":1}`) {
		t.Error("the package that came later was there at once")
	}
}
