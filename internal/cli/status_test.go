package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/topics"
)

// statusOf runs fairlead status on a cluster.
func statusOf(t *testing.T, wantCode int, args ...string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	env := map[string]string{"FAIRLEAD_CONFIG": "testdata/none.yaml"}
	code := cli.Run(t.Context(), cli.IO{In: strings.NewReader(""), Out: &o, Err: &e, Env: func(n string) string { return env[n] }}, append([]string{"status"}, args...))
	if code != wantCode {
		t.Errorf("status %v: exit code %d, want %d\n%s%s", args, code, wantCode, o.String(), e.String())
	}
	return o.String(), e.String()
}

// A cluster's status is what Kafka knows of it and what its processes say; whoever cannot be asked is unwell, and hides
// nothing of the others.
func TestStatus(t *testing.T) {
	c := enginetest.NewCluster(t)
	ctx := enginetest.Context(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, topic := range []string{topics.FlowEvents, topics.DeadLetterTopic(topics.FlowGroup)} {
		if _, err := c.Admin().CreateTopic(ctx, 1, 1, nil, c.Prefix+topic); err != nil {
			t.Fatal(err)
		}
	}
	write := func(topic string, n int) {
		t.Helper()
		for i := range n {
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: c.Prefix + topic, Key: fmt.Append(nil, i), Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(topics.FlowEvents, 5)
	// A group that read three of five records and has nobody any more.
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.ConsumerGroup(c.Prefix+topics.FlowGroup), kgo.ConsumeTopics(c.Prefix+topics.FlowEvents), kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	for read := 0; read < 5; {
		f := reader.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Records() {
			if read++; read <= 3 {
				if err := reader.CommitRecords(ctx, r); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	reader.CloseAllowingRebalance()

	type reply struct {
		code int
		body string
	}
	var now atomic.Pointer[reply]
	now.Store(&reply{http.StatusOK, `{"ready":true,"phase":"running","reasons":[],"waiting":[],"workers":["flow"],"groups":[{"group":"flow","ready":true,"sessions":[{"phase":"running","parked":2}]}]}`})
	process := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(now.Load().code)
		fmt.Fprint(w, now.Load().body)
	}))
	defer process.Close()
	kafka := []string{"--brokers", strings.Join(c.Brokers(), ","), "--prefix", c.Prefix}
	where := strings.TrimPrefix(process.URL, "http://")
	d := &devCluster{t: t}

	out, _ := statusOf(t, cli.ExitPending, append(kafka, "--workers", where+","+process.URL+"/status")...)
	d.want(out, `(?m)^flow +nobody runs it +0 +2 +0 +2 keys parked for an operator$`, `(?m)^crypto +never ran`, `(?m)^process `+where+` +ready: flow`,
		`flow: no process runs this group, 2 records wait for it`)

	write(topics.DeadLetterTopic(topics.FlowGroup), 3)
	const away = `["waiting for Postgres db:5432 since 7 s"]`
	now.Store(&reply{http.StatusServiceUnavailable, `{"ready":false,"phase":"running","reasons":` + away + `,"waiting":` + away + `,"workers":["persistence"],"groups":[]}`})
	out, _ = statusOf(t, cli.ExitPending, append(kafka, "--workers", where+",127.0.0.1:1")...)
	d.want(out, `flow: 3 dead letters since 24h0m0s: fairlead tail flow\.dlq`, `(?m)^flow .* 3, last \d+s ago`, `process `+where+` \(persistence\): waiting for Postgres db:5432 since 7 s`,
		`process 127\.0\.0\.1:1: .*refused`, `(?m)^unwell$`)

	out, _ = statusOf(t, cli.ExitPending, append(kafka, "-o", "json")...)
	var r struct {
		Well   bool
		Groups []struct {
			Group            string
			Lag, DeadLetters int64
		}
		Problems []string
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Well || len(r.Problems) != 2 {
		t.Errorf("%v: %s", err, out)
	}

	// Without Kafka there is still what the processes say.
	now.Store(&reply{http.StatusOK, `{"ready":true,"phase":"running","reasons":[],"waiting":[],"workers":["persistence"],"groups":[]}`})
	out, _ = statusOf(t, cli.ExitDone, "--workers", where)
	d.want(out, `ready: persistence`, `(?m)^well$`)
	out, _ = statusOf(t, cli.ExitPending, "--workers", where, "--brokers", "127.0.0.1:1")
	d.want(out, `ready: persistence`, `(?m)^  Kafka at 127\.0\.0\.1:1 does not answer.*\n      why: .*refused.*\n      remedy: check --brokers and --kafka-config$`)
	// A spare is well, and called so.
	now.Store(&reply{http.StatusOK, `{"ready":true,"phase":"running","reasons":[],"waiting":[],"workers":["flow","crypto"],"groups":[` +
		`{"group":"flow","ready":true,"spare":true,"sessions":[{"phase":"spare"}]},{"group":"crypto","ready":true,"sessions":[{"phase":"running"}]}]}`})
	out, _ = statusOf(t, cli.ExitDone, "--workers", where)
	d.want(out, `ready: flow,crypto .*spare of flow: others own all partitions`, `(?m)^well$`)
	_, errs := statusOf(t, cli.ExitError)
	d.want(errs, `nothing to ask is known: name Kafka with --brokers`)
}
