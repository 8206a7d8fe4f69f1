package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Types of the errors that an initiator hears when its session begins no flow.
const (
	noResponder   = "no-responder"
	noVirtualNode = "no-virtual-node"
)

// peerInMaintenance is the type of the error that the other sides hear of a flow whose virtual node is in maintenance.
const peerInMaintenance = "peer-in-maintenance"

// inMaintenance tells why a virtual node stops its flows, and how they run again.
func inMaintenance(v *vnodev1.VirtualNode, what string) string {
	return fmt.Sprintf("virtual node %s is in maintenance and %s: `fairlead vnode state %s active` ends that", v.GetShortHash(), what, v.GetShortHash())
}

// onSession takes a message of a session. The first one of a responder's side begins its flow.
func (w *Worker) onSession(ctx engine.Context, id identity.UUID, e *flowv1.SessionEvent) error {
	if err := checkSessionEvent(e); err != nil {
		return engine.Poison("%s: record %q of %s: %w", ErrJournal, ctx.Key(), topics.FlowEvents, err)
	}
	t := w.newTurn(ctx, id, writtenAt(ctx, e.GetSentAtUs()))
	arrived := Arrived{Event: e, NowUs: t.nowUs}
	if t.state.Head != nil {
		return t.goOn(arrived)
	}
	if SessionInitOf(e) == nil || !e.GetFromInitiator() {
		return t.run(arrived) // of a flow that is gone
	}
	begin, refusal, err := t.responder(e)
	switch {
	case err != nil:
		return err
	case refusal != nil:
		return t.run(*refusal)
	}
	return t.run(begin, arrived)
}

// writtenAt is when a record was written, as far as it says.
func writtenAt(ctx engine.Context, otherwise int64) int64 {
	if us, err := strconv.ParseInt(ctx.Header(engine.HeaderNow), 10, 64); err == nil {
		return us
	}
	return otherwise
}

// responder finds out which flow answers a session.
func (t *turn) responder(e *flowv1.SessionEvent) (Started, *NoResponder, error) {
	refuse := func(kind, format string, args ...any) (Started, *NoResponder, error) {
		return Started{}, &NoResponder{Event: e, Flow: t.flow, Type: kind, Message: fmt.Sprintf(format, args...), NowUs: t.nowUs}, nil
	}
	holder, err := identity.NewHolding(e.GetInitiated().GetX500Name(), e.GetInitiated().GetGroupId())
	if err != nil {
		return Started{}, nil, engine.Poison("flow: %w", err) // it was checked
	}
	hash := holder.ShortHash()
	s := Started{NowUs: t.nowUs}
	if s.Seed, err = t.seed(); err != nil {
		return s, nil, err
	}
	vnode, cpi, err := t.w.packageOf(hash)
	switch {
	case asNotHere(err) && !t.waited():
		return s, nil, t.retry(err)
	case err != nil:
		return refuse(noVirtualNode, "%v", err)
	}
	init := SessionInitOf(e)
	class, module, version := responderOf(cpi, init)
	if class == "" {
		return refuse(noResponder, "%s has no responder for protocol %q in versions %v: its package %s %s has %s",
			holder.Name, init.GetProtocol(), init.GetVersions(), cpi.GetName(), cpi.GetVersion(), orNone(protocols(cpi)))
	}
	const inactive = vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE
	if vnode.GetFlowStart() == inactive {
		s.Stopped = inMaintenance(vnode, "lets no flow start")
	} else if vnode.GetFlowP2P() == inactive {
		s.Stopped = inMaintenance(vnode, "takes part in no session")
	}
	s.Module, s.CPIChecksum = module, vnode.GetCpiChecksum()
	s.Session = begunBy(e, version, t.nowUs)
	s.Started = &flowv1.Started{FlowId: t.flow[:], StartedAtUs: t.nowUs, Start: &flowv1.StartFlow{
		Identity: e.GetInitiated(), Vnode: hash, ClientRequestId: identity.SessionKey(e.GetSessionId(), false), FlowClass: class,
		InitiatedBy: e.GetInitiating().GetX500Name(), CreatedAtUs: t.nowUs, Initiator: flowv1.Initiator_INITIATOR_P2P,
	}}
	return s, nil, nil
}

// responderOf finds the class that speaks the highest version that both sides know; of several the first by name.
func responderOf(cpi *cpiv1.Cpi, init *flowv1.SessionInit) (class string, module []byte, version uint32) {
	for _, m := range cpi.GetModules() {
		if m.GetKind() != cpiv1.ModuleKind_MODULE_KIND_FLOW || len(m.GetSha256()) != 32 {
			continue
		}
		for _, f := range m.GetFlows() {
			if f.GetProtocol() != init.GetProtocol() || f.GetProtocol() == "" {
				continue
			}
			if v := commonVersion(f.GetProtocolVersions(), init.GetVersions()); v > version || v == version && v > 0 && f.GetName() < class {
				class, module, version = f.GetName(), m.GetSha256(), v
			}
		}
	}
	return class, module, version
}

// protocols lists what a package answers, for people.
func protocols(cpi *cpiv1.Cpi) []string {
	var out []string
	for _, m := range cpi.GetModules() {
		for _, f := range m.GetFlows() {
			if f.GetProtocol() != "" {
				out = append(out, fmt.Sprintf("%s %s", f.GetProtocol(), strings.ReplaceAll(fmt.Sprint(f.GetProtocolVersions()), " ", ",")))
			}
		}
	}
	slices.Sort(out)
	return out
}
