package database_test

import (
	"testing"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/processors/database"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// An operation that fails in its last step frees what it held: the virtual node it worked on, or the connections of the
// one that it made.
func TestFailureInTheLastStepFreesAll(t *testing.T) {
	const hash = "AAAAAAAAAAA1"
	for _, kind := range []operationv1.OperationKind{
		operationv1.OperationKind_OPERATION_KIND_UPGRADE_VIRTUAL_NODE, operationv1.OperationKind_OPERATION_KIND_CREATE_VIRTUAL_NODE,
	} {
		s := database.State{Operation: &clusterdb.Operation{ // its package is gone
			Entity: "x", Work: clusterdb.Work{Step: "finish", ShortHash: hash, Checksum: "c"},
			Status: &operationv1.OperationStatus{RequestId: "op", Kind: kind, State: operationv1.OperationState_OPERATION_STATE_IN_PROGRESS, Version: 3},
		}}
		upgrade := kind == operationv1.OperationKind_OPERATION_KIND_UPGRADE_VIRTUAL_NODE
		if upgrade {
			s.VirtualNode = &vnodev1.VirtualNode{ShortHash: hash, OperationInProgress: "op"}
		}
		o, err := database.Step(s, database.StepDone{Result: database.Result{Step: "finish"}, NowUs: 1})
		if err != nil {
			t.Fatal(err)
		}
		failed, freed := false, false
		for _, w := range o.Writes {
			switch w := w.(type) {
			case database.PutOperation:
				failed = w.Operation.Status.GetState() == operationv1.OperationState_OPERATION_STATE_FAILED && w.Operation.Status.GetError() != ""
			case database.PutVirtualNode:
				freed = upgrade && w.VirtualNode.GetOperationInProgress() == ""
			case database.PutConnections:
				freed = !upgrade && len(w.Put) == 0 && len(w.Drop) == 2
			}
		}
		if !failed || !freed {
			t.Errorf("%s: failed %v, freed %v: %+v", kind, failed, freed, o.Writes)
		}
	}
}
