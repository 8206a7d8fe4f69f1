package flowtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// describe says what an operation is, for people.
func describe(o wire.Operation, f *Flow) string {
	with := func(session string) string {
		if s := f.m.net.sessions[session]; s != nil {
			if e := s.endOf(f); e != nil {
				return e.counterparty
			}
		}
		return "unknown session " + session
	}
	switch o := o.(type) {
	case *wire.Sleep:
		return "sleep " + (time.Duration(o.DurationUS) * time.Microsecond).String()
	case *wire.OpenSession:
		return fmt.Sprintf("open session %s with %s", o.Protocol, o.Counterparty)
	case *wire.SendMessage:
		part := ""
		if o.More {
			part = ", more follows,"
		}
		return fmt.Sprintf("send %d bytes%s to %s", len(o.Payload), part, with(o.SessionID))
	case *wire.ReceiveMessage:
		return "receive from " + with(o.SessionID)
	case *wire.CloseSession:
		return "close session with " + with(o.SessionID)
	case *wire.SessionInfo:
		return "ask for info of session with " + with(o.SessionID)
	case *wire.Sign:
		return fmt.Sprintf("sign %d bytes with key %s", len(o.Data), keyID(o.PublicKey))
	case *wire.CheckSignatures:
		return fmt.Sprintf("check %d signatures", len(o.Checks))
	case *wire.FindKeys:
		return strings.TrimSpace("find keys " + o.Category)
	case *wire.PersistRows:
		return fmt.Sprintf("persist %d in %s", len(o.Rows), o.Table)
	case *wire.MergeRows:
		return fmt.Sprintf("merge %d in %s", len(o.Rows), o.Table)
	case *wire.RemoveRows:
		return fmt.Sprintf("remove %d from %s", len(o.Keys), o.Table)
	case *wire.FindRows:
		return fmt.Sprintf("find %d in %s", len(o.Keys), o.Table)
	case *wire.FindAllRows:
		return "find all in " + o.Table
	case *wire.NamedQuery:
		return "query " + o.Query
	case *wire.ClaimTokens:
		return "claim tokens worth " + o.Amount
	case *wire.ReleaseTokens:
		return "release " + o.ClaimID
	case *wire.TokenBalance:
		return "ask for a balance of tokens"
	case *wire.CheckUniqueness:
		return fmt.Sprintf("ask the notary about %X", o.Transaction[:min(6, len(o.Transaction))])
	case *wire.LookupMembers:
		return "look up members"
	case *wire.EmitMessage:
		return "emit to " + o.Channel
	case *wire.VerifyTransaction:
		return fmt.Sprintf("verify a transaction of %d bytes", len(o.Transaction))
	case *wire.LedgerRequest:
		return describeLedger(o.Operation)
	case *wire.PackageRequest:
		return describePackage(o.Operation)
	case *wire.SignTransactions:
		return fmt.Sprintf("sign %d transactions with key %s", len(o.IDs), keyID(o.PublicKey))
	case *wire.DescribeLedger:
		return "ask for the metadata of new transactions"
	default:
		return o.Name()
	}
}

func describeAll(requests []wire.Request, f *Flow) string {
	var out []string
	for _, r := range requests {
		out = append(out, describe(r.Operation, f))
	}
	return strings.Join(out, " and ")
}

func describeEnd(y wire.Yield) string {
	if y.Failed != nil {
		return fmt.Sprintf("the error %s: %s", y.Failed.Error.Type, y.Failed.Error.Message)
	}
	return "the result " + string(y.Done.Result)
}

func describePackage(o wire.PackageOperation) string {
	switch o := o.(type) {
	case *wire.FindMissingPackages:
		return fmt.Sprintf("ask which of %d packages are missing", len(o.Checksums))
	case *wire.ReadPackagePart:
		return fmt.Sprintf("read part %d of a package", o.Part)
	case *wire.PutPackagePart:
		return fmt.Sprintf("hand over part %d of %d of a package", o.Part, o.Parts)
	default:
		return "package"
	}
}
