package database

import (
	"errors"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// The steps of operations.
const (
	// Of uploads.
	stepReceive  = "receive"
	stepVerify   = "verify"
	stepValidate = "validate"
	stepStore    = "store"
	stepPublish  = "publish"
	// Of virtual nodes.
	stepSchema      = "schema"
	stepPlatform    = "platform"
	stepApplication = "application"
	stepReset       = "reset"
	stepConnections = "connections"
	stepFinish      = "finish"
)

// Stages of uploads, by Corda's words, and of virtual nodes.
const (
	stageUploading = "Uploading"
	stageUpload    = "Validating upload"
	stageVerifying = "Verifying CPI"
	stageCPI       = "Validating CPI"
	stageUpsert    = "Checking we can upsert a cpi"
	stagePersist   = "Persisting CPI"
	stageOK        = "OK"

	stageSchema      = "Creating schema and roles"
	stagePlatform    = "Running the platform's migrations"
	stageApplication = "Running the application's migrations"
	stageReset       = "Dropping the application's tables"
	stageConnections = "Checking connections"
	stageFinish      = "Publishing"
)

// stageOf is what is shown while a step runs.
func stageOf(step string) string {
	return map[string]string{
		stepReceive: stageUploading, stepVerify: stageVerifying, stepValidate: stageCPI, stepStore: stagePersist, stepPublish: stagePersist,
		stepSchema: stageSchema, stepPlatform: stagePlatform, stepApplication: stageApplication, stepReset: stageReset,
		stepConnections: stageConnections, stepFinish: stageFinish,
	}[step]
}

// begin makes a new operation. One of the same id that ended before gives its row version on, so that readers take the
// new one.
func (s State) begin(id string, kind operationv1.OperationKind, entity string, work clusterdb.Work, nowUs int64) *clusterdb.Operation {
	version := uint64(1)
	if s.Operation != nil {
		version = s.Operation.Status.GetVersion() + 1
	}
	return &clusterdb.Operation{
		Entity: entity, Work: work, Status: &operationv1.OperationStatus{
			RequestId: id, Kind: kind, State: operationv1.OperationState_OPERATION_STATE_ACCEPTED, Stage: stageOf(work.Step),
			CreatedAtUs: nowUs, UpdatedAtUs: nowUs, Version: version, ResourceId: work.ShortHash,
		},
	}
}

// changed is an operation after a step, for the next.
func changed(o *clusterdb.Operation, nowUs int64) *clusterdb.Operation {
	out := *o
	out.Status = clone(o.Status)
	out.Status.Version++
	out.Status.UpdatedAtUs = nowUs
	return &out
}

// goOn lets an operation take a step.
func (o *Outcome) goOn(op *clusterdb.Operation, step, stage string) {
	op.Work.Step = step
	op.Status.State = operationv1.OperationState_OPERATION_STATE_IN_PROGRESS
	op.Status.Stage = stage
	o.put(PutOperation{op})
	o.tell(op)
	o.next(op.Status.GetRequestId())
}

// tell publishes an operation's status. What a flow hands over has none: strangers decide how often that happens.
func (o *Outcome) tell(op *clusterdb.Operation) {
	if isGiven(op.Status.GetRequestId()) {
		return
	}
	o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Fact, Topic: topics.OperationStatus, Key: op.Status.GetRequestId()})
}

// succeed ends an operation.
func (o *Outcome) succeed(op *clusterdb.Operation, stage string) error {
	op.Status.State = operationv1.OperationState_OPERATION_STATE_SUCCEEDED
	op.Status.Stage = stage
	op.Work.Connections = nil
	o.put(PutOperation{op})
	o.tell(op)
	return o.late(op, nil)
}

// fail ends an operation.
func (o *Outcome) fail(op *clusterdb.Operation, err error) error {
	r := asRefusal(err)
	op.Status.State = operationv1.OperationState_OPERATION_STATE_FAILED
	op.Status.Error, op.Status.ErrorId, op.Status.ErrorKind = r.err.GetMessage(), r.err.GetId(), uint32(r.err.GetKind())
	op.Work.Connections = nil
	o.put(PutOperation{op})
	o.tell(op)
	return o.late(op, r)
}

// late answers a request that waits for the operation's end.
func (o *Outcome) late(op *clusterdb.Operation, r *refusal) error {
	if op.Work.Reply == "" {
		return nil
	}
	o.ReplyTo, o.RequestID = op.Work.Reply, op.Work.Request
	if r != nil {
		o.Reply = r.reply()
		return nil
	}
	return o.answer(nil)
}

// asRefusal gives any error the form that callers get.
func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	id := stable(err)
	if id == "" {
		id = ErrInternal
	}
	return refuse(rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, id, "failed", "%v", err)
}

// advance decides what follows the end of a step.
func (s State) advance(e StepDone) (Outcome, error) {
	var o Outcome
	if s.Operation == nil || s.Operation.Final() || s.Operation.Work.Step != e.Result.Step {
		return o, nil // another record was faster
	}
	op := changed(s.Operation, e.NowUs)
	if e.Result.Err != nil {
		return o, s.failed(&o, op, e)
	}
	if e.Result.Again {
		o.goOn(op, op.Work.Step, e.Result.Stage)
		return o, nil
	}
	switch op.Status.GetKind() {
	case operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD:
		return o, s.uploadGoesOn(&o, op, e)
	case operationv1.OperationKind_OPERATION_KIND_RECEIVE_PACKAGE:
		return o, s.packageGoesOn(&o, op, e)
	case operationv1.OperationKind_OPERATION_KIND_CREATE_VIRTUAL_NODE:
		return o, s.creationGoesOn(&o, op, e)
	default:
		return o, s.changeGoesOn(&o, op, e)
	}
}

// failed ends an operation that cannot go on, and frees what it held.
func (s State) failed(o *Outcome, op *clusterdb.Operation, e StepDone) error {
	if kind := op.Status.GetKind(); kind == operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD || kind == operationv1.OperationKind_OPERATION_KIND_RECEIVE_PACKAGE {
		o.put(DropUpload{op.Status.GetRequestId()})
	}
	if op.Status.GetKind() == operationv1.OperationKind_OPERATION_KIND_CREATE_VIRTUAL_NODE && s.VirtualNode == nil {
		o.put(PutConnections{op.Work.ShortHash, nil, []clusterdb.RoleName{clusterdb.DDL, clusterdb.DML}})
	}
	if v := s.VirtualNode; v != nil && v.GetOperationInProgress() == op.Status.GetRequestId() {
		after := clone(v)
		after.OperationInProgress = ""
		o.putNode(after)
	}
	return o.fail(op, e.Result.Err)
}

// end ends an operation whose step did its work, and that cannot go on all the same.
func (s State) end(o *Outcome, op *clusterdb.Operation, e StepDone, err error) error {
	e.Result.Err = err
	return s.failed(o, op, e)
}
