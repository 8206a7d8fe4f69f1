package topics_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/topics"
)

// threatModel reads the tables of the document: by worker type, the access that it says each topic has.
func threatModel(t *testing.T) map[string]map[string]string {
	t.Helper()
	f, err := os.Open("../docs/security/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]map[string]string{}
	worker := ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "## Worker: "); ok {
			worker = name
			out[worker] = map[string]string{}
			continue
		}
		if strings.HasPrefix(line, "## ") {
			worker = ""
		}
		cells := strings.Split(line, "|")
		if worker == "" || len(cells) != 5 || !strings.HasPrefix(line, "| `") {
			continue
		}
		access, gives := strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		if gives == "" {
			t.Errorf("%s: %s: the table does not say what it gives", worker, cells[1])
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			name = strings.Trim(strings.TrimSpace(name), "`")
			if out[worker][name] != "" {
				t.Errorf("%s: %s is there twice", worker, name)
			}
			out[worker][name] = access
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// The tables of the threat model are the catalogue's edges: none more, none less.
func TestThreatModelIsTheCatalogue(t *testing.T) {
	told := threatModel(t)
	workers := topics.Workers(topics.All())
	if got := slices.Sorted(maps.Keys(told)); !slices.Equal(got, workers) {
		t.Errorf("the document has the worker types %v, the catalogue %v", got, workers)
	}
	for _, worker := range workers {
		want := map[string]string{}
		for _, a := range topics.AccessOf(topics.All(), worker) {
			want[a.Topic] = a.Words()
		}
		for _, r := range topics.Rules(topics.All()) {
			if r.Worker == worker && r.Resource == topics.ResourceTopic && r.Prefixed {
				a := topics.Access{Topic: r.Name + "*", Read: slices.Contains(r.Operations, topics.OpRead), Write: slices.Contains(r.Operations, topics.OpWrite)}
				want[a.Topic] = a.Words()
			}
		}
		if !maps.Equal(told[worker], want) {
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if told[worker][name] != want[name] {
					t.Errorf("%s: %s: the document says %q, the catalogue %q", worker, name, told[worker][name], want[name])
				}
			}
			for name := range told[worker] {
				if want[name] == "" {
					t.Errorf("%s: the document has %s, which the catalogue does not give it", worker, name)
				}
			}
		}
	}
}

// What nobody must be able to do stands here once more, so that a change of the catalogue that breaks it is noticed as
// what it is.
func TestWhatNoRuleGives(t *testing.T) {
	may := func(worker, topic string) (a topics.Access) {
		for _, a := range topics.AccessOf(topics.All(), worker) {
			if a.Topic == topic {
				return a
			}
		}
		return a
	}
	only := func(what func(topics.Access) bool, topic string, workers ...string) {
		for _, w := range topics.Workers(topics.All()) {
			if got := what(may(w, topic)); got != slices.Contains(workers, w) {
				t.Errorf("%s and %s: %v", w, topic, got)
			}
		}
	}
	reads, writes := func(a topics.Access) bool { return a.Read }, func(a topics.Access) bool { return a.Write }
	only(reads, topics.RBACCredential, "database", "rest")
	only(reads, topics.DbRequests, "database")
	for _, fact := range []string{topics.Config, topics.CpiInfo, topics.CpiChunks, topics.VirtualNodeInfo, topics.RBACCredential, topics.RBACUser, topics.RBACRole, topics.RBACPermission} {
		only(writes, fact, "database")
	}
	only(writes, topics.CryptoKeys, "crypto")
	only(writes, topics.CryptoRequests, "flow")
	only(writes, topics.CryptoAdmin, "rest")
	for _, later := range []string{topics.CryptoTLS, topics.CryptoLink, topics.CryptoMembers} {
		only(writes, later)
	}
	only(writes, topics.FlowRepliesCrypto, "crypto")
	only(writes, topics.FlowRepliesPersistence, "persistence")
	only(writes, topics.PersistenceRequests, "flow")
	only(writes, topics.PersistenceTokens, "tokens")
	only(writes, topics.TokensRequests, "flow")
	only(writes, topics.TokensChanges, "persistence")
	only(writes, topics.FlowRepliesTokens, "tokens")
	only(writes, topics.FlowRepliesVerification, "verification")
	only(writes, topics.VerificationRequests, "flow")
	only(reads, topics.VerificationRequests, "verification")
	only(writes, topics.CpiUpload, "rest")
	for _, r := range topics.Rules(topics.All()) {
		for _, op := range r.Operations {
			if !slices.Contains([]topics.Operation{topics.OpRead, topics.OpWrite, topics.OpDescribeConfigs}, op) {
				t.Errorf("a rule lets %s %s %s", r.Worker, op, r.Name)
			}
		}
		for _, other := range topics.Rules(topics.All()) {
			if r.Prefixed && other.Worker != r.Worker && other.Resource == r.Resource && r.Resource == topics.ResourceTransaction && strings.HasPrefix(other.Name, r.Name) {
				t.Errorf("%s may end transactions of %s", r.Worker, other.Worker)
			}
		}
	}
}

func TestExportRules(t *testing.T) {
	rules := topics.Rules(topics.WithChannels(topics.All(), []topics.Channel{
		{Name: "bids", Topic: "auction.bids", Vnode: "A1", Direction: topics.DirectionSend}, {Name: "asks", Topic: "ext.A1.asks.send", Vnode: "A1", Direction: topics.DirectionReceive},
	}))
	o := topics.ACLOptions{Prefix: "prod-", User: "fl-{worker}", StrimziCluster: "kafka"}
	for f, wants := range map[topics.Format][]string{
		topics.Shell: {
			"kafka kafka-acls.sh --add --allow-principal 'User:fl-flow' --operation Write --operation DescribeConfigs --topic 'prod-crypto.requests' --resource-pattern-type literal\n",
			"kafka kafka-acls.sh --add --allow-principal 'User:fl-flow' --operation Write --operation DescribeConfigs --topic 'prod-ext.' --resource-pattern-type prefixed\n",
			"kafka kafka-acls.sh --add --allow-principal 'User:fl-flow' --operation Write --operation DescribeConfigs --topic 'prod-auction.bids' --resource-pattern-type literal\n",
			"kafka kafka-acls.sh --add --allow-principal 'User:fl-flow-mapper' --operation Read --group 'prod-flow-mapper.channels' --resource-pattern-type literal\n",
			"kafka kafka-acls.sh --add --allow-principal 'User:fl-flow' --operation Write --transactional-id 'prod-flow:' --resource-pattern-type prefixed\n",
		},
		topics.Strimzi: {
			"kind: KafkaUser\nmetadata:\n  name: fl-crypto\n  labels:\n    strimzi.io/cluster: \"kafka\"\n",
			"      - resource: {type: topic, name: \"prod-ext.\", patternType: prefix}\n        operations: [Write, DescribeConfigs]\n",
		},
		topics.JSON: {`"user": "fl-crypto",`, `"name": "prod-crypto:",`},
	} {
		text, err := topics.ExportRules(rules, f, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", f, want)
			}
		}
		for _, never := range []string{"prod-ext.A1", "fl-tools", "fl-outside", "fl-gateway"} {
			if strings.Contains(text, never) {
				t.Errorf("%s has %q", f, never)
			}
		}
	}
	for what, f := range map[string]func() (string, error){
		"use json, sh or strimzi":       func() (string, error) { return topics.ExportRules(rules, topics.YAML, o) },
		"put {worker} where their type": func() (string, error) { return topics.ExportRules(rules, topics.Shell, topics.ACLOptions{User: "x"}) },
	} {
		if text, err := f(); err == nil || !strings.Contains(fmt.Sprint(err), what) {
			t.Errorf("%q, %v; want %q", text, err, what)
		}
	}
}
