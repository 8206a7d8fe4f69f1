package registry

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Host is what a running flow asks. The guest's host is the platform, flowtest's is memory.
type Host interface {
	// Exchange issues requests together and returns one answer for each, in the same order, when all are there.
	Exchange(requests []wire.Request) []wire.Answer
	// Now is the flow's clock.
	Now() time.Time
	// Random fills b from the flow's seed.
	Random(b []byte)
	// Log takes one line.
	Log(line string)
}

// Flow is a registered flow.
type Flow struct {
	Name string
	// Startable flows can be started by users of the platform.
	Startable bool
	// Run runs the flow to its end: Done or Failed. It does not panic.
	Run func(h Host, start *wire.Start) wire.Yield
}

var flows = map[string]Flow{}

// Add registers a flow. A name that is not valid or taken already is a mistake of the program and panics.
func Add(f Flow) {
	if err := checkName(f.Name); err != nil {
		panic("flow.Register: " + err.Error())
	}
	if _, ok := flows[f.Name]; ok {
		panic(fmt.Sprintf("flow.Register: a flow %q is registered already", f.Name))
	}
	flows[f.Name] = f
}

func checkName(name string) error {
	if name == "" || len(name) > 255 {
		return fmt.Errorf("name %q must have 1 to 255 characters", name)
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-', c == '$':
		default:
			return fmt.Errorf("name %q: %q is not allowed; use letters, digits, dot, dash, underscore or dollar", name, c)
		}
	}
	return nil
}

// Lookup finds a flow.
func Lookup(name string) (Flow, bool) {
	f, ok := flows[name]
	return f, ok
}

// Names are all flows' names in order.
func Names() []string { return slices.Sorted(maps.Keys(flows)) }

// Run runs a flow by name.
func Run(h Host, start *wire.Start) wire.Yield {
	f, ok := flows[start.FlowClass]
	if !ok {
		return Failed("unknown-flow", fmt.Sprintf("there is no flow %q in this application; it has %q", start.FlowClass, Names()))
	}
	return f.Run(h, start)
}

// Failed is a flow's end by an error.
func Failed(typ, message string) wire.Yield {
	return wire.Yield{Failed: &wire.Failed{Error: &wire.Error{Type: typ, Message: message}}}
}
