package clusterdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/postgres"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// Kind says what a row of the outbox asks for.
type Kind string

// The kinds.
const (
	// Fact: the row of this topic and key is published, as it is now.
	Fact Kind = "fact"
	// Republish: a request under this entity's key to publish the row; Topic and Key name the row.
	Republish Kind = "republish"
	// Continue: the operation of this id takes its next step.
	Continue Kind = "continue"
)

// Outbound is a row of the outbox.
type Outbound struct {
	Kind  Kind   `json:"kind"`
	Topic string `json:"topic,omitempty"`
	Key   string `json:"key"`
}

// Request returns the answer that a request got, and what must be told again; nil when it is new.
func Request(ctx context.Context, q postgres.Queryer, id string) (*rpcv1.Reply, []Outbound, error) {
	var b []byte
	got, err := found(&b, q.One(ctx, []any{&b}, "SELECT reply FROM request WHERE id = $1", id))
	if got == nil {
		return nil, nil, err
	}
	reply, err := unmarshal("an answer", b, &rpcv1.Reply{})
	if err != nil {
		return nil, nil, err
	}
	var out []Outbound
	err = q.Each(ctx, func(r postgres.Row) error {
		var o Outbound
		var kind string
		if err := r.Scan(&kind, &o.Topic, &o.Key); err != nil {
			return fmt.Errorf("read the outbox: %w", err)
		}
		o.Kind = Kind(kind)
		out = append(out, o)
		return nil
	}, "SELECT kind, topic, key FROM outbox WHERE request_id = $1 ORDER BY place", id)
	return reply, out, err
}

// PutRequest remembers a request, its answer and what must be told.
func PutRequest(ctx context.Context, q postgres.Queryer, id, entity string, reply *rpcv1.Reply, out []Outbound) error {
	b, err := marshal(reply)
	if err != nil {
		return err
	}
	if _, err := q.Exec(ctx, "INSERT INTO request (id, entity, reply) VALUES ($1, $2, $3)", id, entity, b); err != nil {
		return err
	}
	for i, o := range out {
		if _, err := q.Exec(ctx, "INSERT INTO outbox (request_id, place, kind, topic, key) VALUES ($1, $2, $3, $4, $5)", id, i, string(o.Kind), o.Topic, o.Key); err != nil {
			return err
		}
	}
	return nil
}

// givenKept is how long parts of a package that flows hand over wait for the others.
const givenKept = 30 * time.Minute

// Forget drops the memory of requests older than keep, and the parts of uploads that never became whole.
func Forget(ctx context.Context, q postgres.Queryer, keep time.Duration) error {
	before := time.Now().Add(-keep)
	for _, sql := range []string{
		"DELETE FROM request WHERE at < $1", "DELETE FROM cpi_upload WHERE at < $1",
		"DELETE FROM operation WHERE final AND request_id LIKE 'package/%' AND updated_at < $1",
	} {
		if _, err := q.Exec(ctx, sql, before); err != nil {
			return err
		}
	}
	// What flows hand over counts against a bound, and no flow takes so long over one package.
	_, err := q.Exec(ctx, "DELETE FROM cpi_upload WHERE vnode <> '' AND at < $1", time.Now().Add(-min(keep, givenKept)))
	return err
}

// Operation is something that takes a while.
type Operation struct {
	Status *operationv1.OperationStatus
	// Entity is the key under which its steps run.
	Entity string
	Work   Work
	// Last is what the last change of the operation told, to be told again when that was lost.
	Last Told
}

// Told is what is told after a change.
type Told struct {
	Out []Outbound `json:"out,omitempty"`
	// Reply is a fairlead.rpc.v1.Reply for a request that waited for the end, To where it goes and Request the
	// request's id.
	Reply   []byte `json:"reply,omitempty"`
	To      string `json:"to,omitempty"`
	Request string `json:"request,omitempty"`
}

