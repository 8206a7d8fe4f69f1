package topics_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/fairleadio/fairlead/topics"
)

func specs(t *testing.T) []topics.Spec {
	t.Helper()
	out, err := topics.Desired(topics.All(), topics.Production(), topics.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func export(t *testing.T, f topics.Format) string {
	t.Helper()
	out, err := topics.Export(specs(t), f, topics.ExportOptions{Prefix: "Prod_1-", StrimziCluster: "kafka"})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExportYAMLAndJSONSayTheSame(t *testing.T) {
	type file struct {
		Topics []struct {
			Name       string
			Partitions int
			Replicas   int
			Config     map[string]string
		}
	}
	for _, f := range []topics.Format{topics.YAML, topics.JSON} {
		var got file
		if err := yaml.Unmarshal([]byte(export(t, f)), &got); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if len(got.Topics) != len(topics.All()) {
			t.Fatalf("%s: %d topics", f, len(got.Topics))
		}
		for i, s := range specs(t) {
			g := got.Topics[i]
			if g.Name != "Prod_1-"+s.Name || g.Partitions != s.Partitions || g.Replicas != s.Replicas || g.Config["cleanup.policy"] != s.Config["cleanup.policy"] || len(g.Config) != len(s.Config) {
				t.Errorf("%s: %v for %v", f, g, s)
			}
		}
	}
	if _, err := topics.Export(nil, "xml", topics.ExportOptions{}); err == nil {
		t.Error("an unknown format was taken")
	}
}

func TestExportStrimzi(t *testing.T) {
	d := yaml.NewDecoder(strings.NewReader(export(t, topics.Strimzi)))
	n := 0
	for {
		var r struct {
			Kind     string
			Metadata struct {
				Name   string
				Labels map[string]string
			}
			Spec struct {
				TopicName  string `yaml:"topicName"`
				Partitions int
				Config     map[string]string
			}
		}
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
		if r.Kind != "KafkaTopic" || r.Metadata.Labels["strimzi.io/cluster"] != "kafka" || r.Spec.Partitions != 12 ||
			r.Metadata.Name != "prod-1-"+strings.TrimPrefix(r.Spec.TopicName, "Prod_1-") {
			t.Errorf("resource %+v", r)
		}
	}
	if n != len(topics.All()) {
		t.Errorf("%d resources", n)
	}
}

// The script is run with programs of the same names that print what they are told.
func TestShellScriptRuns(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, tool := range []string{"kafka-topics.sh", "kafka-configs.sh"} {
		if err := os.WriteFile(filepath.Join(dir, tool), []byte("#!"+sh+"\necho "+tool+" \"$*\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := topics.Plan{Prefix: "p-", Refusals: []topics.Refusal{{ID: "FL-TOPICS-001", Topic: "x", Reason: "because"}}, Changes: []topics.Change{
		{Kind: topics.Create, Topic: "a", Partitions: 3, Replicas: 1, Config: map[string]string{"cleanup.policy": "compact", "x": "it's"}},
		{Kind: topics.AddPartitions, Topic: "a", Partitions: 6},
		{Kind: topics.SetConfig, Topic: "a", Key: "k", To: "v"},
		{Kind: topics.UnsetConfig, Topic: "a", Key: "k"},
		{Kind: topics.Delete, Topic: "a"},
	}}
	cmd := exec.Command(sh, "-c", p.Shell())
	cmd.Env = []string{"PATH=" + dir, "KAFKA_BOOTSTRAP=b:9092", "KAFKA_OPTS_FILE=/etc/c"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const want = `kafka-topics.sh --bootstrap-server b:9092 --command-config /etc/c --create --if-not-exists --topic p-a --partitions 3 --replication-factor 1 --config cleanup.policy=compact --config x=it's
kafka-topics.sh --bootstrap-server b:9092 --command-config /etc/c --alter --topic p-a --partitions 6
kafka-configs.sh --bootstrap-server b:9092 --command-config /etc/c --alter --entity-type topics --entity-name p-a --add-config k=v
kafka-configs.sh --bootstrap-server b:9092 --command-config /etc/c --alter --entity-type topics --entity-name p-a --delete-config k
kafka-topics.sh --bootstrap-server b:9092 --command-config /etc/c --delete --topic p-a
`
	if string(out) != want {
		t.Errorf("got:\n%s", out)
	}
	if n := strings.Count(export(t, topics.Shell), "--create"); n != len(topics.All()) {
		t.Errorf("%d topics are created", n)
	}
}

func TestGraph(t *testing.T) {
	g := topics.NewGraph(topics.All(), false)
	mermaid, dot, svg := g.Mermaid(), g.Dot(), g.SVG()
	for _, want := range []string{"g_rest --> t_flow_mapper_start", "t_flow_mapper_start --> g_flow_mapper", "t_flow_status -.-> g_rest", `t_flow_status[("flow.status")]`} {
		if !strings.Contains(mermaid, want) {
			t.Errorf("mermaid lacks %q:\n%s", want, mermaid)
		}
	}
	for _, want := range []string{"g_rest -> t_flow_mapper_start;", "t_flow_status -> g_rest [style=dashed];", `t_cpi_info [label="cpi.info" shape=cylinder];`} {
		if !strings.Contains(dot, want) {
			t.Errorf("dot lacks %q", want)
		}
	}
	if strings.Contains(mermaid, "flow-table") {
		t.Error("a group's own topics were not left out")
	}
	if all := topics.NewGraph(topics.All(), true); !strings.Contains(all.Mermaid(), "flow-table") || len(all.Topics) != len(topics.All()) {
		t.Error("a group's own topics are missing")
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("svg: %v", err)
		}
	}
	for _, topic := range g.Topics {
		if !strings.Contains(svg, ">"+topic.Name+"<") {
			t.Errorf("svg lacks %s", topic.Name)
		}
	}
}
