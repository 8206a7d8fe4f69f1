package channels_test

import (
	"fmt"
	"testing"

	"github.com/fairleadio/fairlead/internal/channels"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

func TestRoutes(t *testing.T) {
	cpi := &cpiv1.Cpi{Cpks: []*cpiv1.Cpk{
		{Channels: []*cpiv1.ChannelDeclaration{{Name: "out", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND}, {Name: "lonely", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND}}},
		{Channels: []*cpiv1.ChannelDeclaration{
			{Name: "in", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE, FlowClass: "take"}, {Name: "bad", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND},
			{Name: "new", Kind: 99}, {Name: "feed", Kind: cpiv1.ChannelKind_CHANNEL_KIND_FEED},
		}},
	}}
	v := &vnodev1.VirtualNode{ShortHash: "A1", Channels: []*vnodev1.ChannelRoute{
		{Channel: "out", Topic: "t.out"}, {Channel: "in", Topic: "t.in", Active: true}, {Channel: "ghost", Topic: "t.ghost", Active: true},
		{Channel: "bad", Topic: topics.FlowEvents, Active: true}, {Channel: "new", Topic: "t.new"}, {Channel: "feed", Topic: "t.feed"},
	}}
	routes := channels.Of(v, cpi)
	var got []string
	for _, r := range routes {
		got = append(got, fmt.Sprintf("%s %d %s %s %v", r.Channel, r.Kind, r.Topic, r.FlowClass, r.Active))
	}
	if want := "[feed 3 t.feed  false in 2 t.in take true new 99 t.new  false out 1 t.out  false]"; fmt.Sprint(got) != want {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(channels.Rows(routes)); got != "[{feed t.feed A1 feed} {in t.in A1 receive} {out t.out A1 send}]" {
		t.Errorf("rows %s", got)
	}
	if channels.Of(v, nil) != nil || channels.Of(nil, cpi) != nil {
		t.Error("routes without a package or virtual node")
	}
}
