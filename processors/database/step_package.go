package database

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Bounds of packages of code that flows take from other parties. An operator who uploads the package is not held to them.
const (
	// CodePartBytes is how long the parts are in which flows read and hand over files.
	CodePartBytes = 256 << 10
	// maxGivenParts bounds one package: 64 MiB.
	maxGivenParts = 256
	// maxMissing is of how many packages a flow may ask at once.
	maxMissing = 1000
)

// TypePackageRefused is the word of the error that a flow gets for a package that is not taken.
const TypePackageRefused = "package-refused"

// PackageAsked is a record of package.requests.
type PackageAsked struct {
	// Key of the record.
	Key string
	// ID is the request's; Reply header fl-reply.
	ID, Reply string
	Request   *dbv1.PackageRequest
	NowUs     int64
}

func (PackageAsked) event() {}

// named is the package that a request is about; nil for a request about several.
func named(r *dbv1.PackageRequest) *appv1.NamedPackage {
	switch op := r.GetOperation().GetOperation().(type) {
	case *appv1.PackageRequest_Read:
		return op.Read.GetPackage()
	case *appv1.PackageRequest_Put:
		return op.Put.GetPackage()
	default:
		return nil
	}
}

// givenID is the id of the operation that makes a package of what a flow hands over, and of its parts until then. Each flow
// has its own: nobody spoils a file by handing over other parts of it.
func givenID(r *dbv1.PackageRequest) string {
	return "package/" + r.GetVnode() + "/" + r.GetFlowId() + "/" + clusterdb.CodeKey(named(r).GetChecksum())
}

// packageAsked decides what flows ask of packages of code. A refusal is an answer; an error is poison.
func (s State) packageAsked(e PackageAsked) (Outcome, error) {
	if p := named(e.Request); p != nil {
		if want := clusterdb.CodeKey(p.GetChecksum()); e.Key != want {
			return Outcome{}, engine.Poison("%s: record %q of %s: its key must be %q", ErrKey, e.Key, topics.PackageRequests, want)
		}
		if len(p.GetChecksum()) != 32 || len(p.GetSigner()) != 32 || p.GetName() == "" || p.GetVersion() == "" {
			return Outcome{}, invalid(ErrMalformed, "field package: name, version, and checksum and signer of 32 bytes are needed")
		}
	}
	switch op := e.Request.GetOperation().GetOperation().(type) {
	case *appv1.PackageRequest_FindMissing:
		return s.findMissing(op.FindMissing)
	case *appv1.PackageRequest_Read:
		return s.readCode(op.Read)
	case *appv1.PackageRequest_Put:
		return s.putCode(e, op.Put)
	default:
		return Outcome{}, refuse(rpcv1.ErrorKind_ERROR_KIND_INVALID, ErrMalformed, "unsupported", "this version of the database worker does not know the operation on packages: upgrade the cluster")
	}
}

func (s State) findMissing(r *appv1.FindMissingPackages) (o Outcome, err error) {
	if n := len(r.GetChecksums()); n > maxMissing {
		return o, invalid(ErrMalformed, "field checksums: %d are asked for, at most %d are allowed", n, maxMissing)
	}
	out := &appv1.MissingPackages{}
	for i, sum := range r.GetChecksums() {
		if len(sum) != 32 {
			return o, invalid(ErrMalformed, "field checksums: %d has %d bytes, a SHA-256 has 32", i, len(sum))
		}
		if !s.Files[clusterdb.CodeKey(sum)] {
			out.Checksums = append(out.Checksums, sum)
		}
	}
	return o, o.answer(out)
}

// readCode answers with a part of a package's file. A flow reads only what its own virtual node could verify by: no tenant
// reads another one's programs.
func (s State) readCode(r *appv1.ReadPackagePart) (o Outcome, err error) {
	p := r.GetPackage()
	switch {
	case s.Code == nil || s.Data == nil && r.GetPart() == 0:
		return o, notFound("the file of package %s %s (SHA-256 %s) is not kept here: upload a CPI with it", p.GetName(), p.GetVersion(), clusterdb.CodeKey(p.GetChecksum()))
	case !stands(s.Present, s.Code.GetCpk().GetName(), s.Code.GetCpk().GetSignerSummaryHash()):
		return o, refuse(rpcv1.ErrorKind_ERROR_KIND_FORBIDDEN, ErrPackage, TypePackageRefused, "package %s %s is not read by flows of virtual node %s, which has no package with contracts of that name and signers",
			s.Code.GetCpk().GetName(), s.Code.GetCpk().GetVersion(), s.VirtualNode.GetShortHash())
	case s.Data == nil:
		return o, invalid(ErrMalformed, "field part is %d: package %s %s has %d parts", r.GetPart(), p.GetName(), p.GetVersion(), partsOf(s.Code))
	}
	return o, o.answer(&appv1.PackagePart{Parts: partsOf(s.Code), Data: s.Data})
}

