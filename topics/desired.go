package topics

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Profile is what depends on the cluster and not on the topic.
type Profile struct {
	Name string `json:"name"`
	// Partitions of each set that the overrides do not name.
	Partitions int `json:"partitions"`
	// Replicas of each topic, and how many of them must have a record before it counts as written.
	Replicas  int `json:"replicas"`
	MinInsync int `json:"min_insync"`
}

// Production is the profile of clusters that must not lose anything.
func Production() Profile {
	return Profile{Name: "production", Partitions: 12, Replicas: 3, MinInsync: 2}
}

// Dev is the profile of one broker on one machine.
func Dev() Profile { return Profile{Name: "dev", Partitions: 3, Replicas: 1, MinInsync: 1} }

// ProfileNamed returns a profile by its name.
func ProfileNamed(name string) (Profile, error) {
	for _, p := range []Profile{Production(), Dev()} {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("profile %q is not known: use production or dev", name)
}

// Overrides is what operators decide: the file of `topics plan --overrides`.
type Overrides struct {
	// Replicas and MinInsync take the place of the profile's when they are not 0.
	Replicas  int `json:"replicas,omitempty" yaml:"replicas,omitempty"`
	MinInsync int `json:"min_insync,omitempty" yaml:"min_insync,omitempty"`
	// Sets gives partition counts by the set's name.
	Sets map[string]SetOverride `json:"sets,omitempty" yaml:"sets,omitempty"`
	// Topics gives settings by the topic's name without prefix.
	Topics map[string]TopicOverride `json:"topics,omitempty" yaml:"topics,omitempty"`
	// IgnoreConfig names settings that somebody else manages: they are neither set nor unset.
	IgnoreConfig []string `json:"ignore_config,omitempty" yaml:"ignore_config,omitempty"`
}

// SetOverride is what can be decided for a partition set.
type SetOverride struct {
	Partitions int `json:"partitions" yaml:"partitions"`
}

// TopicOverride is what can be decided for one topic.
type TopicOverride struct {
	// Replicas takes the place of the profile's when it is not 0.
	Replicas int `json:"replicas,omitempty" yaml:"replicas,omitempty"`
	// Config adds Kafka settings or replaces the catalogue's.
	Config map[string]string `json:"config,omitempty" yaml:"config,omitempty"`
}

// Spec is what a topic of a cluster should be.
type Spec struct {
	Topic      Topic             `json:"-"`
	Name       string            `json:"name"`
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicas"`
	Config     map[string]string `json:"config"`
	// SetHoldsState is true when the set has a compacted topic: then its partition count never changes.
	SetHoldsState bool `json:"-"`
}

// Desired returns what each topic of the catalogue should be on a cluster, sorted by name, or everything that is wrong
// with the overrides.
func Desired(catalogue []Topic, p Profile, o Overrides) ([]Spec, error) {
	if err := o.validate(catalogue); err != nil {
		return nil, err
	}
	state := map[string]bool{}
	for _, t := range catalogue {
		state[t.Set] = state[t.Set] || t.Compacted()
	}
	var specs []Spec
	for _, t := range catalogue {
		s := Spec{
			Topic: t, Name: t.Name, Partitions: p.Partitions, Config: maps.Clone(t.Config), SetHoldsState: state[t.Set],
			Replicas: firstSet(o.Topics[t.Name].Replicas, o.Replicas, p.Replicas),
		}
		if set, ok := o.Sets[t.Set]; ok {
			s.Partitions = set.Partitions
		}
		s.Config[configMinInsync] = strconv.Itoa(firstSet(o.MinInsync, p.MinInsync))
		s.Config[configUnclean] = "false"
		maps.Copy(s.Config, o.Topics[t.Name].Config)
		for _, ignored := range o.IgnoreConfig {
			delete(s.Config, ignored)
		}
		specs = append(specs, s)
	}
	slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	return specs, nil
}

func firstSet(values ...int) int {
	for _, v := range values {
		if v != 0 {
			return v
		}
	}
	return 0
}

func (o Overrides) validate(catalogue []Topic) error {
	byName, sets := map[string]Topic{}, map[string]bool{}
	for _, t := range catalogue {
		byName[t.Name], sets[t.Set] = t, true
	}
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("overrides: "+format, args...))
	}
	if o.Replicas < 0 || o.MinInsync < 0 {
		bad("replicas and min_insync must not be negative")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Sets)) {
		if !sets[name] {
			bad("sets.%s: there is no such partition set: use %s", name, strings.Join(slices.Sorted(maps.Keys(sets)), ", "))
		}
		if n := o.Sets[name].Partitions; n < 1 {
			bad("sets.%s.partitions is %d: at least 1 is needed", name, n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Topics)) {
		t, ok := byName[name]
		if !ok {
			bad("topics.%s: there is no such topic (names are without the prefix)", name)
			continue
		}
		if o.Topics[name].Replicas < 0 {
			bad("topics.%s.replicas must not be negative", name)
		}
		for _, key := range slices.Sorted(maps.Keys(o.Topics[name].Config)) {
			if why := refuseSetting(t, key, o.Topics[name].Config[key]); why != "" {
				bad("topics.%s.config.%s: %s", name, key, why)
			}
		}
	}
	return errors.Join(problems...)
}

// refuseSetting returns why an override of a setting is refused, empty when it is not.
func refuseSetting(t Topic, key, value string) string {
	if key == configCleanup || key == configUnclean {
		return "it cannot be overridden: the topic's content depends on it"
	}
	if key == configMinInsync {
		return "use min_insync, which is for all topics"
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return ""
	}
	floor, has := int64(0), false
	switch key {
	case configMaxMessage:
		floor, has = number(t.Config[key]), true
	case configDeleteRetention:
		floor, has = minDeleteRetentionMs, t.Compacted()
	case configRetention, configRetentionBytes:
		if t.Class == Loop && n != -1 {
			return "a loop must keep what was not read yet, and fairlead topics trim removes the rest: it must be -1"
		}
	}
	if has && n < floor {
		return fmt.Sprintf("%d is less than %d, which fairlead needs", n, floor)
	}
	return ""
}
