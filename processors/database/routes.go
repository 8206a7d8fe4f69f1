package database

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/internal/sections"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// RoutesSection is the section that says how channels are routed.
const RoutesSection = channels.Section

// routesOf binds the channels of a package to topics, as the section says; nil takes its defaults.
func routesOf(shortHash string, c *cpiv1.Cpi, section *configv1.Configuration) ([]*vnodev1.ChannelRoute, error) {
	value := section.GetValue()
	if value == "" {
		var err error
		if value, err = sections.Defaults(RoutesSection); err != nil {
			return nil, err
		}
	}
	out, err := channels.Bind(shortHash, c, value)
	if wrong := (*channels.TopicError)(nil); errors.As(err, &wrong) {
		return nil, invalid(ErrChannels, "%v", wrong)
	}
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", RoutesSection, err)
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
