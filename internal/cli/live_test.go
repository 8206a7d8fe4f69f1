package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

func broker(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("test-cluster"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// fairlead runs a command line and returns its exit code and outputs.
func fairlead(ctx context.Context, c *kfake.Cluster, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Run(ctx, outside(c, &out, &errs), args)
	return code, out.String(), errs.String()
}

func outside(c *kfake.Cluster, out, errs io.Writer) cli.IO {
	env := map[string]string{"FAIRLEAD_BROKERS": strings.Join(c.ListenAddrs(), ","), "FAIRLEAD_CONFIG": "testdata/none.yaml"}
	return cli.IO{
		In: strings.NewReader(""), Out: out, Err: errs, Env: func(name string) string { return env[name] },
		By: "ann@example", Version: "v0-test", Now: func() time.Time { return now },
	}
}

// createFails makes the broker refuse a topic once.
func createFails(c *kfake.Cluster, topic string) {
	failed := false
	c.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := req.(*kmsg.CreateTopicsRequest).Topics
		if failed || len(asked) == 0 || asked[0].Topic != topic {
			return nil, nil, false
		}
		failed = true
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		answer := kmsg.NewCreateTopicsResponseTopic()
		answer.Topic, answer.ErrorCode = topic, kerr.PolicyViolation.Code
		resp.Topics = append(resp.Topics, answer)
		return resp, nil, true
	})
}

func TestApplyGoesOnAfterAnInterruption(t *testing.T) {
	c := broker(t)
	file := t.TempDir() + "/plan.json"
	if code, _, errs := fairlead(t.Context(), c, "topics", "plan", "--profile", "dev", "--out", file); code != cli.ExitPending {
		t.Fatalf("plan: %d %s", code, errs)
	}
	createFails(c, topics.FlowEvents)
	code, out, errs := fairlead(t.Context(), c, "topics", "apply", file, "--yes")
	if code != cli.ExitError || !strings.Contains(errs, "POLICY_VIOLATION") || !strings.Contains(errs, "run it again to go on") {
		t.Fatalf("interrupted: %d %s", code, errs)
	}
	before := strings.Count(out, "done: create")
	if before == 0 || before >= len(topics.All()) {
		t.Fatalf("%d topics were made before the failure", before)
	}
	// The failure is on record.
	if _, out, _ := fairlead(t.Context(), c, "tail", "fairlead.audit", "--from", "start"); !strings.Contains(out, "outcome=FAILED") {
		t.Errorf("audit: %s", out)
	}
	code, out, errs = fairlead(t.Context(), c, "topics", "apply", file, "--yes")
	if after := strings.Count(out, "done: create"); code != cli.ExitDone || before+after != len(topics.All()) {
		t.Fatalf("again: %d, %d and %d topics: %s", code, before, after, errs)
	}
	if code, out, _ := fairlead(t.Context(), c, "topics", "plan", "--profile", "dev"); code != cli.ExitDone {
		t.Errorf("still pending: %s", out)
	}
}

func TestApplyIsLocked(t *testing.T) {
	c := broker(t)
	if code, _, errs := fairlead(t.Context(), c, "topics", "apply", "--profile", "dev", "--yes"); code != cli.ExitDone {
		t.Fatal(errs)
	}
	a, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	drift := topics.Change{Kind: topics.SetConfig, Topic: topics.FlowEvents, Key: "retention.ms", To: "1"}
	if err := a.Do(t.Context(), kafkaadmin.Step{Topic: drift.Topic, Changes: []topics.Change{drift}}); err != nil {
		t.Fatal(err)
	}
	lock, err := a.Lock(t.Context(), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := fairlead(t.Context(), c, "topics", "apply", "--profile", "dev", "--yes")
	if code != cli.ExitRefused || !strings.Contains(errs, "another fairlead topics apply is under way") || strings.Contains(out, "done:") {
		t.Errorf("while locked: %d %s %s", code, out, errs)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := fairlead(t.Context(), c, "topics", "apply", "--profile", "dev", "--yes"); code != cli.ExitDone {
		t.Errorf("after: %d %s", code, errs)
	}
}

func TestTimeoutHasItsExitCode(t *testing.T) {
	c := broker(t)
	held := make(chan struct{})
	defer close(held)
	c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-held })
		return nil, nil, false
	})
	code, _, errs := fairlead(t.Context(), c, "topics", "plan", "--timeout", "50ms")
	if code != cli.ExitTimeout || !strings.Contains(errs, "longer than --timeout allows") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestTailFollows(t *testing.T) {
	c := broker(t)
	if code, _, errs := fairlead(t.Context(), c, "topics", "apply", "--profile", "dev", "--yes"); code != cli.ExitDone {
		t.Fatal(errs)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	produce := func(key string) {
		t.Helper()
		if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: topics.VirtualNodeInfo, Key: []byte(key)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce("before")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		code := cli.Run(ctx, outside(c, w, &errs), []string{"tail", topics.VirtualNodeInfo, "--follow", "--format", "%k", "--grep", "!k:^other"})
		_ = w.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(r)
	for i, want := range []string{"before", "after1", "after2"} {
		if i > 0 {
			produce(fmt.Sprintf("other%d", i))
			produce(want)
		}
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q: %s", lines.Text(), want, errs.String())
		}
	}
	cancel()
	if code := <-ended; code != cli.ExitDone {
		t.Errorf("interrupted: %d %s", code, errs.String())
	}
}

// A reveal that cannot be audited shows nothing.
func TestRevealNeedsTheAuditTopic(t *testing.T) {
	c := broker(t)
	if err := c.CreateTopic(topics.FlowEvents, 1, nil); err != nil {
		t.Fatal(err)
	}
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: topics.FlowEvents, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"tail", topics.FlowEvents, "--reveal"}, {"peek", topics.FlowEvents, "--reveal"}} {
		code, out, errs := fairlead(t.Context(), c, args...)
		if code != cli.ExitRefused || out != "" || !strings.Contains(errs, "only when that can be audited") {
			t.Errorf("%v: %d %q %s", args, code, out, errs)
		}
	}
}
