package topics

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Access is what a worker type may do with a topic.
type Access struct {
	// Topic is without the cluster's prefix.
	Topic       string `json:"topic"`
	Read, Write bool
}

// Words says the access in words, for tables.
func (a Access) Words() string {
	switch {
	case a.Read && a.Write:
		return "read, write"
	case a.Write:
		return "write"
	default:
		return "read"
	}
}

// WorkerOf returns the worker type that a group or edge of the catalogue belongs to: flow-mapper.channels to flow-mapper.
func WorkerOf(part string) string {
	worker, _, _ := strings.Cut(part, ".")
	return worker
}

// Workers are the worker types that take part in a catalogue: those that read something. Types that only write come with
// later versions.
func Workers(catalogue []Topic) []string {
	var out []string
	add := func(part string) {
		if w := WorkerOf(part); w != Tools && w != Outside && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	for _, t := range catalogue {
		for _, r := range t.Readers {
			add(r.By)
		}
	}
	slices.Sort(out)
	return out
}

// AccessOf returns what a worker type may do with the topics of a catalogue, by topic. Topics that it may not use at all
// are left out.
func AccessOf(catalogue []Topic, worker string) []Access {
	var out []Access
	for _, t := range catalogue {
		a := Access{Topic: t.Name}
		for _, w := range t.Writers {
			a.Write = a.Write || WorkerOf(w) == worker
		}
		for _, r := range t.Readers {
			a.Read = a.Read || WorkerOf(r.By) == worker
		}
		// A group reads its own tables, stores and loop back; its dead letters only operators read.
		a.Read = a.Read || t.Own != "" && t.Own != KindDeadLetters && WorkerOf(t.Owner) == worker
		if a.Read || a.Write {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Access) int { return strings.Compare(a.Topic, b.Topic) })
	return out
}

// Resource is what a rule is about, in the words of Kafka's tools.
type Resource string

// The resources.
const (
	ResourceTopic       Resource = "topic"
	ResourceGroup       Resource = "group"
	ResourceTransaction Resource = "transactional-id"
)

// Operation is what a rule allows, in the words of Kafka's tools.
type Operation string

// The operations. Reading and writing let describe, too.
const (
	OpRead            Operation = "Read"
	OpWrite           Operation = "Write"
	OpDescribeConfigs Operation = "DescribeConfigs"
)

// Rule is an access rule: all that the users of a worker type may do with a resource.
type Rule struct {
	Worker   string   `json:"worker"`
	Resource Resource `json:"resource"`
	// Name is without the cluster's prefix.
	Name string `json:"name"`
	// Prefixed rules hold for every name that begins so.
	Prefixed   bool        `json:"prefixed"`
	Operations []Operation `json:"operations"`
}

// ChannelPrefix is how the topics of external channels begin unless they are routed to others.
const ChannelPrefix = "ext."

// Rules are the access rules with which every worker type works, and can do nothing else. There is no rule to create,
// change or delete a topic: workers never do. Topics of external channels that begin with [ChannelPrefix] are under one
// rule for each direction; others must be in the catalogue ([WithChannels]).
func Rules(catalogue []Topic) []Rule {
	var out []Rule
	for _, worker := range Workers(catalogue) {
		topic := func(name string, prefixed, read, write bool) {
			r := Rule{Worker: worker, Resource: ResourceTopic, Name: name, Prefixed: prefixed}
			if read {
				r.Operations = append(r.Operations, OpRead)
			}
			if write {
				r.Operations = append(r.Operations, OpWrite)
			}
			// At its start a worker compares the settings of its topics with the catalogue.
			r.Operations = append(r.Operations, OpDescribeConfigs)
			out = append(out, r)
		}
		for _, a := range AccessOf(catalogue, worker) {
			if t, ok := find(catalogue, a.Topic); ok && t.Class == External && strings.HasPrefix(a.Topic, ChannelPrefix) {
				continue
			}
			topic(a.Topic, false, a.Read, a.Write)
		}
		writes := slices.ContainsFunc(DynamicWriters(), func(g string) bool { return WorkerOf(g) == worker })
		reads := WorkerOf(FlowMapperChannels) == worker
		if writes || reads {
			topic(ChannelPrefix, true, reads, writes)
		}
		for _, group := range groupsOf(catalogue, worker) {
			out = append(out,
				Rule{Worker: worker, Resource: ResourceGroup, Name: group, Operations: []Operation{OpRead}},
				// With what separates it from the replica's name: flow must not be able to end flow-mapper's.
				Rule{Worker: worker, Resource: ResourceTransaction, Name: group + ":", Prefixed: true, Operations: []Operation{OpWrite}})
		}
	}
	return out
}

func find(catalogue []Topic, name string) (Topic, bool) {
	i := slices.IndexFunc(catalogue, func(t Topic) bool { return t.Name == name })
	if i < 0 {
		return Topic{}, false
	}
	return catalogue[i], true
}

// Groups are all consumer groups of a catalogue, sorted.
func Groups(catalogue []Topic) []string {
	var out []string
	for _, worker := range Workers(catalogue) {
		out = append(out, groupsOf(catalogue, worker)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// groupsOf are the consumer groups of a worker type: whatever consumes in a group has topics of its own.
func groupsOf(catalogue []Topic, worker string) []string {
	var out []string
	for _, t := range catalogue {
		if t.Own != "" && WorkerOf(t.Owner) == worker && !slices.Contains(out, t.Owner) {
			out = append(out, t.Owner)
		}
	}
	slices.Sort(out)
	return out
}

// UserPlaceholder stands for the worker type in [ACLOptions.User].
const UserPlaceholder = "{worker}"

// ACLOptions are what the rules need beside the catalogue.
type ACLOptions struct {
	Prefix string
	// User is the name of the Kafka user of a worker type, with [UserPlaceholder].
	User string
	// StrimziCluster is the name of the Kafka resource, for label strimzi.io/cluster.
	StrimziCluster string
}

// UserOf returns the user of a worker type.
func (o ACLOptions) UserOf(worker string) string {
	return strings.ReplaceAll(o.User, UserPlaceholder, worker)
}

// ExportRules writes access rules in the form of another tool: lines for kafka-acls.sh, KafkaUser resources of Strimzi,
// or plain JSON.
func ExportRules(rules []Rule, f Format, o ACLOptions) (string, error) {
	if !strings.Contains(o.User, UserPlaceholder) {
		return "", fmt.Errorf("the user %q is the same for all workers: put %s where their type goes", o.User, UserPlaceholder)
	}
	switch f {
	case JSON:
		type row struct {
			User string `json:"user"`
			Rule
		}
		out := struct {
			Rules []row `json:"rules"`
		}{[]row{}}
		for _, r := range rules {
			user := o.UserOf(r.Worker)
			r.Name = o.Prefix + r.Name
			out.Rules = append(out.Rules, row{user, r})
		}
		b, err := json.MarshalIndent(out, "", "  ")
		if err != nil {
			return "", fmt.Errorf("export access rules: %w", err)
		}
		return string(b) + "\n", nil
	case Shell:
		return shellRules(rules, o), nil
	case Strimzi:
		return strimziRules(rules, o), nil
	case YAML:
	}
	return "", fmt.Errorf("format %q is not known for access rules: use json, sh or strimzi", f)
}

func shellRules(rules []Rule, o ACLOptions) string {
	var b strings.Builder
	b.WriteString(shellHead)
	for _, r := range rules {
		pattern := "literal"
		if r.Prefixed {
			pattern = "prefixed"
		}
		fmt.Fprintf(&b, "kafka kafka-acls.sh --add --allow-principal %s", shellQuote("User:"+o.UserOf(r.Worker)))
		for _, op := range r.Operations {
			b.WriteString(" --operation " + string(op))
		}
		fmt.Fprintf(&b, " --%s %s --resource-pattern-type %s\n", r.Resource, shellQuote(o.Prefix+r.Name), pattern)
	}
	return b.String()
}

func strimziRules(rules []Rule, o ACLOptions) string {
	words := map[Resource]string{ResourceTopic: "topic", ResourceGroup: "group", ResourceTransaction: "transactionalId"}
	var b strings.Builder
	last := ""
	for _, r := range rules {
		if user := o.UserOf(r.Worker); user != last {
			last = user
			fmt.Fprintf(&b, "---\napiVersion: kafka.strimzi.io/v1\nkind: KafkaUser\nmetadata:\n  name: %s\n  labels:\n    strimzi.io/cluster: %q\n", resourceName(user), o.StrimziCluster)
			b.WriteString("spec:\n  authentication:\n    type: scram-sha-512\n  authorization:\n    type: simple\n    acls:\n")
		}
		pattern := "literal"
		if r.Prefixed {
			pattern = "prefix"
		}
		fmt.Fprintf(&b, "      - resource: {type: %s, name: %q, patternType: %s}\n        operations: [", words[r.Resource], o.Prefix+r.Name, pattern)
		for i, op := range r.Operations {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(string(op))
		}
		b.WriteString("]\n")
	}
	return b.String()
}
