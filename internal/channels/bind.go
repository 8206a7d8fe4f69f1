package channels

import (
	"encoding/json"
	"fmt"
	"strings"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Section is the section of the configuration that says how channels are routed.
const Section = "corda.externalMessaging"

// TopicError tells that a channel would lead to a topic that cannot be a channel's.
type TopicError struct {
	Channel string
	Err     error
}

// Error names the channel.
func (e *TopicError) Error() string {
	return fmt.Sprintf("channel %q would lead nowhere: %v", e.Channel, e.Err)
}

// Unwrap returns the reason.
func (e *TopicError) Unwrap() error { return e.Err }

// Bind binds the channels of a package to topics for a virtual node, as the value of [Section] says.
func Bind(shortHash string, c *cpiv1.Cpi, section string) ([]*vnodev1.ChannelRoute, error) {
	var config struct {
		RouteDefaults struct {
			ReceiveTopicPattern, SendTopicPattern, FeedTopicPattern string
			Active                                                  bool
			InactiveResponseType                                    string
		}
	}
	if err := json.Unmarshal([]byte(section), &config); err != nil {
		return nil, fmt.Errorf("read how channels are routed: %w", err)
	}
	d := config.RouteDefaults
	var out []*vnodev1.ChannelRoute
	for _, cpk := range c.GetCpks() {
		for _, channel := range cpk.GetChannels() {
			pattern := d.ReceiveTopicPattern
			switch channel.GetKind() {
			case cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE:
				pattern = d.SendTopicPattern
			case cpiv1.ChannelKind_CHANNEL_KIND_FEED:
				pattern = d.FeedTopicPattern
			case cpiv1.ChannelKind_CHANNEL_KIND_SEND, cpiv1.ChannelKind_CHANNEL_KIND_UNSPECIFIED:
			}
			// Corda writes $HOLDING_ID$.
			topic := strings.NewReplacer("$HOLDING_ID$", shortHash, "$CHANNEL_NAME$", channel.GetName(), "$HOLDING_ID", shortHash, "$CHANNEL_NAME", channel.GetName()).
				Replace(pattern)
			if err := topics.CheckChannelTopic(topic); err != nil {
				return nil, &TopicError{channel.GetName(), err}
			}
			out = append(out, &vnodev1.ChannelRoute{
				Channel: channel.GetName(), Topic: topic, Active: d.Active, IgnoreWhenInactive: d.InactiveResponseType == "IGNORE",
			})
		}
	}
	return out, nil
}
