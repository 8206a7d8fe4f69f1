package database

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/sections"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// RoutesSection is the section that says how channels are routed.
const RoutesSection = "corda.externalMessaging"

// routesOf binds the channels of a package to topics, as the section says; nil takes its defaults.
func routesOf(shortHash string, c *cpiv1.Cpi, section *configv1.Configuration) ([]*vnodev1.ChannelRoute, error) {
	value := section.GetValue()
	if value == "" {
		var err error
		if value, err = sections.Defaults(RoutesSection); err != nil {
			return nil, err
		}
	}
	var config struct {
		RouteDefaults struct {
			ReceiveTopicPattern, SendTopicPattern, FeedTopicPattern string
			Active                                                  bool
			InactiveResponseType                                    string
		}
	}
	if err := json.Unmarshal([]byte(value), &config); err != nil {
		return nil, fmt.Errorf("read section %s: %w", RoutesSection, err)
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
				return nil, invalid(ErrChannels, "channel %q would lead nowhere: %v", channel.GetName(), err)
			}
			out = append(out, &vnodev1.ChannelRoute{
				Channel: channel.GetName(), Topic: topic, Active: d.Active, IgnoreWhenInactive: d.InactiveResponseType == "IGNORE",
			})
		}
	}
	return out, nil
}

// routeText is Corda's externalMessagingRouteConfiguration: the routes as JSON.
func routeText(c *cpiv1.Cpi, routes []*vnodev1.ChannelRoute) (string, error) {
	type route struct {
		ChannelName              string `json:"channelName"`
		ExternalReceiveTopicName string `json:"externalReceiveTopicName"`
		Active                   bool   `json:"active"`
		InactiveResponseType     string `json:"inactiveResponseType"`
	}
	type of struct {
		CpiIdentifier map[string]string `json:"cpiIdentifier"`
		Routes        []route           `json:"routes"`
	}
	if len(routes) == 0 {
		return "", nil
	}
	all := of{CpiIdentifier: map[string]string{"name": c.GetName(), "version": c.GetVersion(), "signerSummaryHash": c.GetSignerSummaryHash()}}
	for _, r := range routes {
		response := "ERROR"
		if r.GetIgnoreWhenInactive() {
			response = "IGNORE"
		}
		all.Routes = append(all.Routes, route{r.GetChannel(), r.GetTopic(), r.GetActive(), response})
	}
	b, err := json.Marshal(map[string]any{"currentRoutes": all, "previousVersionRoutes": []of{}})
	if err != nil {
		return "", fmt.Errorf("encode routes: %w", err)
	}
	return string(b), nil
}
