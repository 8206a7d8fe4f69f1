package topics

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// Existing is a topic of a cluster as it is.
type Existing struct {
	// Name is without the prefix.
	Name       string `json:"name"`
	Partitions int    `json:"partitions"`
	// Replicas of the partition that has the fewest.
	Replicas int `json:"replicas"`
	// Config is what is set on the topic itself.
	Config map[string]string `json:"config"`
	// Effective is Config and the broker's defaults below it.
	Effective map[string]string `json:"-"`
}

// Cluster is what a plan is compared with.
type Cluster struct {
	ID      string
	Prefix  string
	Brokers int
	// Topics are those whose names start with the prefix, but for Kafka's own.
	Topics []Existing
}

// ChangeKind says what a change does.
type ChangeKind string

// The kinds of changes, in the order in which they are applied.
const (
	Create        ChangeKind = "create"
	AddPartitions ChangeKind = "add-partitions"
	SetConfig     ChangeKind = "set-config"
	UnsetConfig   ChangeKind = "unset-config"
	Delete        ChangeKind = "delete"
)

// order is the place of a kind among the changes of a plan.
func (k ChangeKind) order() int {
	return slices.Index([]ChangeKind{Create, AddPartitions, SetConfig, UnsetConfig, Delete}, k)
}

// Change is one thing to do to one topic.
type Change struct {
	Kind ChangeKind `json:"kind"`
	// Topic is without the prefix.
	Topic string `json:"topic"`
	// Partitions, Replicas and Config are set for create; Partitions for add-partitions, the count after it.
	Partitions int               `json:"partitions,omitempty"`
	Replicas   int               `json:"replicas,omitempty"`
	Config     map[string]string `json:"config,omitempty"`
	// Key, From and To are set for set-config and unset-config; From is empty when the broker's default holds.
	Key  string `json:"key,omitempty"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// String is the line that people read.
func (c Change) String() string {
	switch c.Kind {
	case Create:
		return fmt.Sprintf("create %s: %d partitions, %d replicas, %s", c.Topic, c.Partitions, c.Replicas, policyText(c.Config))
	case AddPartitions:
		return fmt.Sprintf("add partitions to %s: %s → %d", c.Topic, c.From, c.Partitions)
	case SetConfig:
		return fmt.Sprintf("set %s of %s: %s → %s", c.Key, c.Topic, orDefault(c.From), c.To)
	case UnsetConfig:
		return fmt.Sprintf("unset %s of %s: %s → broker's default", c.Key, c.Topic, c.From)
	default:
		return fmt.Sprintf("%s %s", c.Kind, c.Topic)
	}
}

func (c Change) equal(d Change) bool {
	return c.Kind == d.Kind && c.Topic == d.Topic && c.Partitions == d.Partitions && c.Replicas == d.Replicas &&
		c.Key == d.Key && c.From == d.From && c.To == d.To && maps.Equal(c.Config, d.Config)
}

func orDefault(v string) string {
	if v == "" {
		return "broker's default"
	}
	return v
}

// Refusal is something that the plan would not do, and why.
type Refusal struct {
	ID     string `json:"id"`
	Topic  string `json:"topic"`
	Reason string `json:"reason"`
}

// String is the line that people read.
func (r Refusal) String() string { return fmt.Sprintf("%s %s: %s", r.ID, r.Topic, r.Reason) }

// Ids of refusals.
const (
	RefusedPartitions = "FL-TOPICS-001"
	RefusedReplicas   = "FL-TOPICS-002"
	RefusedPrune      = "FL-TOPICS-003"
	RefusedBrokers    = "FL-TOPICS-004"
	RefusedSchemas    = "FL-TOPICS-005"
)

// Plan is what leads from a cluster as it is to the cluster as it should be.
type Plan struct {
	// Version of this format.
	Version   int       `json:"version"`
	ClusterID string    `json:"cluster_id"`
	Prefix    string    `json:"prefix"`
	Profile   Profile   `json:"profile"`
	Overrides Overrides `json:"overrides"`
	Prune     bool      `json:"prune"`
	Changes   []Change  `json:"changes"`
	Refusals  []Refusal `json:"refusals"`
	// Orphans are topics under the prefix that the catalogue does not know. They are deleted only with prune.
	Orphans []string `json:"orphans"`
	// Descriptors are the messages whose descriptors are not yet on topic fairlead.schemas. Who makes the plan fills
	// them in.
	Descriptors []string `json:"descriptors"`
}

// PlanVersion is the version of plan files that this code writes and reads.
const PlanVersion = 1

// Pending tells whether there is something to do or something refused.
func (p Plan) Pending() bool { return len(p.Changes)+len(p.Refusals)+len(p.Descriptors) > 0 }

// NewPlan compares the catalogue with a cluster. It is pure: the same arguments give the same plan. Wrong overrides
// are an error.
func NewPlan(catalogue []Topic, profile Profile, o Overrides, prune bool, cluster Cluster) (Plan, error) {
	specs, err := Desired(catalogue, profile, o)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		Version: PlanVersion, ClusterID: cluster.ID, Prefix: cluster.Prefix, Profile: profile, Overrides: o, Prune: prune,
		Changes: []Change{}, Refusals: []Refusal{}, Orphans: []string{}, Descriptors: []string{},
	}
	existing := map[string]Existing{}
	for _, e := range cluster.Topics {
		existing[e.Name] = e
	}
	for _, s := range specs {
		e, ok := existing[s.Name]
		delete(existing, s.Name)
		if !ok {
			p.create(s, cluster.Brokers)
			continue
		}
		if s.Topic.Class == External {
			continue // it is shared with others, who may have shaped it
		}
		p.partitions(s, e)
		p.replicas(s, e)
		p.config(s, e, o.IgnoreConfig)
	}
	p.orphans(existing)
	slices.SortFunc(p.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Kind.order(), b.Kind.order()), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Key, b.Key))
	})
	return p, nil
}

func (p *Plan) create(s Spec, brokers int) {
	if brokers > 0 && s.Replicas > brokers {
		p.refuse(RefusedBrokers, s.Name, "%d replicas are wanted, the cluster has %d brokers: add brokers, or set replicas in the overrides, or use --profile dev", s.Replicas, brokers)
		return
	}
	p.Changes = append(p.Changes, Change{Kind: Create, Topic: s.Name, Partitions: s.Partitions, Replicas: s.Replicas, Config: s.Config})
}

func (p *Plan) refuse(id, topic, format string, args ...any) {
	p.Refusals = append(p.Refusals, Refusal{ID: id, Topic: topic, Reason: fmt.Sprintf(format, args...)})
}

func (p *Plan) partitions(s Spec, e Existing) {
	switch {
	case e.Partitions == s.Partitions:
	case s.SetHoldsState:
		p.refuse(RefusedPartitions, s.Name, "it has %d partitions, %d are wanted, and set %s holds state, so its count never changes: put sets.%s.partitions: %d into the overrides",
			e.Partitions, s.Partitions, s.Topic.Set, s.Topic.Set, e.Partitions)
	case e.Partitions > s.Partitions:
		p.refuse(RefusedPartitions, s.Name, "it has %d partitions, %d are wanted, and Kafka cannot take partitions away: put sets.%s.partitions: %d into the overrides",
			e.Partitions, s.Partitions, s.Topic.Set, e.Partitions)
	default:
		p.Changes = append(p.Changes, Change{Kind: AddPartitions, Topic: s.Name, Partitions: s.Partitions, From: fmt.Sprint(e.Partitions)})
	}
}

func (p *Plan) replicas(s Spec, e Existing) {
	if e.Replicas < s.Replicas {
		p.refuse(RefusedReplicas, s.Name, "it has %d replicas, %d are wanted: move its partitions with kafka-reassign-partitions, or put topics.%s.replicas: %d into the overrides",
			e.Replicas, s.Replicas, s.Name, e.Replicas)
	}
}

func (p *Plan) config(s Spec, e Existing, ignore []string) {
	for key, want := range s.Config {
		if got := e.Config[key]; got != want {
			p.Changes = append(p.Changes, Change{Kind: SetConfig, Topic: s.Name, Key: key, From: got, To: want})
		}
	}
	for key, got := range e.Config {
		if _, wanted := s.Config[key]; !wanted && !foreignConfig(key) && !slices.Contains(ignore, key) {
			p.Changes = append(p.Changes, Change{Kind: UnsetConfig, Topic: s.Name, Key: key, From: got})
		}
	}
}

// foreignConfig tells settings that Kafka's own tools and vendors put on topics for a while.
func foreignConfig(key string) bool {
	return strings.HasSuffix(key, ".replication.throttled.replicas") || strings.HasPrefix(key, "confluent.") || strings.HasPrefix(key, "redpanda.")
}

func (p *Plan) orphans(left map[string]Existing) {
	for name := range left {
		p.Orphans = append(p.Orphans, name)
	}
	sort.Strings(p.Orphans)
	if !p.Prune {
		return
	}
	if p.Prefix == "" && len(p.Orphans) > 0 {
		p.refuse(RefusedPrune, p.Orphans[0], "prune needs a prefix: without one every foreign topic of the cluster (%d) looks like an orphan", len(p.Orphans))
		return
	}
	for _, name := range p.Orphans {
		p.Changes = append(p.Changes, Change{Kind: Delete, Topic: name})
	}
}

// Resume checks a plan that was made earlier against a plan made now from the same inputs and returns the changes that
// are left. Changes that are done already are left out, so an interrupted plan can be applied again; anything that the
// earlier plan did not foresee is an error: the cluster, or the catalogue, changed since.
func (p Plan) Resume(now Plan) ([]Change, error) {
	switch {
	case p.Version != PlanVersion:
		return nil, fmt.Errorf("the plan file has version %d, this tool reads %d: make a new plan", p.Version, PlanVersion)
	case p.ClusterID != now.ClusterID:
		return nil, fmt.Errorf("the plan was made for cluster %s, this is %s", p.ClusterID, now.ClusterID)
	case p.Prefix != now.Prefix:
		return nil, fmt.Errorf("the plan was made for prefix %q, this is %q", p.Prefix, now.Prefix)
	}
	for _, r := range now.Refusals {
		if !slices.Contains(p.Refusals, r) {
			return nil, fmt.Errorf("the cluster changed since the plan was made: %s", r)
		}
	}
	for _, c := range now.Changes {
		if !slices.ContainsFunc(p.Changes, c.equal) {
			return nil, fmt.Errorf("the cluster changed since the plan was made: %q is not in the plan: make a new one", c)
		}
	}
	return now.Changes, nil
}
