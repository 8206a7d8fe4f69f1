package kafkatest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func client(t *testing.T, c *Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.Brokers()...), kgo.MetadataMinAge(50 * time.Millisecond),
		// A broker that has just started names a new topic a moment after it has made it.
		kgo.UnknownTopicRetries(-1),
	}, opts...)...)
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func createTopic(t *testing.T, cl *kgo.Client, c *Cluster, topic string) {
	t.Helper()
	r, err := kadm.NewClient(cl).CreateTopic(t.Context(), 3, c.Replication(), nil, topic)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

// topicOf returns a topic name that a cluster shared with others does not have yet.
func topicOf(t *testing.T) string {
	return "kafkatest-" + strconv.Itoa(os.Getpid()) + "-" + t.Name()
}

func TestOneNode(t *testing.T) {
	c := Start(t, Options{})
	cl := client(t, c)
	topic := topicOf(t)
	createTopic(t, cl, c, topic)
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("hello")}).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	reader := client(t, c, kgo.ConsumeTopics(topic))
	f := reader.PollFetches(t.Context())
	if err := f.Err(); err != nil || f.NumRecords() != 1 || string(f.Records()[0].Value) != "hello" {
		t.Fatalf("read back %d records, %v", f.NumRecords(), err)
	}
}

func TestThreeNodesSurviveTheLossOfOne(t *testing.T) {
	c := Start(t, Options{Nodes: 3})
	if c.Nodes() == 0 {
		if err := c.Kill(1); !errors.Is(err, errUnmanaged) {
			t.Fatalf("Kill on a cluster that is not ours says %v", err)
		}
		t.Skipf("needs nodes to kill: %s", c.Kind())
	}
	// A paused node keeps its connections open: only time-outs tell that it is gone.
	cl := client(t, c, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DefaultProduceTopic(topicOf(t)),
		kgo.ProduceRequestTimeout(2*time.Second), kgo.RequestTimeoutOverhead(time.Second))
	createTopic(t, cl, c, topicOf(t))
	produced := 0
	produce := func(what string) {
		t.Helper()
		t.Logf("%d records; produce %s", produced, what)
		for range 30 {
			r := &kgo.Record{Value: []byte(strconv.Itoa(produced)), Partition: int32(produced % 3)}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatalf("produce %s: %v", what, err)
			}
			produced++
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	produce("with all nodes")
	must(c.Kill(1))
	produce("after node 1 was killed")
	must(c.Restart(t.Context(), 1))
	must(c.Pause(2))
	produce("while node 2 is paused")
	must(c.Continue(2))
	must(c.waitBrokers(t.Context(), 3))
	must(c.Stop(t.Context(), 3))
	produce("after node 3 was stopped")
	must(c.Restart(t.Context(), 3))

	reader := client(t, c, kgo.ConsumeTopics(topicOf(t)), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	seen := map[string]bool{}
	for len(seen) < produced {
		f := reader.PollFetches(t.Context())
		must(f.Err())
		f.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
	}
}

func TestJarsAreFetchedOnce(t *testing.T) {
	if _, err := exec.LookPath("mvn"); err != nil || os.Getenv(RealServersVariable) != "1" {
		t.Skipf("needs Maven and %s=1", RealServersVariable)
	}
	// A project without dependencies is fetched without the network's help, and says what there is to say.
	project := []byte(`<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>a</groupId><artifactId>b</artifactId><version>1</version><packaging>pom</packaging><dependencies><dependency>
<groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId><version>1.7.36</version></dependency></dependencies>
<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId>
<version>3.8.1</version></plugin></plugins></build></project>`)
	dir := filepath.Join(t.TempDir(), "jars")
	if _, err := MavenJars(t.Context(), dir, project); err != nil {
		t.Fatal(err)
	}
	jar := filepath.Join(dir, "slf4j-api-1.7.36.jar")
	before, err := os.Stat(jar)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MavenJars(t.Context(), dir, project); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(jar)
	if err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Fatalf("the jar was fetched again (%v)", err)
	}
	if _, err := MavenJars(t.Context(), dir, append(project, '\n')); err != nil {
		t.Fatalf("a changed project: %v", err)
	}
}

func TestProcess(t *testing.T) {
	sh, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs the command sleep")
	}
	p, err := StartProcess(exec.Command(sh, "600"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{p.Pause, p.Continue, p.Pause} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if !p.Running() {
		t.Fatal("a paused process is not running")
	}
	if err := p.Kill(); err != nil {
		t.Fatalf("kill a paused process: %v", err)
	}
	if p.Running() || p.Err() == nil {
		t.Fatalf("after Kill: running %v, %v", p.Running(), p.Err())
	}
	p, err = StartProcess(exec.Command(sh, "600"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestNote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "summary")
	t.Setenv(SummaryVariable, path)
	if err := errors.Join(Note("real %s: %s", "Kafka", "yes"), Note("second")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "real Kafka: yes\nsecond\n" {
		t.Fatalf("summary is %q, %v", got, err)
	}
}
