package flow

import (
	"encoding/hex"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Context is a running flow's connection to the platform. It is valid until the flow's function returns.
type Context struct {
	host       registry.Host
	id         ID
	me         Identity
	request    string
	properties map[string]string
	attempt    int
	log        *slog.Logger
	rand       *rand.Rand
	tolerated  []*Session // see [Session.TolerateFailure]
}

// ID is a flow's id.
type ID [16]byte

// String is the id as a UUID.
func (id ID) String() string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Identity is who a flow runs as: a member of an application network.
type Identity struct {
	// X500Name is the member's name, for example "O=Alice, L=London, C=GB".
	X500Name string
	// GroupID is the application network.
	GroupID string
	// ShortHash is the virtual node: the first twelve hex digits of the hash of both.
	ShortHash string
}

func newContext(h registry.Host, start *wire.Start) *Context {
	c := &Context{host: h, request: start.ClientRequestID, attempt: int(start.Attempt), properties: map[string]string{}}
	copy(c.id[:], start.FlowID)
	if start.Me != nil {
		c.me = Identity{X500Name: start.Me.X500Name, GroupID: start.Me.GroupID, ShortHash: start.Me.ShortHash}
	}
	if start.Session != nil {
		for _, p := range start.Session.Properties {
			if !reserved(p.Name) {
				c.properties[p.Name] = p.Value
			}
		}
	}
	for _, p := range start.Properties {
		c.properties[p.Name] = p.Value
	}
	c.log = slog.New(newLogHandler(h))
	c.rand = rand.New(source{h}) //nolint:gosec // its source is the flow's own stream, which repeats in a replay
	return c
}

// FlowID is the flow's id.
func (c *Context) FlowID() ID { return c.id }

// Identity is who the flow runs as.
func (c *Context) Identity() Identity { return c.me }

// ClientRequestID is the id that the caller gave the flow.
func (c *Context) ClientRequestID() string { return c.request }

// Attempt counts from 1; it grows when an operator retries the flow from an earlier step.
func (c *Context) Attempt() int { return c.attempt }

// Property is a named value that the platform, the starter or the flow itself attached to the flow. A responder has
// those of the flow that opened its session too, except for the platform's.
func (c *Context) Property(name string) (value string, ok bool) {
	value, ok = c.properties[name]
	return value, ok
}

// Properties are all named values. The map is the caller's.
func (c *Context) Properties() map[string]string { return maps.Clone(c.properties) }

// SetProperty attaches a named value to the flow. Sessions that are opened from now on hand it on to their responders.
// Names that begin with "corda." or "fairlead." are the platform's, and a value may not be changed: both are the error
// "invalid-argument".
func (c *Context) SetProperty(name, value string) error {
	switch old, taken := c.properties[name]; {
	case name == "":
		return Errorf(ErrInvalidArgument.Type, "a property has a name")
	case reserved(name):
		return Errorf(ErrInvalidArgument.Type, "property %q: names that begin with %q or %q are the platform's", name, "corda.", "fairlead.")
	case taken && old != value:
		return Errorf(ErrInvalidArgument.Type, "property %q is %q already", name, old)
	}
	c.properties[name] = value
	return nil
}

// reserved tells whether a property is the platform's own.
func reserved(name string) bool {
	return strings.HasPrefix(name, "corda.") || strings.HasPrefix(name, "fairlead.")
}

// handedOn are the properties that a responder gets, in the order of their names.
func (c *Context) handedOn(also map[string]string) []wire.Property {
	all := maps.Clone(c.properties)
	maps.Copy(all, also)
	var out []wire.Property
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !reserved(name) {
			out = append(out, wire.Property{Name: name, Value: all[name]})
		}
	}
	return out
}

// Now is the flow's clock, UTC: the time of the event that the flow is working on. It never goes back.
func (c *Context) Now() time.Time { return c.host.Now() }

// Rand draws random numbers from the flow's seed. They are fit for keys and salts; the platform keeps the seed in
// the flow's journal.
func (c *Context) Rand() *rand.Rand { return c.rand }

// RandomBytes draws n random bytes from the flow's seed.
func (c *Context) RandomBytes(n int) []byte {
	b := make([]byte, n)
	if n > 0 {
		c.host.Random(b)
	}
	return b
}

// source makes the host's random bytes a source of numbers.
type source struct{ h registry.Host }

func (s source) Uint64() uint64 {
	var b [8]byte
	s.h.Random(b[:])
	var v uint64
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	return v
}

// Log writes to the flow's log. The platform adds time, flow and virtual node to each line, and leaves the lines
// out when a flow's code is run again against its journal.
func (c *Context) Log() *slog.Logger { return c.log }

// Sleep suspends the flow. The timer is the platform's: it survives every restart, and a sleeping flow takes no
// thread. A duration that is not positive returns at once. The error is why the flow was woken before its time.
func (c *Context) Sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	_, err := do(c, Timer(d))
	return err
}

// Checkpoint suspends the flow until all that it did so far is durable, and gives it a fresh budget of
// instructions: long computations put one between their parts.
func (c *Context) Checkpoint() error {
	_, err := do(c, action(&wire.Checkpoint{}))
	return err
}
