package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// MaxRequests is how many requests a flow may issue together.
const MaxRequests = 1024

// DecodeYield reads what Start or Resume returned. A yield that is not one of done, failed and requests, that asks
// nothing or something that this host does not know, or that is not the message's one canonical encoding, is an
// *Error of kind BadYield.
func DecodeYield(b []byte) (*appv1.Yield, error) {
	y := &appv1.Yield{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, y); err != nil {
		return nil, failed(BadYield, "the yield cannot be decoded: %s", err)
	}
	switch o := y.GetOutcome().(type) {
	case *appv1.Yield_Done:
		if r := o.Done.GetResult(); len(r) > 0 && !json.Valid(r) {
			return nil, failed(BadYield, "the result is not JSON")
		}
	case *appv1.Yield_Failed:
		if o.Failed.GetError().GetType() == "" {
			return nil, failed(BadYield, "the flow failed without an error")
		}
	case *appv1.Yield_Requests:
		n := len(o.Requests.GetRequests())
		if n == 0 || n > MaxRequests {
			return nil, failed(BadYield, "the flow asks %d things at once, between 1 and %d are allowed", n, MaxRequests)
		}
		for i, r := range o.Requests.GetRequests() {
			if r.GetOperation() == nil {
				return nil, failed(BadYield, "request %d is empty or one that this platform does not know: was the application built with a newer SDK?", i)
			}
		}
	default:
		return nil, failed(BadYield, "the flow neither ended nor asked for anything")
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(y)
	if err != nil {
		return nil, failed(BadYield, "the yield cannot be encoded: %s", err)
	}
	if !bytes.Equal(again, b) {
		return nil, failed(BadYield, "the yield is not in canonical encoding or has fields that this platform does not know: was the application built with a newer SDK?")
	}
	return y, nil
}

// Flow is one flow of a module.
type Flow struct {
	// Class is the name under which it is started.
	Class string `json:"class"`
	// Startable is false for flows that users cannot start.
	Startable bool `json:"startable"`
	// Protocol is what a responder answers to; empty for other flows.
	Protocol string `json:"protocol"`
	// Versions are those of the protocol that it speaks.
	Versions []uint32 `json:"versions"`
}

// Flows asks the module for its flows, in the order of their names. A module answers a start with an empty flow
// class by being done with {"flows":[{"class":…,"startable":…,"protocol":…,"versions":[…]}]}, the last two for responders.
func (m *Module) Flows(ctx context.Context) ([]Flow, error) {
	if !m.role.flows {
		return nil, nil
	}
	i, err := m.NewInstance(ctx, Env{})
	if err != nil {
		return nil, err
	}
	defer i.Release(ctx)
	b, err := i.Start(ctx, imageClock/1000, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the module for its flows: %w", err)
	}
	y, err := DecodeYield(b)
	if err != nil {
		return nil, fmt.Errorf("ask the module for its flows: %w", err)
	}
	if e := y.GetFailed().GetError(); e != nil {
		return nil, fmt.Errorf("ask the module for its flows: %w", failed(Rejected, "%s: %s", e.GetType(), e.GetMessage()))
	}
	var list struct{ Flows []Flow }
	if err := json.Unmarshal(y.GetDone().GetResult(), &list); err != nil {
		return nil, fmt.Errorf("ask the module for its flows: %w", failed(BadYield, "the list of flows: %s", err))
	}
	return list.Flows, nil
}