func partsOf(c *cpiv1.Code) uint32 {
	return uint32((c.GetSizeBytes() + CodePartBytes - 1) / CodePartBytes)
}

// stands tells whether one of a CPI's own packages with contracts has a name and signers: then it stands for other versions
// of that package.
func stands(own *cpiv1.Cpi, name, signer string) bool {
	with := map[string]bool{}
	for _, m := range own.GetModules() {
		with[string(m.GetSha256())] = len(m.GetContracts()) > 0
	}
	for _, k := range own.GetCpks() {
		if k.GetName() != name || k.GetSignerSummaryHash() != signer {
			continue
		}
		for _, sha := range k.GetModuleSha256S() {
			if with[string(sha)] {
				return true
			}
		}
	}
	return false
}

func refusePackage(format string, args ...any) *refusal {
	return refuse(rpcv1.ErrorKind_ERROR_KIND_INVALID, ErrPackage, TypePackageRefused, format, args...)
}

// ofPackage gives a refusal of what is in a file the word by which flows know it.
func ofPackage(err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	out := &refusal{proto.Clone(r.err).(*rpcv1.Error)}
	out.err.Type = TypePackageRefused
	return out
}

// putCode keeps a part that another party gave; with the last part the package is checked and taken.
func (s State) putCode(e PackageAsked, p *appv1.PutPackagePart) (o Outcome, err error) {
	of, id := p.GetPackage(), givenID(e.Request)
	what := fmt.Sprintf("package %s %s (SHA-256 %s)", of.GetName(), of.GetVersion(), clusterdb.CodeKey(of.GetChecksum()))
	if s.Code != nil && !s.Telling { // whoever brought it
		o.put(DropUpload{id})
		return o, o.answer(&appv1.PutPackageResult{Coming: p.GetPart()+1 < p.GetParts()}) // the rest is not needed
	}
	if done, err := s.goingOn(&o, e); done || err != nil {
		return o, err
	}
	signer := "SHA-256:" + clusterdb.CodeKey(of.GetSigner())
	last := p.GetPart()+1 == p.GetParts()
	switch {
	case s.VirtualNode == nil || s.Present == nil:
		return o, refusePackage("%s is not taken: virtual node %s has no package that stands for it", what, e.Request.GetVnode())
	case string(of.GetSigner()) == string(of.GetChecksum()):
		return o, refusePackage("%s is not taken from another party: nobody has signed it; let an operator upload it", what)
	case !stands(s.Present, of.GetName(), signer):
		return o, refusePackage("%s, signed by %s, is not taken from another party: virtual node %s has no package with contracts of that name and signers", what, signer, s.VirtualNode.GetShortHash())
	case p.GetParts() == 0 || p.GetParts() > maxGivenParts:
		return o, refusePackage("%s is not taken from another party: it has %d parts of %d bytes, 1 to %d are allowed; let an operator upload it", what, p.GetParts(), CodePartBytes, maxGivenParts)
	case p.GetPart() >= p.GetParts() || len(p.GetData()) == 0 || len(p.GetData()) > CodePartBytes || !last && len(p.GetData()) != CodePartBytes:
		return o, refusePackage("%s: part %d of %d has %d bytes: each but the last has %d", what, p.GetPart(), p.GetParts(), len(p.GetData()), CodePartBytes)
	case s.Given+uint64(len(p.GetData())) > s.Limits.Given:
		return o, refusePackage("%s is not taken now: packages that are not whole yet have %d bytes for virtual node %s, at most %d are kept; try again later", what, s.Given, s.VirtualNode.GetShortHash(), s.Limits.Given)
	case s.Code == nil && s.Received+uint64(p.GetParts()-1)*CodePartBytes > s.Limits.Received:
		return o, s.full(what)
	}
	o.put(PutGivenPart{Operation: id, Vnode: e.Request.GetVnode(), Part: p.GetPart(), Data: p.GetData()})
	if s.Parts < p.GetParts() {
		return o, o.answer(&appv1.PutPackageResult{Coming: s.Coming})
	}
	op := s.begin(id, operationv1.OperationKind_OPERATION_KIND_RECEIVE_PACKAGE, e.Key, clusterdb.Work{
		Step: stepVerify, Attempt: e.ID, Actor: "virtual node " + e.Request.GetVnode(), Reply: e.Reply, Request: e.ID, Parts: p.GetParts(), SHA256: of.GetChecksum(),
		Code: &clusterdb.Named{Name: of.GetName(), Version: of.GetVersion(), Signer: signer, Vnode: e.Request.GetVnode()},
	}, e.NowUs)
	o.goOn(op, stepVerify, stageOf(stepVerify))
	return o, nil
}

