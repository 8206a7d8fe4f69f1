package crypto

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// Stable ids of errors; see [Explanations].
const (
	idNoWayBack       = "FL-CRYPTO-001"
	idNoOperation     = "FL-CRYPTO-002"
	idRefused         = "FL-CRYPTO-003"
	idBytes           = "FL-CRYPTO-004"
	idNotFound        = "FL-CRYPTO-005"
	idScheme          = "FL-CRYPTO-006"
	idInvalid         = "FL-CRYPTO-007"
	idConflict        = "FL-CRYPTO-008"
	idSignatureScheme = "FL-CRYPTO-009"
	idVault           = "FL-CRYPTO-010"
	idVaultKey        = "FL-CRYPTO-011"
	idCollision       = "FL-CRYPTO-012"
	idDead            = "FL-CRYPTO-013"
	idAway            = "FL-CRYPTO-014"
)

// fail makes an error that the requester's code sees.
func fail(id string, kind rpcv1.ErrorKind, word, format string, args ...any) *rpcv1.Error {
	return &rpcv1.Error{
		Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Kind: kind, Type: word, Id: id, Message: id + ": " + fmt.Sprintf(format, args...),
	}
}

func invalid(format string, args ...any) *rpcv1.Error {
	return fail(idInvalid, rpcv1.ErrorKind_ERROR_KIND_INVALID, "invalid", format, args...)
}

// respond answers with a result.
func respond(result proto.Message, o Outcome) []Effect {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(result)
	if err != nil { // a string that is not UTF-8: the result repeats what came in a valid message, so it cannot be
		return respondError(invalid("the result cannot be encoded: %s", err.Error()), Failed)
	}
	return []Effect{Respond{&rpcv1.Reply{Outcome: &rpcv1.Reply_Result{Result: raw}}}, Note{o}}
}

// respondError answers with an error.
func respondError(e *rpcv1.Error, o Outcome) []Effect {
	return []Effect{Respond{&rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: e}}}, Note{o}}
}

// refuse answers with an error and writes it down, for a refusal is either a mistake or an attack.
func refuse(a Ask, what string, e *rpcv1.Error) []Effect {
	return append(respondError(e, Refused), Audit{entry(a, what, e)})
}

// entry is the audit record of a request: refused with the error, or done without one.
func entry(a Ask, what string, e *rpcv1.Error) *auditv1.Entry {
	op, purpose := operation(a.Request)
	out := &auditv1.Entry{
		AtUs: a.NowUs, By: string(a.Requester), Tool: "crypto worker", Action: "crypto." + string(op),
		Entity: "key/" + keyPath(printable(a.Request.GetTenant()), printable(what)), Outcome: auditv1.Outcome_OUTCOME_DONE, OperationId: printable(a.ID),
	}
	if op == OpSign {
		out.Action += "." + purposeName(purpose)
	}
	if t := a.Request.GetTenant(); t != string(P2P) {
		out.Vnode = printable(t)
	}
	if e != nil {
		out.Outcome, out.ErrorId, out.Detail = auditv1.Outcome_OUTCOME_REFUSED, e.GetId(), e.GetMessage()
	}
	return out
}

// printable bounds what a requester put into an audit record.
func printable(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most]
	}
	for _, r := range s {
		if r < ' ' || r == '\uFFFD' {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}
