package flow

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Versions are the versions of its protocol that a responder speaks; without it, that is 1.
func Versions(versions ...int) Option {
	return func(f *registry.Flow) { f.Versions = numbers(versions) }
}

// Named gives a responder another flow class than its protocol's name with "-responder", for a second responder of the
// same protocol that speaks other versions.
func Named(class string) Option { return func(f *registry.Flow) { f.Name = class } }

// Responder makes a flow known that takes sessions of a protocol. It runs once for each session that another member's
// flow opens with this virtual node, and its end closes the session; an error that it returns reaches the other side as
// [ErrSessionFailed] with its message.
func Responder(protocol string, f func(ctx *Context, s *Session) error, opts ...Option) {
	r := registry.Flow{Name: protocol + "-responder", Protocol: protocol, Versions: []uint32{1}}
	for _, o := range opts {
		o(&r)
	}
	r.Startable = false
	r.Run = func(h registry.Host, start *wire.Start) wire.Yield { return respond(h, start, f) }
	registry.Add(r)
}

// respond is one whole responder.
func respond(h registry.Host, start *wire.Start, f func(*Context, *Session) error) (y wire.Yield) {
	defer rescue(h, &y)
	if start.Session == nil {
		return registry.Failed("bad-input", fmt.Sprintf("flow %q is a responder: it is started by a session, not by itself", start.FlowClass))
	}
	ctx := newContext(h, start)
	s := &Session{ctx: ctx, id: start.Session.ID, counterparty: start.Session.Counterparty, protocol: start.Session.Protocol, info: &SessionInfo{
		Protocol: start.Session.Protocol, Version: int(start.Session.ProtocolVersion), Properties: propertyMap(start.Session.Properties),
	}}
	if err := f(ctx, s); err != nil {
		return failure(err)
	}
	ctx.leave()
	return wire.Yield{Done: &wire.Done{}}
}

// rescue makes a panic of the flow's code its failure: the place in the flow's status, the whole way there in the log.
func rescue(h registry.Host, y *wire.Yield) {
	if p := recover(); p != nil {
		frames := panicFrames()
		place := ""
		if len(frames) > 0 {
			place = " (in " + frames[0] + ")"
		}
		h.Log(fmt.Sprintf("panic: %v; in %s", p, strings.Join(frames, ", called by ")))
		*y = registry.Failed("panic", fmt.Sprint(p)+place)
	}
}

// maxFrames bounds the frames of a panic that are told.
const maxFrames = 32

// panicFrames names the lines that led to a panic, the one that panicked first.
func panicFrames() []string {
	pc := make([]uintptr, maxFrames)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	var out []string
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") {
			file := f.File[strings.LastIndexByte(f.File, '/')+1:]
			out = append(out, fmt.Sprintf("%s, %s:%d", f.Function, file, f.Line))
		}
		if !more {
			return out
		}
	}
}
