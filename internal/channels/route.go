package channels

import (
	"slices"
	"strings"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Route is a channel of a package, as one virtual node has it.
type Route struct {
	Channel string
	Kind    cpiv1.ChannelKind
	// Topic is without the cluster's prefix.
	Topic string
	// Vnode is the short hash, Identity who it is.
	Vnode    string
	Identity *vnodev1.HoldingIdentity
	// FlowClass is the flow that each record of a channel of kind RECEIVE starts.
	FlowClass string
	Active    bool
	// Ignore tells that an emit while inactive is no error.
	Ignore bool
}

// Declared finds a channel that a package declares.
func Declared(cpi *cpiv1.Cpi, name string) (*cpiv1.ChannelDeclaration, bool) {
	for _, cpk := range cpi.GetCpks() {
		for _, c := range cpk.GetChannels() {
			if c.GetName() == name {
				return c, true
			}
		}
	}
	return nil, false
}

// Of returns the routes of a virtual node whose package is cpi, sorted by channel.
func Of(v *vnodev1.VirtualNode, cpi *cpiv1.Cpi) []Route {
	var out []Route
	for _, r := range v.GetChannels() {
		declared, ok := Declared(cpi, r.GetChannel())
		if !ok || topics.CheckChannelTopic(r.GetTopic()) != nil {
			continue
		}
		out = append(out, Route{
			Channel: r.GetChannel(), Kind: declared.GetKind(), Topic: r.GetTopic(), Vnode: v.GetShortHash(), Identity: v.GetIdentity(),
			FlowClass: declared.GetFlowClass(), Active: r.GetActive(), Ignore: r.GetIgnoreWhenInactive(),
		})
	}
	slices.SortFunc(out, func(a, b Route) int { return strings.Compare(a.Channel, b.Channel) })
	return slices.CompactFunc(out, func(a, b Route) bool { return a.Channel == b.Channel })
}

// Rows is what the catalogue is told of routes, active or not.
func Rows(routes []Route) []topics.Channel {
	out := make([]topics.Channel, 0, len(routes))
	for _, r := range routes {
		c := topics.Channel{Name: r.Channel, Topic: r.Topic, Vnode: r.Vnode}
		switch r.Kind {
		case cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE:
			c.Direction = topics.DirectionReceive
		case cpiv1.ChannelKind_CHANNEL_KIND_SEND:
			c.Direction = topics.DirectionSend
		case cpiv1.ChannelKind_CHANNEL_KIND_FEED:
			c.Direction = topics.DirectionFeed
		default:
			continue // a kind of a later version
		}
		out = append(out, c)
	}
	return out
}
