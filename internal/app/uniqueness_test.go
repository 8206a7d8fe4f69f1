package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/topics"
)

// A notary forgets nothing, so its worker does not start on topics that could: one replica is for development alone, an
// unclean leader for nobody.
func TestUniquenessRefusesUnsafeTopics(t *testing.T) {
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: c.Brokers(), Prefix: c.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	cluster, err := admin.Cluster(enginetest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	memory := topics.StoreTopic(topics.UniquenessGroup, topics.UniquenessMemoryStore)
	judge := func(unsafe bool) string {
		err := judgeTopics(cluster, []string{Uniqueness}, unsafe, slog.New(slog.DiscardHandler))
		if err == nil {
			return ""
		}
		return err.Error()
	}
	if got := judge(true); got != "" {
		t.Errorf("for development: %s", got)
	}
	if got := judge(false); !strings.Contains(got, topics.FoundReplicas+" "+memory) || strings.Contains(got, topics.PersistenceRequests) {
		t.Errorf("one replica: %q", got)
	}
	at := slices.IndexFunc(cluster.Topics, func(e topics.Existing) bool { return e.Name == memory })
	cluster.Topics[at].Effective["unclean.leader.election.enable"] = "true"
	for _, unsafe := range []bool{true, false} {
		if got := judge(unsafe); !strings.Contains(got, topics.FoundUnclean+" "+memory) {
			t.Errorf("an unclean leader, unsafe %v: %q", unsafe, got)
		}
	}
	cluster.Topics = slices.Delete(cluster.Topics, at, at+1)
	if got := judge(true); !strings.Contains(got, topics.FoundMissing+" "+memory) {
		t.Errorf("a missing topic: %q", got)
	}
}

// The worker as a process has it: it is asked, answers, and is ready and counted.
func TestUniquenessWorkerRuns(t *testing.T) {
	c := enginetest.NewCluster(t)
	prepareTopics(t, c)
	cfg := testConfig(c)
	cfg.Monitor.Profiles = true
	a := newApp(t, cfg, Uniqueness)
	ctx, stop := context.WithCancel(enginetest.Context(t))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	if err := a.WaitReady(ctx); err != nil {
		t.Fatal(errors.Join(err, <-done))
	}
	const notary = "AAAAAAAAAAA1"
	request := &uniquenessv1.Request{Notary: notary, Check: &appv1.CheckUniqueness{
		Mode: appv1.UniquenessMode_UNIQUENESS_MODE_CHECK, Transaction: []byte(strings.Repeat("t", 32)), Outputs: 1, Window: &ledgerv1.TimeWindow{UntilUs: 1 << 60},
	}}
	c.Produce(t, topics.UniquenessRequests, notary, request, schemas.Codec[*uniquenessv1.Request](),
		engine.HeaderRequest, "r", engine.HeaderReply, engine.ReplyTo(topics.FlowRepliesUniqueness, -1, "a flow"))
	r := c.Consume(t, topics.FlowRepliesUniqueness, 1)[0]
	var reply rpcv1.Reply
	var answer appv1.UniquenessAnswer
	if err := errors.Join(proto.Unmarshal(r.Value, &reply), proto.Unmarshal(reply.GetResult(), &answer)); err != nil {
		t.Fatal(err)
	}
	if string(r.Key) != "a flow" || answer.GetResult() != appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED || answer.GetDecidedAtNs() == 0 {
		t.Errorf("answered %v under %q", &answer, r.Key)
	}
	if code, body := fetch(t, "http://"+a.MonitorAddress()+"/isHealthy"); code != 200 {
		t.Errorf("health: %d %s", code, body)
	}
	if _, body := fetch(t, "http://"+a.MonitorAddress()+"/metrics"); !strings.Contains(body, `fairlead_uniqueness_requests_total{outcome="accepted",repeated="false"} 1`) {
		t.Error("the metrics lack the request")
	}
	if code, body := fetch(t, "http://"+a.MonitorAddress()+"/debug/pprof/goroutine?debug=1"); code != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("profiles: %d %.200s", code, body)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
}
