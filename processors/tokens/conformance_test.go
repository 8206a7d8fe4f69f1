package tokens_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/tokenpool"
	"github.com/fairleadio/fairlead/processors/tokens"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	"github.com/fairleadio/fairlead/topics"
)

func graph(t testing.TB) *engine.Graph {
	t.Helper()
	w, err := tokens.NewWorker(tokens.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return w.Graph()
}

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inPool moves a request into another pool.
func inPool(r *tokensv1.Request, p *appv1.TokenPool) *tokensv1.Request {
	r = proto.Clone(r).(*tokensv1.Request)
	switch op := r.GetOperation().(type) {
	case *tokensv1.Request_Claim:
		op.Claim.Pool = p
	case *tokensv1.Request_Release:
		op.Release.Pool = p
	case *tokensv1.Request_Balance:
		op.Balance.Pool = p
	case *tokensv1.Request_End:
		op.End.Pool = p
	}
	return r
}

// What every group must keep, kept by this one: claims and balances that ask for pages, refused requests, releases, pages
// of queries that nobody made, and changes.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	var inputs []enginetest.Input
	send := func(topic, key, id string, m proto.Message) {
		headers := map[string]string{engine.HeaderRequest: id}
		if topic == topics.TokensRequests {
			headers[engine.HeaderReply] = engine.ReplyTo(topics.FlowRepliesTokens, -1, id)
		}
		inputs = append(inputs, enginetest.Input{Topic: topic, Key: key, Value: mustMarshal(t, m), Headers: headers})
	}
	for n := range 12 {
		pool := poolOf(fmt.Sprint("P", n))
		key := tokenpool.Key(vnodeA, pool)
		ask := func(id string, r *tokensv1.Request) {
			send(topics.TokensRequests, key, fmt.Sprint(id, n), inPool(r, pool))
		}
		ask("a", claimOf("5"))
		ask("b", claimOf("1", func(c *appv1.ClaimTokens) { c.TagRegex = "gold" }))
		ask("bal", balanceOf(""))
		ask("bad", claimOf("x"))
		send(topics.TokensChanges, key, "", &tokensv1.Change{Vnode: vnodeA, Pool: pool, Number: uint64(n + 1), Token: token(n+1, "2")})
		send(topics.TokensReplies, key, fmt.Sprintf("tokens/%s/%d", key, 99), &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{}})
		ask("r", releaseOf(fmt.Sprint("a", n)))
		ask("e", endOf(fmt.Sprint("b", n)))
	}
	poison := enginetest.Input{Topic: topics.TokensRequests, Key: "nobody", Value: mustMarshal(t, claimOf("5"))}
	// When a request is asked is in what it asks of persistence, so only its key is the same; and the topics of one pool are
	// read side by side.
	enginetest.Suite{Graph: graph, Inputs: inputs, Poison: &poison, Content: enginetest.OnlyKeys}.Run(t)
}
