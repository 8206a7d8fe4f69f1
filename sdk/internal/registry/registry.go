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
	// Protocol is what a responder answers to, empty for other flows; Versions are those that it speaks, ascending.
	Protocol string
	Versions []uint32
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
	if f.Protocol != "" || len(f.Versions) > 0 {
		checkProtocol(f)
	}
	flows[f.Name] = f
}

// checkProtocol panics when a responder's protocol or versions are not valid or taken.
func checkProtocol(f Flow) {
	if err := checkName(f.Protocol); err != nil {
		panic("flow.Responder: protocol: " + err.Error())
	}
	if len(f.Versions) == 0 || f.Versions[0] == 0 {
		panic(fmt.Sprintf("flow.Responder: protocol %q has the versions %v: they begin with 1", f.Protocol, f.Versions))
	}
	for _, other := range flows {
		if other.Protocol == f.Protocol && slices.ContainsFunc(f.Versions, func(v uint32) bool { return slices.Contains(other.Versions, v) }) {
			panic(fmt.Sprintf("flow.Responder: flows %q and %q speak the same version of protocol %q", other.Name, f.Name, f.Protocol))
		}
	}
}

// Respond finds the responder that speaks the highest of some versions of a protocol.
func Respond(protocol string, versions []uint32) (f Flow, version uint32, ok bool) {
	for _, name := range Names() {
		candidate := flows[name]
		if candidate.Protocol != protocol {
			continue
		}
		for _, v := range candidate.Versions {
			if v > version && slices.Contains(versions, v) {
				f, version, ok = candidate, v, true
			}
		}
	}
	return f, version, ok
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
