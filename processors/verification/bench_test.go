package verification_test

import (
	"context"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// BenchmarkContract is one contract's look at a move of one token into two, in a fresh instance each.
func BenchmarkContract(b *testing.B) {
	dir, err := os.MkdirTemp("", "verification-bench-")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r, err := sandbox.New(b.Context(), sandbox.Config{CacheDir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close(context.WithoutCancel(b.Context())) }()
	wasm, err := appbuild.Builder{}.Compile(b.Context(), "testdata/guests/token")
	if err != nil {
		b.Fatal(err)
	}
	m, err := r.Install(b.Context(), wasm)
	if err != nil {
		b.Fatal(err)
	}
	issue := moving(b, "issue", []string{"bank"}, nil, token("bank", "alice", 100))
	move := moving(b, "move", []string{"alice"}, []ledger.StateRef{issue.Output(0)}, token("bank", "bob", 60), token("bank", "alice", 40))
	info, content := issue.Content().Outputs[0].Components()
	request, err := proto.Marshal(&appv1.VerifyRequest{
		Contract: "com.example.Token", Transaction: move.Encode(), Inputs: []*appv1.ResolvedState{{Info: info, Content: content}},
	})
	if err != nil {
		b.Fatal(err)
	}
	var units int64
	b.ResetTimer()
	for b.Loop() {
		v, used, err := m.Judge(b.Context(), move.ID(), request, nil)
		if err != nil || v.GetAccepted() == nil {
			b.Fatalf("%v, %v", v, err)
		}
		units = used
	}
	b.ReportMetric(float64(units), "units/op")
}
