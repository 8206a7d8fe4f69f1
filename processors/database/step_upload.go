package database

import (
	"fmt"
	"slices"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Bounds of uploads.
const (
	maxPartBytes = 512 << 10
	maxParts     = 1 << 10 // 512 MiB
	// publishedAtOnce is how many parts of modules one step publishes.
	publishedAtOnce = 16
)

// checkPart refuses what is no part of a file.
func checkPart(key string, p *dbv1.CpiPart) error {
	switch {
	case p.GetRequestId() == "" || p.GetRequestId() != key:
		return fmt.Errorf("field request_id is %q and must be the record's key", p.GetRequestId())
	case p.GetParts() == 0 || p.GetParts() > maxParts:
		return fmt.Errorf("field parts is %d: 1 to %d are allowed", p.GetParts(), maxParts)
	case p.GetPart() >= p.GetParts():
		return fmt.Errorf("field part is %d of %d: parts count from 0", p.GetPart(), p.GetParts())
	case len(p.GetData()) == 0 || len(p.GetData()) > maxPartBytes:
		return fmt.Errorf("field data has %d bytes: 1 to %d are allowed", len(p.GetData()), maxPartBytes)
	case p.GetPart() == p.GetParts()-1 && len(p.GetFileSha256()) != 32:
		return fmt.Errorf("field file_sha256 of the last part has %d bytes: 32 are needed", len(p.GetFileSha256()))
	default:
		return nil
	}
}

// part keeps a part of a file; with the last the operation begins its work.
func (s State) part(e PartCame) (Outcome, error) {
	var o Outcome
	p := e.Part
	if err := checkPart(e.Key, p); err != nil {
		return o, engine.Poison("%s: part of upload %q: %w", ErrUpload, e.Key, err)
	}
	if s.Operation != nil && (s.Operation.Final() || s.Operation.Work.Step != stepReceive) {
		o.tell(s.Operation) // a repeated part of a file that is whole
		if !s.Operation.Final() {
			o.next(e.Key)
		}
		return o, nil
	}
	var op *clusterdb.Operation
	if s.Operation == nil {
		op = s.begin(e.Key, operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD, e.Key, clusterdb.Work{
			Step: stepReceive, Attempt: e.Key, Actor: p.GetActor(), FileName: p.GetFileName(), Parts: p.GetParts(), Force: p.GetForce(),
		}, e.NowUs)
	} else {
		op = changed(s.Operation, e.NowUs)
	}
	if p.GetParts() != op.Work.Parts {
		o.put(DropUpload{e.Key})
		return o, o.fail(op, invalid(ErrUpload, "the upload says of itself that it has %d parts, and %d: send it again under a new id", op.Work.Parts, p.GetParts()))
	}
	if len(p.GetFileSha256()) > 0 {
		op.Work.SHA256 = p.GetFileSha256()
	}
	o.put(PutPart{p})
	if s.Parts < p.GetParts() {
		op.Status.State = operationv1.OperationState_OPERATION_STATE_IN_PROGRESS
		o.put(PutOperation{op})
		o.tell(op)
		return o, nil
	}
	o.goOn(op, stepVerify, stageUpload)
	return o, nil
}

// uploadGoesOn decides what follows a step of an upload.
func (s State) uploadGoesOn(o *Outcome, op *clusterdb.Operation, e StepDone) error {
	switch e.Result.Step {
	case stepVerify:
		if err := s.mayUpsert(e.Result.Package, op.Work.Force); err != nil {
			o.put(DropUpload{op.Status.GetRequestId()})
			return o.fail(op, err)
		}
		o.goOn(op, stepValidate, stageCPI)
	case stepValidate:
		o.goOn(op, stepStore, stageUpsert)
	case stepStore:
		return s.stored(o, op, e)
	case stepPublish:
		return s.published(o, op)
	default:
		return o.fail(op, fmt.Errorf("there is no step %s of an upload", e.Result.Step))
	}
	return nil
}

// mayUpsert tells whether a package may be stored, beside those of its name and version that are there.
func (s State) mayUpsert(c *cpiv1.Cpi, force bool) error {
	var same *cpiv1.Cpi
	for _, have := range s.SameName {
		if have.GetSignerSummaryHash() == c.GetSignerSummaryHash() {
			same = have
		}
	}
	switch {
	case same == nil && force:
		return invalid(ErrForce, "there is no CPI %s %s of the same signers to replace: upload it without force", c.GetName(), c.GetVersion())
	case same != nil && force && same.GetGroupId() != c.GetGroupId():
		return invalid(ErrForce, "CPI %s %s is for group %s, and this one for %s: a package is replaced by one for the same group", c.GetName(), c.GetVersion(),
			same.GetGroupId(), c.GetGroupId())
	case same != nil && !force:
		return conflict(ErrDuplicate, "CPI already uploaded with name = %s, version = %s, group = %s", c.GetName(), c.GetVersion(), same.GetGroupId())
	case s.Cpi != nil && !force:
		return conflict(ErrDuplicate, "CPI already uploaded with name = %s, version = %s, group = %s", s.Cpi.GetName(), s.Cpi.GetVersion(), s.Cpi.GetGroupId())
	default:
		return nil
	}
}

// stored makes the package one of the cluster's. Its modules are in the database already.
func (s State) stored(o *Outcome, op *clusterdb.Operation, e StepDone) error {
	c := clone(e.Result.Package)
	if err := s.mayUpsert(c, op.Work.Force); err != nil {
		o.put(DropUpload{op.Status.GetRequestId()})
		return o.fail(op, err)
	}
	c.VersionNumber, c.UploadedAtUs = s.Version, e.NowUs
	put := PutPackage{Cpi: c, By: op.Work.Actor, Migrations: e.Result.Migrations, Code: e.Result.Code}
	for _, have := range s.SameName {
		if have.GetSignerSummaryHash() == c.GetSignerSummaryHash() && have.GetChecksum() != c.GetChecksum() {
			put.Replaced = append(put.Replaced, have.GetChecksum())
		}
	}
	o.put(put)
	for _, use := range s.UsedBy {
		if slices.Contains(put.Replaced, use.Checksum) {
			o.put(MoveVirtualNode{use.ShortHash, c.GetChecksum()})
			op.Work.Moved = append(op.Work.Moved, use.ShortHash)
		}
	}
	op.Work.Replaced = put.Replaced
	o.Audit = append(o.Audit, clusterdb.Audit{
		Actor: op.Work.Actor, Action: "cpi.upload", Entity: EntityOf(topics.CpiInfo, c.GetChecksum()), RequestID: op.Status.GetRequestId(), After: withoutPolicy(c),
	})
	op.Work.Checksum = c.GetChecksum()
	op.Work.Entry = "0"
	o.goOn(op, stepPublish, stagePersist)
	return nil
}

// withoutPolicy keeps what may be large out of the audit.
func withoutPolicy(c *cpiv1.Cpi) *cpiv1.Cpi {
	c = clone(c)
	c.GroupPolicy = nil
	return c
}

// published tells the next parts of the package's modules, and at the end the package.
func (s State) published(o *Outcome, op *clusterdb.Operation) error {
	if s.Cpi == nil {
		return o.fail(op, fmt.Errorf("package %s is gone: it was replaced while it was published", op.Work.Checksum))
	}
	more, err := o.chunks(op, keysOf(s.Cpi.GetModules()))
	if err != nil {
		return o.fail(op, err)
	}
	if more {
		o.goOn(op, stepPublish, stagePersist)
		return nil
	}
	for _, key := range codeKeys(s.Cpi) {
		o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Fact, Topic: topics.CpkInfo, Key: key})
	}
	o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Fact, Topic: topics.CpiInfo, Key: s.Cpi.GetChecksum()})
	// Those that were replaced, and the virtual nodes that were moved, are told under their own keys.
	for _, old := range op.Work.Replaced {
		o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Republish, Topic: topics.CpiInfo, Key: old})
	}
	for _, hash := range op.Work.Moved {
		o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Republish, Topic: topics.VirtualNodeInfo, Key: hash})
	}
	o.put(DropUpload{op.Status.GetRequestId()})
	op.Status.ResourceId = s.Cpi.GetChecksum()
	return o.succeed(op, stageOK)
}

// keysOf are the keys of topic cpi.chunks that modules have, each once.
func keysOf(modules []*cpiv1.Module) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range modules {
		if id := string(m.GetSha256()); !seen[id] {
			seen[id] = true
			for part := range m.GetChunks() {
				out = append(out, ChunkKey(m.GetSha256(), part))
			}
		}
	}
	return out
}

// ChunkKey is the key of a module's part on topic cpi.chunks.
func ChunkKey(sha256 []byte, part uint32) string { return fmt.Sprintf("%x/%08d", sha256, part) }
