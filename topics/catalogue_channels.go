package topics

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// channelTopics are the topics of the edge that reads external channels. The channels' own topics are known only from
// the installed packages and virtual nodes: see [WithChannels].
func channelTopics() []Topic {
	dead := group{name: FlowMapperChannels, data: Tenant}.row(DeadLetterTopic(FlowMapperChannels), KindDeadLetters, DeadLetters,
		"Records of external channels that started no flow, and why.")
	dead.Key = "the record's own"
	dead.Config = large(deleted(days30))
	dead.Replay = ReplayIgnore
	dead.Readers = []Reader{{Tools, KindReads}}
	return []Topic{dead}
}

// DynamicWriters are the groups that may emit to topics of class [External], sorted: each has an edge of
// [KindDynamic].
func DynamicWriters() []string { return []string{FlowGroup, PersistenceFeedGroup} }

// Direction says which way an external channel goes.
type Direction string

// The directions.
const (
	// DirectionSend: flows write to it.
	DirectionSend Direction = "send"
	// DirectionReceive: its records start flows.
	DirectionReceive Direction = "receive"
	// DirectionFeed: changes of a virtual node's data are written to it.
	DirectionFeed Direction = "feed"
)

// Channel is an external channel as one virtual node has it.
type Channel struct {
	// Name as the package declares it, Topic without the cluster's prefix, Vnode the short hash.
	Name, Topic, Vnode string
	Direction          Direction
}

var channelTopic = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$`)

// CheckChannelTopic tells why a name cannot be an external channel's topic: it must be a topic name of Kafka's of at
// most 200 characters, not begin with a dot, line or underscore, and be none of fairlead's own.
func CheckChannelTopic(name string) error {
	if !channelTopic.MatchString(name) {
		return fmt.Errorf("topic %q: a channel's topic has 1 to 200 of the characters a-z A-Z 0-9 . _ - and begins with a letter or digit", name)
	}
	if t, ok := Find(name); ok {
		return fmt.Errorf("topic %s is fairlead's own (%s): route the channel to another topic", name, t.Doc)
	}
	return nil
}

// WithChannels returns a catalogue with a row of class [External] for the topic of each channel, sorted by name. A
// channel whose topic [CheckChannelTopic] refuses is left out.
func WithChannels(catalogue []Topic, channels []Channel) []Topic {
	rows := map[string]*Topic{}
	for _, c := range channels {
		if CheckChannelTopic(c.Topic) != nil {
			continue
		}
		t := rows[c.Topic]
		if t == nil {
			t = &Topic{
				Name: c.Topic, Doc: "An external channel of applications.", Key: "the application's own", Set: c.Topic,
				Class: External, Data: Tenant, Config: deleted(days7), Owner: Outside, Replay: ReplayIgnore,
			}
			rows[c.Topic] = t
		}
		writer := FlowGroup
		switch c.Direction {
		case DirectionReceive:
			writer = Outside
			t.OutOfRange = Fatal
			t.reader(Reader{FlowMapperChannels, KindInput})
		case DirectionFeed:
			writer = PersistenceFeedGroup
			t.reader(Reader{Outside, KindInput})
		default:
			t.reader(Reader{Outside, KindInput})
		}
		if !slices.Contains(t.Writers, writer) {
			t.Writers = append(t.Writers, writer)
			slices.Sort(t.Writers)
		}
	}
	out := slices.Clone(catalogue)
	for _, t := range rows {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Topic) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// reader adds a reader, keeping them sorted.
func (t *Topic) reader(r Reader) {
	if !slices.Contains(t.Readers, r) {
		t.Readers = append(t.Readers, r)
		slices.SortFunc(t.Readers, func(a, b Reader) int { return strings.Compare(a.By, b.By) })
	}
}