// Work is what the steps of an operation need; it holds no secret that is not sealed.
type Work struct {
	Step string `json:"step"`
	// Attempt tells this operation from an earlier one of the same id: the id of its request.
	Attempt string `json:"attempt"`
	Actor   string `json:"actor,omitempty"`
	// Reply is header fl-reply of a request that is answered at the end, and Request its id.
	Reply   string `json:"reply,omitempty"`
	Request string `json:"request,omitempty"`

	// Of packages that flows hand over: what the file must be. Reply and Request are those of the last part.
	Code *Named `json:"code,omitempty"`
	// Of uploads.
	FileName string `json:"file_name,omitempty"`
	Parts    uint32 `json:"parts,omitempty"`
	SHA256   []byte `json:"sha256,omitempty"`
	// Force is of upgrades, too.
	Force bool `json:"force,omitempty"`
	// Replaced are checksums of packages that this one took the place of, Moved the virtual nodes that had them.
	Replaced []string `json:"replaced,omitempty"`
	Moved    []string `json:"moved,omitempty"`
	// Of virtual nodes.
	X500Name    string `json:"x500_name,omitempty"`
	GroupID     string `json:"group_id,omitempty"`
	ShortHash   string `json:"short_hash,omitempty"`
	Checksum    string `json:"checksum,omitempty"`
	Connections []byte `json:"connections,omitempty"`
	Entry       string `json:"entry,omitempty"`
}

// Named is a package of code as a transaction names it, and the virtual node whose flow hands it over.
type Named struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Signer is the summary hash of its signers, SHA-256:<HEX>.
	Signer string `json:"signer"`
	Vnode  string `json:"vnode"`
}

// Final tells whether nothing will happen any more.
func (o *Operation) Final() bool {
	switch o.Status.GetState() {
	case operationv1.OperationState_OPERATION_STATE_SUCCEEDED, operationv1.OperationState_OPERATION_STATE_FAILED, operationv1.OperationState_OPERATION_STATE_ABORTED:
		return true
	default:
		return false
	}
}

// GetOperation returns an operation, nil when there is none, and locks the row.
func GetOperation(ctx context.Context, q postgres.Queryer, id string) (*Operation, error) {
	var status, work, last []byte
	o := &Operation{}
	got, err := found(o, q.One(ctx, []any{&o.Entity, &status, &work, &last}, "SELECT entity, status, work, last FROM operation WHERE request_id = $1 FOR UPDATE", id))
	if got == nil {
		return nil, err
	}
	if err := errors.Join(json.Unmarshal(work, &o.Work), json.Unmarshal(last, &o.Last)); err != nil {
		return nil, fmt.Errorf("read operation %s from the database: %w", id, err)
	}
	o.Status, err = unmarshal("an operation", status, &operationv1.OperationStatus{})
	return o, err
}

// PutOperation writes an operation.
func PutOperation(ctx context.Context, q postgres.Queryer, o *Operation) error {
	status, err := marshal(o.Status)
	if err != nil {
		return err
	}
	work, err := json.Marshal(o.Work)
	last, lerr := json.Marshal(o.Last)
	if err := errors.Join(err, lerr); err != nil {
		return fmt.Errorf("encode an operation: %w", err)
	}
	_, err = q.Exec(ctx, `INSERT INTO operation (request_id, entity, status, final, work, last) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (request_id) DO UPDATE SET entity = $2, status = $3, final = $4, work = $5, last = $6, updated_at = now()`,
		o.Status.GetRequestId(), o.Entity, status, o.Final(), work, last)
	return err
}

// StuckOperations returns entity and id of operations that are not final and were not touched for so long.
func StuckOperations(ctx context.Context, q postgres.Queryer, idle time.Duration) (map[string]string, error) {
	out := map[string]string{}
	err := q.Each(ctx, func(r postgres.Row) error {
		var entity, id string
		if err := r.Scan(&entity, &id); err != nil {
			return fmt.Errorf("read an operation: %w", err)
		}
		out[id] = entity
		return nil
	}, "SELECT entity, request_id FROM operation WHERE NOT final AND updated_at < $1", time.Now().Add(-idle))
	return out, err
}

// Audit is what was done, to what, and how the thing looked before and after.
type Audit struct {
	Actor, Action, Entity, RequestID string
	Before, After                    proto.Message
}

// PutAudit adds a row to the audit. Messages with secrets must not come here.
func PutAudit(ctx context.Context, q postgres.Queryer, a Audit) error {
	before, err := auditJSON(a.Before)
	if err != nil {
		return err
	}
	after, err := auditJSON(a.After)
	if err != nil {
		return err
	}
	_, err = q.Exec(ctx, "INSERT INTO audit (actor, action, entity, request_id, before, after) VALUES ($1, $2, $3, $4, $5, $6)",
		a.Actor, a.Action, a.Entity, a.RequestID, before, after)
	return err
}

func auditJSON(m proto.Message) (*string, error) {
	if m == nil || !m.ProtoReflect().IsValid() {
		return nil, nil //nolint:nilnil // SQL's NULL
	}
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode for the audit: %w", err)
	}
	s := string(b)
	return &s, nil
}
