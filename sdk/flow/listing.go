package flow

import (
	"encoding/json"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Listing is what a module answers to fairlead_start with an empty flow class: Done, with this as JSON. The
// platform asks when a package is built or uploaded, to learn which flow classes there are.
type Listing struct {
	Flows []ListedFlow `json:"flows"`
}

// ListedFlow is one flow of a module.
type ListedFlow struct {
	// Class is the name that the flow is registered under.
	Class string `json:"class"`
	// Startable is false for internal flows and responders.
	Startable bool `json:"startable"`
	// Protocol is what a responder answers to; empty for other flows.
	Protocol string `json:"protocol,omitempty"`
	// Versions are those of the protocol that it speaks, ascending.
	Versions []uint32 `json:"versions,omitempty"`
}

// list answers the platform's question for the module's flows.
func list() wire.Yield {
	l := Listing{Flows: []ListedFlow{}}
	for _, name := range registry.Names() {
		f, _ := registry.Lookup(name)
		l.Flows = append(l.Flows, ListedFlow{Class: name, Startable: f.Startable, Protocol: f.Protocol, Versions: f.Versions})
	}
	b, err := json.Marshal(l)
	if err != nil {
		return registry.Failed("bad-result", err.Error())
	}
	return wire.Yield{Done: &wire.Done{Result: b}}
}
