package tokens_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/processors/tokens"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
)

// Whatever a request holds, it is answered once or asks for one query, and changes nothing when it is refused.
func FuzzRequest(f *testing.F) {
	for _, r := range []*tokensv1.Request{
		claimOf("5"), claimOf("0.000001"), releaseOf("c1", ref(1)), balanceOf("a+"), endOf("c1"), claimOf("1e9"), {Vnode: vnodeA, FlowId: flowA},
	} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &tokensv1.Request{}
		if proto.Unmarshal(b, r) != nil {
			return
		}
		s := newSite(t)
		s.mint(token(1, "5"))
		s.ask("c1", claimOf("1"))
		s.serve()
		pool := r.GetClaim().GetPool()
		switch {
		case r.GetRelease() != nil:
			pool = r.GetRelease().GetPool()
		case r.GetBalance() != nil:
			pool = r.GetBalance().GetPool()
		case r.GetEnd() != nil:
			pool = r.GetEnd().GetPool()
		}
		before := s.pool
		s.step(tokens.Asked{Request: r, Key: tokenpool.Key(r.GetVnode(), pool), RequestID: "x", ReplyTo: replyTo(), NowUs: s.nowUs})
		answers := len(s.replies["x"])
		if r.GetEnd() != nil && answers != 0 || r.GetEnd() == nil && answers+len(s.asked) != 1 {
			t.Errorf("%v has %d answers and %d queries", r, answers, len(s.asked))
		}
		if s.notes[tokens.Refused] > 0 && len(tokens.Rows(s.key(), before, s.pool)) > 0 {
			t.Errorf("%v is refused and changes the pool", r)
		}
		for _, a := range s.replies["x"] {
			if a.GetError().GetClass() == rpcv1.ErrorClass_ERROR_CLASS_FATAL {
				t.Errorf("%v fails its flow", r)
			}
		}
	})
}
