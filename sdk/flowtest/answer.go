package flowtest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// answer answers a request if it can be answered now. It is asked again whenever something happened; what a request does
// once, it does when it is not asked yet.
func (f *Flow) answer(q *request) (wire.Answer, bool) {
	if n := argumentSize(q.operation); n > maxArgument {
		return fault(flow.ErrLimit.Type, fmt.Sprintf("arguments of %s have %d bytes, at most %d are allowed: send less", q.operation.Name(), n, maxArgument)), true
	}
	switch o := q.operation.(type) {
	case *wire.Sleep:
		if !q.asked {
			q.due = f.m.net.now.Add(time.Duration(o.DurationUS) * time.Microsecond)
		}
		return wire.Result(nil), !f.m.net.now.Before(q.due)
	case *wire.Checkpoint:
		return wire.Result(nil), true
	case *wire.OpenSession, *wire.SendMessage, *wire.ReceiveMessage, *wire.CloseSession, *wire.SessionInfo:
		return f.answerSession(q)
	case *wire.Sign:
		return f.m.sign(o), true
	case *wire.FindKeys:
		return f.m.findKeys(o), true
	case *wire.CheckSignatures:
		return checkSignatures(o), true
	case *wire.CheckUniqueness:
		return f.m.checkUniqueness(o), true
	case *wire.LookupMembers:
		return f.m.net.lookUp(o), true
	case *wire.EmitMessage:
		return f.m.emit(o), true
	case *wire.VerifyTransaction:
		return f.m.verify(o), true
	case *wire.ClaimTokens:
		return f.claimTokens(o), true
	case *wire.ReleaseTokens:
		return f.releaseTokens(o), true
	case *wire.TokenBalance:
		return f.tokenBalance(o), true
	case *wire.LedgerRequest:
		return f.m.answerLedger(o), true
	case *wire.PackageRequest:
		return f.answerPackage(o), true
	case *wire.SignTransactions:
		return f.m.signTransactions(o), true
	case *wire.DescribeLedger:
		return f.m.describeLedger(), true
	default:
		return f.m.answerStore(o), true
	}
}

// signed is what stands before the data that an application has signed.
const signed = "fairlead application signature v1\x00"

func (m *Member) sign(o *wire.Sign) wire.Answer {
	i := slices.IndexFunc(m.keys, func(k key) bool { return bytes.Equal(k.PublicKey, o.PublicKey) })
	switch {
	case i < 0:
		return fault(flow.ErrNotFound.Type, fmt.Sprintf("key %s is not one of %s", keyID(o.PublicKey), m.Name()))
	case m.keys[i].Category != "LEDGER": // a notary's key signs transactions, and nothing else
		return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("key %s is of category %s; this is signed with keys of category LEDGER", m.keys[i].ID, m.keys[i].Category))
	case o.Scheme != "" && o.Scheme != "EdDSA":
		return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("key %s is an Ed25519 key and cannot sign by %s; use EdDSA", m.keys[i].ID, o.Scheme))
	}
	k := m.keys[i]
	data := append([]byte(signed+m.id.ShortHash+"\x00"), o.Data...)
	return wire.Result(&wire.Signature{Signature: ed25519.Sign(k.private, data), KeyID: k.ID, Scheme: "EdDSA", PublicKey: k.PublicKey})
}

// The platform's limits: bytes of an operation's arguments, and signatures that are checked in one step.
const (
	maxArgument = 512 << 10
	maxChecks   = 256
)

// argumentSize is what counts against the limit on arguments: the payload of a message, all of anything else.
func argumentSize(o wire.Operation) int {
	if send, ok := o.(*wire.SendMessage); ok {
		return len(send.Payload)
	}
	return len(wire.Encode(o))
}

func checkSignatures(o *wire.CheckSignatures) wire.Answer {
	if n := len(o.Checks); n > maxChecks {
		return fault(flow.ErrLimit.Type, fmt.Sprintf("%d signatures are to be checked in one step, at most %d are allowed: ask in several steps", n, maxChecks))
	}
	var out wire.CheckedSignatures
	for _, c := range o.Checks {
		verdict := wire.SignatureValid
		switch err := (ledger.Check{By: c.PublicKey, Scheme: c.Scheme, Message: c.Message, Bytes: c.Signature}).Verify(); {
		case errors.Is(err, ledger.ErrUnsupported):
			verdict = wire.SignatureUnsupported
		case err != nil:
			verdict = wire.SignatureInvalid
		}
		out.Verdicts = append(out.Verdicts, verdict)
	}
	return wire.Result(&out)
}

func (m *Member) findKeys(o *wire.FindKeys) wire.Answer {
	found := &wire.Keys{}
	take := func(k key) {
		if o.Category == "" || o.Category == k.Category {
			found.Keys = append(found.Keys, k.Key)
		}
	}
	if len(o.PublicKeys) == 0 {
		for _, k := range m.keys {
			take(k)
		}
	}
	for _, public := range o.PublicKeys {
		for _, k := range m.keys {
			if bytes.Equal(k.PublicKey, public) {
				take(k)
			}
		}
	}
	return wire.Result(found)
}

func (n *Network) lookUp(o *wire.LookupMembers) wire.Answer {
	names := map[string]bool{}
	for _, name := range o.Names {
		canonical, err := canonicalName(name)
		if err != nil {
			return fault(flow.ErrInvalidArgument.Type, fmt.Sprintf("%q is not an X.500 name: %s", name, err))
		}
		names[canonical] = true
	}
	found := &wire.Members{}
	for _, m := range n.sorted() {
		w := wire.Member{X500Name: m.id.X500Name, GroupID: m.id.GroupID, Status: "ACTIVE", Serial: 1, Context: m.information()}
		has := false
		for _, k := range m.keys {
			if k.Category == "LEDGER" {
				w.LedgerKeys = append(w.LedgerKeys, k.PublicKey)
			}
			has = has || slices.ContainsFunc(o.PublicKeys, func(p []byte) bool { return bytes.Equal(p, k.PublicKey) })
		}
		if (len(names) == 0 || names[m.id.X500Name]) && (len(o.PublicKeys) == 0 || has) {
			found.Members = append(found.Members, w)
		}
	}
	return wire.Result(found)
}

func (m *Member) emit(o *wire.EmitMessage) wire.Answer {
	if !m.net.channels[o.Channel] {
		return fault(flow.ErrNoChannel.Type, fmt.Sprintf("the package declares no channel %q that flows can emit to", o.Channel))
	}
	e := Emitted{Channel: o.Channel, Key: o.Key, Value: o.Value, At: m.net.now}
	for _, h := range o.Headers {
		if !strings.HasPrefix(h.Name, "fl-") {
			e.Headers = append(e.Headers, flow.Header{Name: h.Name, Value: h.Value})
		}
	}
	m.emitted = append(m.emitted, e)
	return wire.Result(nil)
}
