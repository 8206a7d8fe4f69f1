package flowmapper

import (
	"encoding/json"
	"fmt"

	"github.com/fairleadio/fairlead/identity"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// MaxClientRequestID and MaxFlowClass bound two fields of a start, in bytes.
const (
	MaxClientRequestID = 242
	MaxFlowClass       = 512
)

// IsClientRequestID tells whether s may name a client's request: 1 to 242 of the characters - . _ A-Z a-z 0-9.
func IsClientRequestID(s string) bool {
	if s == "" || len(s) > MaxClientRequestID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// CheckStart tells what is wrong with a start record: the field, and what it must be. Its error begins with the
// stable id FL-MAPPER-001.
func CheckStart(key string, s *flowv1.StartFlow) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("FL-MAPPER-001: start %q: %s", key, fmt.Sprintf(format, args...))
	}
	if s == nil {
		return bad("field start is empty")
	}
	if !IsClientRequestID(s.GetClientRequestId()) {
		return bad("field client_request_id is %q; it must have 1 to %d of the characters - . _ A-Z a-z 0-9", s.GetClientRequestId(), MaxClientRequestID)
	}
	if !identity.IsShortHash(s.GetVnode()) {
		return bad("field vnode is %q; it must be a short hash, 12 upper-case hexadecimal digits", s.GetVnode())
	}
	if want := s.GetClientRequestId() + "-" + s.GetVnode(); key != want {
		return bad("the record's key must be %q", want)
	}
	holder, err := identity.NewHolding(s.GetIdentity().GetX500Name(), s.GetIdentity().GetGroupId())
	if err != nil {
		return bad("field identity: %v", err)
	}
	if got := holder.Name.String(); got != s.GetIdentity().GetX500Name() {
		return bad("field identity: write the X.500 name in its canonical form, %q", got)
	}
	if got := holder.ShortHash(); got != s.GetVnode() {
		return bad("field identity has the short hash %s, field vnode says %s; they must agree", got, s.GetVnode())
	}
	if s.GetFlowClass() == "" || len(s.GetFlowClass()) > MaxFlowClass {
		return bad("field flow_class has %d bytes; it must have 1 to %d", len(s.GetFlowClass()), MaxFlowClass)
	}
	if len(s.GetRequestBody()) > 0 && !json.Valid(s.GetRequestBody()) {
		return bad("field request_body is not JSON")
	}
	switch s.GetInitiator() {
	case flowv1.Initiator_INITIATOR_RPC, flowv1.Initiator_INITIATOR_SCHEDULED, flowv1.Initiator_INITIATOR_CHANNEL:
	default:
		return bad("field initiator is %s; a start is asked by RPC, SCHEDULED or CHANNEL", s.GetInitiator())
	}
	return nil
}
