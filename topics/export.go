package topics

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Format is a form in which topics can be handed to other tools.
type Format string

// The formats of [Export].
const (
	YAML    Format = "yaml"
	JSON    Format = "json"
	Shell   Format = "sh"
	Strimzi Format = "strimzi"
)

// ExportOptions are what the formats need beside the topics.
type ExportOptions struct {
	Prefix string
	// StrimziCluster is the name of the Kafka resource, for label strimzi.io/cluster.
	StrimziCluster string
}

// Export writes what the topics of a cluster should be, in the form of another tool: lines for kafka-topics.sh that
// create what is missing, KafkaTopic resources of Strimzi, or plain YAML and JSON.
func Export(specs []Spec, f Format, o ExportOptions) (string, error) {
	switch f {
	case JSON:
		return exportJSON(specs, o)
	case YAML:
		return exportYAML(specs, o), nil
	case Shell:
		return exportShell(specs, o), nil
	case Strimzi:
		return exportStrimzi(specs, o), nil
	}
	return "", fmt.Errorf("format %q is not known: use yaml, json, sh or strimzi", f)
}

func exportJSON(specs []Spec, o ExportOptions) (string, error) {
	type row struct {
		Name       string            `json:"name"`
		Partitions int               `json:"partitions"`
		Replicas   int               `json:"replicas"`
		Config     map[string]string `json:"config"`
	}
	out := struct {
		Topics []row `json:"topics"`
	}{[]row{}}
	for _, s := range specs {
		out.Topics = append(out.Topics, row{o.Prefix + s.Name, s.Partitions, s.Replicas, s.Config})
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return "", fmt.Errorf("export topics: %w", err)
	}
	return string(b) + "\n", nil
}

func exportYAML(specs []Spec, o ExportOptions) string {
	var b strings.Builder
	b.WriteString("topics:\n")
	for _, s := range specs {
		fmt.Fprintf(&b, "  - name: %s\n    partitions: %d\n    replicas: %d\n    config:\n", strconv.Quote(o.Prefix+s.Name), s.Partitions, s.Replicas)
		writeConfigYAML(&b, "      ", s.Config)
	}
	return b.String()
}

func exportStrimzi(specs []Spec, o ExportOptions) string {
	var b strings.Builder
	for _, s := range specs {
		name := o.Prefix + s.Name
		fmt.Fprintf(&b, "---\napiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata:\n  name: %s\n  labels:\n    strimzi.io/cluster: %s\n",
			resourceName(name), strconv.Quote(o.StrimziCluster))
		fmt.Fprintf(&b, "spec:\n  topicName: %s\n  partitions: %d\n  replicas: %d\n  config:\n", strconv.Quote(name), s.Partitions, s.Replicas)
		writeConfigYAML(&b, "    ", s.Config)
	}
	return b.String()
}

func writeConfigYAML(b *strings.Builder, indent string, config map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(config)) {
		fmt.Fprintf(b, "%s%s: %s\n", indent, k, strconv.Quote(config[k]))
	}
}

// resourceName makes a Kubernetes name of a topic's name: lower case, underscores to dashes.
func resourceName(topic string) string {
	return strings.Trim(strings.ReplaceAll(strings.ToLower(topic), "_", "-"), "-.")
}

const shellHead = `#!/bin/sh
# KAFKA_BOOTSTRAP names the brokers; KAFKA_OPTS_FILE may name a client properties file.
set -eu
: "${KAFKA_BOOTSTRAP:?set it to host:port of a broker}"
kafka() { tool="$1"; shift; "$tool" --bootstrap-server "$KAFKA_BOOTSTRAP" ${KAFKA_OPTS_FILE:+--command-config "$KAFKA_OPTS_FILE"} "$@"; }
`

func exportShell(specs []Spec, o ExportOptions) string {
	var b strings.Builder
	b.WriteString(shellHead)
	for _, s := range specs {
		b.WriteString(Change{Kind: Create, Topic: s.Name, Partitions: s.Partitions, Replicas: s.Replicas, Config: s.Config}.shell(o.Prefix))
	}
	return b.String()
}

// Shell writes the plan as a script of Kafka's own tools.
func (p Plan) Shell() string {
	var b strings.Builder
	b.WriteString(shellHead)
	for _, r := range p.Refusals {
		fmt.Fprintf(&b, "# refused: %s\n", r)
	}
	for _, c := range p.Changes {
		b.WriteString(c.shell(p.Prefix))
	}
	return b.String()
}

func (c Change) shell(prefix string) string {
	topic := shellQuote(prefix + c.Topic)
	switch c.Kind {
	case Create:
		line := fmt.Sprintf("kafka kafka-topics.sh --create --if-not-exists --topic %s --partitions %d --replication-factor %d", topic, c.Partitions, c.Replicas)
		for _, k := range slices.Sorted(maps.Keys(c.Config)) {
			line += " --config " + shellQuote(k+"="+c.Config[k])
		}
		return line + "\n"
	case AddPartitions:
		return fmt.Sprintf("kafka kafka-topics.sh --alter --topic %s --partitions %d\n", topic, c.Partitions)
	case SetConfig:
		return fmt.Sprintf("kafka kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s\n", topic, shellQuote(c.Key+"="+c.To))
	case UnsetConfig:
		return fmt.Sprintf("kafka kafka-configs.sh --alter --entity-type topics --entity-name %s --delete-config %s\n", topic, shellQuote(c.Key))
	default:
		return fmt.Sprintf("kafka kafka-topics.sh --delete --topic %s\n", topic)
	}
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// policyText says in a few words how long a topic keeps its records.
func policyText(config map[string]string) string {
	if config[configCleanup] == "compact" {
		return "compact"
	}
	ms := number(config[configRetention])
	const day = 24 * 3600 * 1000
	switch {
	case ms < 0:
		return "delete, unlimited"
	case ms > 0 && ms%day == 0:
		return fmt.Sprintf("delete %d d", ms/day)
	default:
		return fmt.Sprintf("delete %d ms", ms)
	}
}

// Policy says in a few words how long the topic keeps its records: "compact", "delete 7 d".
func (t Topic) Policy() string { return policyText(t.Config) }
