package database

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// Stable ids of refusals and errors.
const (
	ErrMalformed   = "FL-DB-001"
	ErrKey         = "FL-DB-002"
	ErrNotFound    = "FL-DB-003"
	ErrExists      = "FL-DB-004"
	ErrVersion     = "FL-DB-005"
	ErrAssociation = "FL-DB-006"
	ErrPattern     = "FL-DB-007"
	ErrState       = "FL-DB-008"
	ErrCollision   = "FL-DB-009"
	ErrIncompat    = "FL-DB-010"
	ErrConnections = "FL-DB-011"
	ErrCertificate = "FL-DB-012"
	ErrReplyTopic  = "FL-DB-013"
	ErrUpload      = "FL-DB-014"
	ErrDuplicate   = "FL-DB-015"
	ErrForce       = "FL-DB-016"
	ErrModule      = "FL-DB-017"
	ErrSchema      = "FL-DB-018"
	ErrInternal    = "FL-DB-019"
	ErrStatement   = "FL-DB-020"
	ErrHarden      = "FL-DB-021"
	ErrChannels    = "FL-DB-022"
	ErrMigration   = "FL-DB-023"
	ErrDeclared    = "FL-DB-024"
	ErrPackage     = "FL-DB-025"
	ErrStates      = "FL-DB-026"
)

// refusal is an error that the caller gets; nothing was changed.
type refusal struct{ err *rpcv1.Error }

func (r *refusal) Error() string { return r.err.GetId() + ": " + r.err.GetMessage() }

func refuse(kind rpcv1.ErrorKind, id, word, format string, args ...any) *refusal {
	return &refusal{&rpcv1.Error{
		Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Kind: kind, Type: word, Id: id, Message: fmt.Sprintf(format, args...),
	}}
}

func invalid(id, format string, args ...any) *refusal {
	return refuse(rpcv1.ErrorKind_ERROR_KIND_INVALID, id, "invalid", format, args...)
}

func notFound(format string, args ...any) *refusal {
	return refuse(rpcv1.ErrorKind_ERROR_KIND_NOT_FOUND, ErrNotFound, "not-found", format, args...)
}

func conflict(id, format string, args ...any) *refusal {
	return refuse(rpcv1.ErrorKind_ERROR_KIND_CONFLICT, id, "conflict", format, args...)
}

// with adds a detail.
func (r *refusal) with(name, value string) *refusal {
	r.err.Details = append(r.err.Details, &rpcv1.Detail{Name: name, Value: value})
	return r
}

func (r *refusal) reply() *rpcv1.Reply {
	return &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: r.err}}
}

// answer makes the reply of an outcome out of its result message; nil for none.
func (o *Outcome) answer(m proto.Message) error {
	if o.Reply == nil {
		o.Reply = &rpcv1.Reply{}
	}
	result := &rpcv1.Reply_Result{}
	if m != nil {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode an answer: %w", err)
		}
		result.Result = b
	}
	o.Reply.Outcome = result
	return nil
}

// stable returns the id that an error of another package carries, empty for none.
func stable(err error) string {
	var with interface{ StableID() string }
	if errors.As(err, &with) {
		return with.StableID()
	}
	return ""
}
