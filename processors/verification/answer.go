package verification

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// Stable ids of errors; see [Explanations].
const (
	idNoWayBack  = "FL-VERIFICATION-001"
	idRequest    = "FL-VERIFICATION-002"
	idUnresolved = "FL-VERIFICATION-003"
	idMissing    = "FL-VERIFICATION-004"
	idDead       = "FL-VERIFICATION-005"
	idUntrusted  = "FL-VERIFICATION-006"
)

// Words of errors, as flows see them.
const (
	TypeUnresolved       = "unresolved"
	TypePackageMissing   = "package-missing"
	TypePackageUntrusted = "package-untrusted"
	TypePlatform         = "platform"
)

// Words of an answer.
const (
	StatusVerified = "VERIFIED"
	StatusInvalid  = "INVALID"
)

// Bounds of an answer, so that a flow can always take it: bytes of one text and of all, and how many there are.
const (
	maxText     = 4 << 10
	maxTexts    = 256 << 10
	maxFailures = 1000
)

// verdict makes the answer of what is against a transaction. Where that is more than an answer may hold, the last failure
// says how much is left out.
func verdict(failures []*appv1.VerificationFailure) *appv1.Verification {
	if len(failures) == 0 {
		return &appv1.Verification{Status: StatusVerified}
	}
	v := &appv1.Verification{Status: StatusInvalid}
	size := 0
	for i, f := range failures {
		f = &appv1.VerificationFailure{Contract: text(f.GetContract()), Component: text(f.GetComponent()), Message: text(f.GetMessage())}
		size += len(f.GetContract()) + len(f.GetComponent()) + len(f.GetMessage()) + 32
		if i == maxFailures || size > maxTexts {
			v.Failures = append(v.Failures, &appv1.VerificationFailure{Message: fmt.Sprintf("%d more failures are left out", len(failures)-i)})
			break
		}
		v.Failures = append(v.Failures, f)
	}
	return v
}

// text makes what an application wrote valid and bounded.
func text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// respond answers with a verification.
func respond(v *appv1.Verification) []Effect {
	what := Verified
	if v.GetStatus() != StatusVerified {
		what = Invalid
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(v)
	if err != nil { // its texts are valid UTF-8, so this cannot be
		return respondError(idRequest, rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, TypePlatform, Refused, "the answer cannot be encoded")
	}
	return []Effect{Respond{&rpcv1.Reply{Outcome: &rpcv1.Reply_Result{Result: raw}}}, Note{what}}
}

// respondError answers with an error that the requester's code sees.
func respondError(id string, kind rpcv1.ErrorKind, word string, what Result, format string, args ...any) []Effect {
	return []Effect{Respond{errorReply(id, kind, word, format, args...)}, Note{what}}
}

func errorReply(id string, kind rpcv1.ErrorKind, word, format string, args ...any) *rpcv1.Reply {
	return &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: &rpcv1.Error{
		Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Kind: kind, Type: word, Id: id, Message: text(id + ": " + fmt.Sprintf(format, args...)),
	}}}
}

// printable bounds what a writer put into a key.
func printable(s string) string {
	const most = 100
	return strings.ToValidUTF8(s[:min(len(s), most)], "\uFFFD")
}
