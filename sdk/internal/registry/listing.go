package registry

import (
	"encoding/json"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// listing is what a program answers to a start with an empty flow class: Done, with this as JSON. The platform asks when
// a package is built or uploaded, to learn which flow classes there are.
type listing struct {
	Flows []listed `json:"flows"`
}

// listed is one flow of a program.
type listed struct {
	Class string `json:"class"`
	// Startable is false for internal flows and responders.
	Startable bool `json:"startable"`
	// Protocol is what a responder answers to; Versions are those that it speaks, ascending.
	Protocol string   `json:"protocol,omitempty"`
	Versions []uint32 `json:"versions,omitempty"`
}

// List answers the platform's question for the program's flows.
func List() wire.Yield {
	l := listing{Flows: []listed{}}
	for _, name := range Names() {
		f := flows[name]
		l.Flows = append(l.Flows, listed{Class: name, Startable: f.Startable, Protocol: f.Protocol, Versions: f.Versions})
	}
	b, err := json.Marshal(l)
	if err != nil {
		return Failed("bad-result", err.Error())
	}
	return wire.Yield{Done: &wire.Done{Result: b}}
}
