package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Option changes how a flow is registered.
type Option func(*registry.Flow)

// Internal keeps a flow from being started by users of the platform.
func Internal() Option { return func(f *registry.Flow) { f.Startable = false } }

// Register makes a flow known under a name. It is called from init functions; a name that is taken or not made of
// letters, digits and . _ - $ is a mistake that shows at the program's first start.
//
// The caller's JSON is decoded into In: an empty argument gives the zero value, a field that In does not have is an
// error, so that a misspelt amount is not taken for none. The error, bad-input, names each field that does not fit, with
// what is wanted and what was given. The result is encoded from Out.
func Register[In, Out any](name string, f func(ctx *Context, in In) (Out, error), opts ...Option) {
	r := registry.Flow{Name: name, Startable: true, Run: func(h registry.Host, start *wire.Start) wire.Yield {
		return run(h, start, f)
	}}
	for _, o := range opts {
		o(&r)
	}
	r.Name, r.Protocol, r.Versions = name, "", nil // options of responders
	registry.Add(r)
	if guest {
		warm[In, Out]()
	}
}

// warm lets the JSON package learn the types while the base image is made, so that no flow pays for it.
func warm[In, Out any]() {
	defer func() { _ = recover() }() // of a type's own methods, which may not expect a zero value
	var in In
	_ = decode([]byte("{}"), &in)
	var out Out
	_, _ = json.Marshal(out)
}

// run is one whole flow.
func run[In, Out any](h registry.Host, start *wire.Start, f func(*Context, In) (Out, error)) (y wire.Yield) {
	defer rescue(h, &y)
	var in In
	if err := decode(start.Input, &in); err != nil {
		return registry.Failed("bad-input", fmt.Sprintf("the argument of flow %q: %s", start.FlowClass, err))
	}
	ctx := newContext(h, start)
	out, err := f(ctx, in)
	if err != nil {
		return failure(err)
	}
	result, err := json.Marshal(out)
	if err != nil {
		return registry.Failed("bad-result", fmt.Sprintf("the result of flow %q cannot be written as JSON: %s", start.FlowClass, err))
	}
	ctx.leave()
	return wire.Yield{Done: &wire.Done{Result: result}}
}

func decode(b []byte, into any) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	return unmarshal(b, into, true)
}

func failure(err error) wire.Yield {
	var e *Error
	if errors.As(err, &e) && e.Type != "" {
		return registry.Failed(e.Type, err.Error())
	}
	return registry.Failed("application", err.Error())
}
