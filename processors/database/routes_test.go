package database

import (
	"fmt"
	"strings"
	"testing"

	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	"github.com/fairleadio/fairlead/topics"
)

// A pattern whose topics no worker would follow is refused when the virtual node is made, not ignored later.
func TestRoutes(t *testing.T) {
	c := &cpiv1.Cpi{Cpks: []*cpiv1.Cpk{{Channels: []*cpiv1.ChannelDeclaration{
		{Name: "in", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE}, {Name: "out", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND}, {Name: "changes", Kind: cpiv1.ChannelKind_CHANNEL_KIND_FEED},
	}}}}
	routes, err := routesOf("A6B620476147", c, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range routes {
		got = append(got, fmt.Sprint(r.GetChannel(), " ", r.GetTopic(), " ", r.GetActive(), " ", r.GetIgnoreWhenInactive()))
	}
	want := "[in ext.A6B620476147.in.send true false out ext.A6B620476147.out.receive true false changes ext.A6B620476147.changes.feed true false]"
	if fmt.Sprint(got) != want {
		t.Errorf("routes %s", got)
	}
	for pattern, say := range map[string]string{
		"a b":                    "a-z A-Z 0-9",
		"_$CHANNEL_NAME":         "begins with a letter or digit",
		strings.Repeat("x", 201): "1 to 200",
		topics.FlowEvents:        "fairlead's own",
	} {
		section := &configv1.Configuration{Value: fmt.Sprintf(`{"routeDefaults":{"sendTopicPattern":%q,"receiveTopicPattern":"r","feedTopicPattern":"f"}}`, pattern)}
		if _, err := routesOf("A6B620476147", c, section); err == nil || !strings.Contains(err.Error(), say) || !strings.Contains(err.Error(), `channel "in"`) {
			t.Errorf("pattern %s: %v", pattern, err)
		}
	}
}
