package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/topics"
)

// known finds out what the requests of a step need of the views.
func (t *turn) known(asked []journal.Asked) []Known {
	out := make([]Known, len(asked))
	room := t.state.Rules.MaxAnswers
	checks := 0
	for i, a := range asked {
		if op := a.Request.GetCheckSignatures(); op != nil {
			// Its cost is its arguments', so these are looked at first; what is refused for its size alone needs no word here.
			checks += len(op.GetChecks())
			if checks > maxChecks || len(asked) > int(t.state.Rules.MaxRequestsPerStep) || argumentSize(a) > t.state.Rules.MaxArgument {
				out[i] = refused(TypeLimit, "%d signatures are to be checked in one step, at most %d are allowed: ask in several steps", checks, maxChecks)
				continue
			}
		}
		if room < 0 { // nothing more is looked up
			switch a.Request.GetOperation().(type) {
			case *appv1.Request_LookupMembers, *appv1.Request_FindKeys, *appv1.Request_DescribeLedger, *appv1.Request_CheckSignatures:
				out[i] = refused(TypeLimit, limitText, t.state.Rules.MaxAnswers)
				continue
			}
		}
		switch op := a.Request.GetOperation().(type) {
		case *appv1.Request_LookupMembers:
			out[i] = t.members(op.LookupMembers)
		case *appv1.Request_FindKeys:
			out[i] = t.keys(op.FindKeys)
		case *appv1.Request_CheckSignatures:
			out[i] = t.checkSignatures(op.CheckSignatures)
		case *appv1.Request_Sign:
			out[i] = t.signingKey(op.Sign.GetPublicKey(), "LEDGER")
		case *appv1.Request_SignTransactions:
			out[i] = t.ledgerKey(op.SignTransactions)
		case *appv1.Request_DescribeLedger:
			out[i] = t.describeLedger()
		case *appv1.Request_Verify:
			out[i].Packages = ledgerstore.Installed(t.cpi())
		case *appv1.Request_CheckUniqueness:
			out[i] = t.notary()
		case *appv1.Request_Emit:
			out[i] = t.channel(op.Emit.GetChannel())
		}
		room -= len(out[i].Result)
	}
	return out
}

func refused(kind, format string, args ...any) Known {
	return Known{Refused: &appv1.Error{Type: kind, Message: validText(fmt.Sprintf(format, args...))}}
}

// result is the answer to a look-up.
func (t *turn) result(m proto.Message) Known {
	raw, err := schemas.Marshal(m)
	switch {
	case err != nil:
		return refused(TypePlatform, "the result cannot be encoded: %v", err)
	case len(raw) > t.state.Rules.MaxResult:
		return refused(TypeLimit, "the result has %d bytes, at most %d are allowed: ask for less", len(raw), t.state.Rules.MaxResult)
	}
	return Known{Result: raw}
}

func (t *turn) start() *flowv1.StartFlow { return t.state.Head.GetStart() }

func (t *turn) members(op *appv1.LookupMembers) Known {
	names := make([]string, len(op.GetX500Names()))
	for i, n := range op.GetX500Names() {
		canonical, err := identity.Canonical(n)
		if err != nil {
			return refused(TypeInvalid, "x500_names: %v", err)
		}
		names[i] = canonical
	}
	return t.result(t.w.deps.Directory.members(t.start().GetIdentity().GetGroupId(), names, op.GetPublicKeys()))
}

func (t *turn) keys(op *appv1.FindKeys) Known {
	out := &appv1.Keys{}
	for _, k := range t.w.deps.Directory.findKeys(t.start().GetVnode(), op.GetPublicKeys(), op.GetCategory()) {
		out.Keys = append(out.Keys, &appv1.Key{Id: k.GetKeyId(), PublicKey: k.GetPublicKey(), Category: k.GetCategory(), Scheme: k.GetScheme(), Alias: k.GetAlias()})
	}
	return t.result(out)
}

// signingKey finds a key of one of some categories. Data is signed with LEDGER keys alone: a notary's key says of transactions
// that they are final, and nothing else.
func (t *turn) signingKey(key []byte, categories ...string) Known {
	found := t.w.deps.Directory.findKeys(t.start().GetVnode(), [][]byte{key}, "")
	switch {
	case len(found) == 0 || len(key) == 0:
		return refused(TypeNotFound, "virtual node %s has no such key: list them with find_keys", t.start().GetVnode())
	case !slices.Contains(categories, found[0].GetCategory()):
		return refused(TypeInvalid, "key %s is of category %s; this is signed with keys of category %s", found[0].GetKeyId(), found[0].GetCategory(), strings.Join(categories, " or "))
	}
	return Known{VaultName: found[0].GetVaultName()}
}

// cpi is what is known of the flow's package.
func (t *turn) cpi() *cpiv1.Cpi {
	msg, _ := t.w.deps.Packages.Get(t.state.Head.GetCpiChecksum())
	cpi, _ := msg.(*cpiv1.Cpi)
	return cpi
}

// notary refuses what only a notary may ask. A virtual node is one when it has a NOTARY key, which operators alone make; and
// it is itself the notary whose memory is asked, whatever its flow would like.
func (t *turn) notary() Known {
	if len(t.w.deps.Directory.findKeys(t.start().GetVnode(), nil, "NOTARY")) == 0 {
		return refused(TypeNotNotary, "virtual node %s is not a notary: it has no key of category NOTARY", t.start().GetVnode())
	}
	return Known{}
}

// channel finds the topic that a channel leads to.
func (t *turn) channel(name string) Known {
	cpi := t.cpi()
	declared, ok := channels.Declared(cpi, name)
	if !ok || declared.GetKind() != cpiv1.ChannelKind_CHANNEL_KIND_SEND {
		return refused(TypeNoChannel, "package %s declares no channel %q to send to", t.state.Head.GetCpiChecksum(), name)
	}
	vnode, err := t.w.vnode(t.start().GetVnode())
	if err != nil {
		return refused(TypeChannelInactive, "channel %q: %v", name, err)
	}
	for _, r := range channels.Of(vnode, cpi) {
		switch {
		case r.Channel != name:
		case !r.Active && r.Ignore:
			return Known{}
		case !r.Active:
			return refused(TypeChannelInactive, "channel %q of virtual node %s is inactive", name, r.Vnode)
		default:
			return t.reachable(r)
		}
	}
	return refused(TypeChannelInactive, "virtual node %s has no usable route for channel %q: set its external messaging routes", vnode.GetShortHash(), name)
}

func (t *turn) reachable(r channels.Route) Known {
	err := engine.CanEmit(t.ctx, r.Topic)
	switch {
	case errors.Is(err, engine.ErrNoTopic):
		return refused(TypeChannelInactive, "channel %q: topic %s does not exist: run fairlead topics apply", r.Channel, r.Topic)
	case err != nil:
		return refused(TypeChannelInactive, "channel %q: %v", r.Channel, err)
	}
	return Known{Topic: r.Topic}
}

// mayEmit tells whether a topic may be an external channel's.
func mayEmit(topic string) bool { return topics.CheckChannelTopic(topic) == nil }

// raw carries the bytes of an external channel.
type raw struct{}

func (raw) Encode(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("flow: a channel carries bytes, not %T", v)
	}
	return b, nil
}

func (raw) Decode(b []byte) (any, error) { return b, nil }