func (s State) full(what string) *refusal {
	return refusePackage("%s is not taken from another party: virtual node %s has taken %d bytes of packages so, at most %d are kept; let an operator upload it", what, s.VirtualNode.GetShortHash(), s.Received, s.Limits.Received)
}

// goingOn answers a record that comes again after the package was whole: who asked last is answered at the end.
func (s State) goingOn(o *Outcome, e PackageAsked) (done bool, err error) {
	switch op := s.Operation; {
	case op == nil:
		return false, nil
	case !op.Final():
		again := *op
		again.Work.Reply, again.Work.Request = e.Reply, e.ID
		o.put(PutOperation{&again})
		o.next(op.Status.GetRequestId())
		return true, nil
	case op.Work.Request == e.ID && op.Status.GetError() != "": // the same record: its answer was lost
		return true, &refusal{&rpcv1.Error{
			Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Kind: rpcv1.ErrorKind(op.Status.GetErrorKind()), Type: TypePackageRefused, Id: op.Status.GetErrorId(), Message: op.Status.GetError(),
		}}
	default: // a new attempt
		return false, nil
	}
}

// packageGoesOn decides what follows a step of a package that a flow has handed over.
func (s State) packageGoesOn(o *Outcome, op *clusterdb.Operation, e StepDone) error {
	switch e.Result.Step {
	case stepVerify:
		o.goOn(op, stepValidate, stageOf(stepValidate))
	case stepValidate:
		o.goOn(op, stepStore, stageOf(stepStore))
	case stepStore:
		c := e.Result.Code[0]
		if s.Code == nil && s.Received+c.GetSizeBytes() > s.Limits.Received {
			return s.end(o, op, e, s.full(fmt.Sprintf("package %s %s", c.GetCpk().GetName(), c.GetCpk().GetVersion())))
		}
		if s.Code == nil { // else another flow was first
			o.put(PutCode{Code: c, By: op.Work.Code.Vnode})
			o.Audit = append(o.Audit, clusterdb.Audit{
				Actor: op.Work.Actor, Action: "package.receive", Entity: EntityOf(topics.CpkInfo, op.Entity), RequestID: op.Status.GetRequestId(), After: c,
			})
		}
		op.Work.Entry = "0"
		o.goOn(op, stepPublish, stageOf(stepPublish))
	case stepPublish:
		return s.codePublished(o, op)
	default:
		return o.fail(op, fmt.Errorf("there is no step %s of a package that is handed over", e.Result.Step))
	}
	return nil
}

// codePublished tells the next parts of the package's modules, and at the end the package.
func (s State) codePublished(o *Outcome, op *clusterdb.Operation) error {
	more, err := o.chunks(op, keysOf(s.Code.GetModules()))
	if err != nil {
		return o.fail(op, err)
	}
	if more {
		o.goOn(op, stepPublish, stageOf(stepPublish))
		return nil
	}
	o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Fact, Topic: topics.CpkInfo, Key: op.Entity})
	o.put(DropUpload{op.Status.GetRequestId()})
	return o.succeed(op, stageOK)
}

// chunks tells the next parts of modules, and whether there are more.
func (o *Outcome) chunks(op *clusterdb.Operation, keys []string) (more bool, err error) {
	from, err := strconv.Atoi(op.Work.Entry)
	if err != nil {
		return false, fmt.Errorf("place %q in the package's parts: %w", op.Work.Entry, err)
	}
	to := min(from+publishedAtOnce, len(keys))
	for _, key := range keys[min(from, to):to] {
		o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Fact, Topic: topics.CpiChunks, Key: key})
	}
	op.Work.Entry = strconv.Itoa(to)
	return to < len(keys), nil
}

// codeKeys are the keys of topic cpk.info that a CPI's packages of code with contracts have.
func codeKeys(c *cpiv1.Cpi) []string {
	contracts := map[string]bool{}
	for _, m := range c.GetModules() {
		contracts[string(m.GetSha256())] = len(m.GetContracts()) > 0
	}
	var out []string
	for _, k := range c.GetCpks() {
		for _, sha := range k.GetModuleSha256S() {
			if contracts[string(sha)] && len(k.GetFileSha256()) == 32 {
				out = append(out, clusterdb.CodeKey(k.GetFileSha256()))
				break
			}
		}
	}
	return out
}

// isGiven tells whether an operation is of a package that a flow hands over. Its status is nobody's but the flow's.
func isGiven(id string) bool { return strings.HasPrefix(id, "package/") }
