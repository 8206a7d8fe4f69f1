package flow

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
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
	for _, p := range start.Properties {
		c.properties[p.Name] = p.Value
	}
	c.log = slog.New(newLogHandler(h))
	c.rand = rand.New(source{h})
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

// Property is a named value that the platform or the starter attached to the flow.
func (c *Context) Property(name string) (value string, ok bool) {
	value, ok = c.properties[name]
	return value, ok
}

// Properties are all named values. The map is the caller's.
func (c *Context) Properties() map[string]string { return maps.Clone(c.properties) }

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
	return All(c, Timer(d))
}

// Checkpoint suspends the flow until all that it did so far is durable, and gives it a fresh budget of
// instructions: long computations put one between their parts.
func (c *Context) Checkpoint() error {
	return All(c, &Call{request: wire.Request{Checkpoint: &wire.Checkpoint{}}})
}

// Call is one request to the platform, made ready to be issued by [All]. A call is issued once.
type Call struct {
	request wire.Request
	issued  bool
	err     error
}

// Timer is a call that is answered after a time, at least a microsecond.
func Timer(d time.Duration) *Call {
	return &Call{request: wire.Request{Sleep: &wire.Sleep{DurationUS: max(1, d.Microseconds())}}}
}

// Err is the call's error, nil when it succeeded. It is known once All returned.
func (c *Call) Err() error { return c.err }

// All issues independent calls together and suspends the flow until all of them are answered. It returns the first
// error in the order of the calls; each call keeps its own.
func All(ctx *Context, calls ...*Call) error {
	if len(calls) == 0 {
		return nil
	}
	requests := make([]wire.Request, len(calls))
	for i, c := range calls {
		if c.issued {
			panic("flow.All: a call is issued once; make a new one")
		}
		c.issued = true
		requests[i] = c.request
	}
	answers := ctx.host.Exchange(requests)
	if len(answers) != len(calls) {
		panic(fmt.Sprintf("flow.All: the platform answered %d of %d requests", len(answers), len(calls)))
	}
	var first error
	for i, a := range answers {
		if a.Error == nil {
			continue
		}
		calls[i].err = &Error{Type: a.Error.Type, Message: a.Error.Message}
		if first == nil {
			first = calls[i].err
		}
	}
	return first
}

// Error is a failure with a word that programs can rely on: the platform's, such as "not-found", or the
// application's own.
type Error struct {
	// Type is the stable word, for example "insufficient-funds".
	Type string
	// Message is for people.
	Message string
}

// Error returns the message, or the type when there is none.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Message
}

// Errorf makes an Error with a type of the application's own.
func Errorf(typ, format string, args ...any) *Error {
	return &Error{Type: typ, Message: fmt.Sprintf(format, args...)}
}

// Is lets errors.Is compare types: a target without message matches every message.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Type == e.Type && (t.Message == "" || t.Message == e.Message)
}
