package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/ledgerstore"
	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// ledger asks persistence for an operation on the ledger's tables. What cannot be right does not leave this worker;
// whether signatures are right is left to persistence, which must look anyway.
func (d *draft) ledger(i int, op *appv1.LedgerRequest, nowUs int64) {
	if op.GetOperation() == nil {
		d.note(OutcomeUnsupported)
		d.answerError(i, TypeUnsupported, "the operation on the ledger is not known to this cluster: upgrade it, or build the application with an older SDK", nowUs)
		return
	}
	if err := checkLedger(op); err != nil {
		d.answerError(i, TypeInvalid, err.Error(), nowUs)
		return
	}
	r := &persistencev1.Request{
		Vnode: d.Head.GetStart().GetVnode(), CpiChecksum: d.Head.GetCpiChecksum(), FlowId: d.id().String(),
		Operation: &persistencev1.Request_Ledger{Ledger: op},
	}
	d.request(i, r.GetFlowId(), r, nowUs)
}

// checkLedger tells what is wrong with the form of a request.
func checkLedger(r *appv1.LedgerRequest) error {
	switch op := r.GetOperation().(type) {
	case *appv1.LedgerRequest_PersistTransaction:
		tx, err := ledger.Decode(op.PersistTransaction.GetTransaction())
		if err != nil {
			return fmt.Errorf("transaction: %w", err)
		}
		for _, v := range op.PersistTransaction.GetVisible() {
			if n := len(tx.Content().Outputs); int64(v) >= int64(n) {
				return fmt.Errorf("visible: output %d is named, the transaction has %d", v, n)
			}
		}
		return errors.Join(checkStatus(op.PersistTransaction.GetStatus()), checkSignatures(op.PersistTransaction.GetSignatures()))
	case *appv1.LedgerRequest_UpdateStatus:
		return errors.Join(checkHash("id", op.UpdateStatus.GetId()), checkStatus(op.UpdateStatus.GetStatus()))
	case *appv1.LedgerRequest_FindTransaction:
		err := checkHash("id", op.FindTransaction.GetId())
		for _, s := range op.FindTransaction.GetStatuses() {
			err = errors.Join(err, checkStatus(s))
		}
		return err
	case *appv1.LedgerRequest_FindStatuses:
		for n, id := range op.FindStatuses.GetIds() {
			if err := checkHash(fmt.Sprintf("ids: %d", n), id); err != nil {
				return err
			}
		}
	case *appv1.LedgerRequest_FindOfStatus:
		return checkStatus(op.FindOfStatus.GetStatus())
	case *appv1.LedgerRequest_IncrementRepairAttempts:
		return checkHash("id", op.IncrementRepairAttempts.GetId())
	case *appv1.LedgerRequest_PersistSignatures:
		return errors.Join(checkHash("id", op.PersistSignatures.GetId()), checkSignatures(op.PersistSignatures.GetSignatures()))
	case *appv1.LedgerRequest_FindUnconsumedStates:
		if op.FindUnconsumedStates.GetType() == "" {
			return errors.New("type: it is empty")
		}
	case *appv1.LedgerRequest_ResolveStates:
		return checkRefs(op.ResolveStates.GetRefs())
	case *appv1.LedgerRequest_PersistFiltered:
		for n, t := range op.PersistFiltered.GetTransactions() {
			if _, err := ledger.DecodeFiltered(t.GetFiltered()); err != nil {
				return fmt.Errorf("transactions: %d: %w", n, err)
			}
			if err := checkSignatures(t.GetSignatures()); err != nil {
				return fmt.Errorf("transactions: %d: %w", n, err)
			}
		}
	case *appv1.LedgerRequest_FindFiltered:
		return checkRefs(op.FindFiltered.GetRefs())
	case *appv1.LedgerRequest_FindGroupParameters:
		return checkHash("hash", op.FindGroupParameters.GetHash())
	}
	return nil
}

func checkHash(field string, b []byte) error {
	if len(b) != len(ledger.Hash{}) {
		return fmt.Errorf("%s: it has %d bytes, a SHA-256 has %d", field, len(b), len(ledger.Hash{}))
	}
	return nil
}

func checkStatus(s appv1.TransactionStatus) error {
	if s < appv1.TransactionStatus_TRANSACTION_STATUS_UNVERIFIED || s > appv1.TransactionStatus_TRANSACTION_STATUS_DRAFT {
		return fmt.Errorf("status: %d is none of unverified, verified, invalid and draft", s)
	}
	return nil
}

func checkSignatures(all [][]byte) error {
	for n, b := range all {
		if _, err := ledger.DecodeSignature(b); err != nil {
			return fmt.Errorf("signatures: %d: %w", n, err)
		}
	}
	return nil
}

func checkRefs(refs []*ledgerv1.StateRef) error {
	for n, r := range refs {
		if err := checkHash(fmt.Sprintf("refs: %d", n), r.GetTransaction()); err != nil {
			return err
		}
	}
	return nil
}

// ledgerKey finds the key that transactions are signed with, and what a signature of it says.
func (t *turn) ledgerKey(op *appv1.SignTransactions) Known {
	known := t.signingKey(op.GetPublicKey(), "LEDGER", "NOTARY")
	if known.Refused != nil {
		return known
	}
	key := t.w.deps.Directory.findKeys(t.start().GetVnode(), [][]byte{op.GetPublicKey()}, "")
	if len(key) == 0 {
		return refused(TypeNotFound, "virtual node %s has no such key any more", t.start().GetVnode())
	}
	fitting, scheme := signing.Schemes(key[0].GetScheme()), op.GetScheme()
	if scheme == "" && len(fitting) > 0 {
		scheme = fitting[0]
	}
	if !slices.Contains(fitting, scheme) {
		return refused(TypeInvalid, "scheme: key %s is a %s key and cannot sign by %q; it signs by %s", key[0].GetKeyId(), key[0].GetScheme(), scheme, strings.Join(fitting, ", "))
	}
	known.Metadata = ledger.SignatureMetadata{Scheme: scheme, KeyID: ledger.KeyID(op.GetPublicKey()), PlatformVersion: uint32(t.w.cfg.PlatformVersion)}
	return known
}

// describeLedger tells what new transactions say of where they are made, and which states the packages take.
func (t *turn) describeLedger() Known {
	installed := ledgerstore.Installed(t.cpi())
	if len(installed) == 0 {
		return refused(TypeNotFound, "package %s has no contracts, so no transaction can be made with it: add a package with contracts to it", t.state.Head.GetCpiChecksum())
	}
	m := ledger.Metadata{LedgerVersion: ledger.Version, PlatformVersion: uint32(t.w.cfg.PlatformVersion), Packages: namesOf(installed)}
	out := &appv1.LedgerDescription{Metadata: m.Encode()}
	for _, p := range installed {
		out.Packages = append(out.Packages, &appv1.PackageDescription{Checksum: p.Checksum[:], CompatibleFrom: p.CompatibleFrom, Contracts: p.Contracts})
	}
	return t.result(out)
}

// namesOf are packages as transactions name them.
func namesOf(installed []ledger.Installed) (out []ledger.Package) {
	for _, p := range installed {
		out = append(out, p.Package)
	}
	return out
}

// signTransactions asks crypto for one signature of all the transactions. What it is of is kept in the journal, for the
// reply says nothing of it.
func (d *draft) signTransactions(i int, op *appv1.SignTransactions, known Known, nowUs int64) {
	ids, err := idsOf(op.GetIds())
	if err != nil {
		d.answerError(i, TypeInvalid, err.Error(), nowUs)
		return
	}
	m := known.Metadata
	m.TimeUs = nowUs
	root, proofs, err := ledger.BatchRoot(ids)
	if err != nil {
		d.answerError(i, TypeInvalid, "ids: "+err.Error(), nowUs)
		return
	}
	if n := len(ids) * signatureBytes(op.GetPublicKey(), m, proofs[0]); n > d.Rules.MaxResult {
		d.note(OutcomeTooLarge)
		d.answerError(i, TypeLimit, fmt.Sprintf("the signatures of %d transactions have some %d bytes, at most %d are allowed: sign fewer at once", len(ids), n, d.Rules.MaxResult), nowUs)
		return
	}
	d.change(i).PendingSignatures = &flowv1.PendingSignatures{Metadata: m.Encode(), Ids: op.GetIds()}
	d.request(i, known.VaultName, &cryptov1.Request{Tenant: d.Head.GetStart().GetVnode(), Operation: &cryptov1.Request_Sign{Sign: &cryptov1.Sign{
		Purpose: cryptov1.Purpose_PURPOSE_LEDGER, PublicKey: op.GetPublicKey(), Data: ledger.SignedBytes(root, m), Scheme: m.Scheme,
	}}}, nowUs)
}

// maxSignature is as long as a signature of the keys that are served is at most, bytes: RSA of 3072 bits.
const maxSignature = 384

// signatureBytes is how long a signature of a batch is at most, about.
func signatureBytes(key []byte, m ledger.SignatureMetadata, proof *ledger.BatchProof) int {
	s := ledger.Signature{By: key, Bytes: make([]byte, maxSignature), Metadata: m, Proof: proof}
	switch m.Scheme {
	case signing.EdDSA:
		s.Bytes = s.Bytes[:64]
	case signing.SHA256withECDSA, signing.SHA384withECDSA, signing.SHA512withECDSA:
		s.Bytes = s.Bytes[:72]
	}
	const frame = 8
	return len(s.Encode()) + frame
}

func idsOf(all [][]byte) ([]ledger.Hash, error) {
	out := make([]ledger.Hash, len(all))
	for n, b := range all {
		if err := checkHash(fmt.Sprintf("ids: %d", n), b); err != nil {
			return nil, err
		}
		out[n] = ledger.Hash(b)
	}
	return out, nil
}

// signed turns the reply to a request for signatures of transactions into one with these signatures; other replies it
// leaves as they are.
func (d *draft) signed(i int, r *rpcv1.Reply) *rpcv1.Reply {
	pending := d.Open[i].GetPendingSignatures()
	reply, ok := r.GetOutcome().(*rpcv1.Reply_Result)
	if pending == nil || !ok {
		return r
	}
	result, err := transactionSignatures(pending, reply.Result)
	if err != nil {
		return &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: &rpcv1.Error{
			Class: rpcv1.ErrorClass_ERROR_CLASS_APPLICATION, Type: TypePlatform, Message: "what the crypto worker signed is not a signature of these transactions: " + validText(err.Error()),
		}}}
	}
	return &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{Result: result}}
}

// transactionSignatures makes the signatures of transactions of the one that crypto made, and checks each.
func transactionSignatures(pending *flowv1.PendingSignatures, result []byte) ([]byte, error) {
	var made cryptov1.Signature
	if err := proto.Unmarshal(result, &made); err != nil {
		return nil, errors.New("it cannot be decoded") // the library's own words differ from build to build
	}
	m, err := ledger.DecodeSignatureMetadata(pending.GetMetadata())
	if err != nil {
		return nil, err
	}
	ids, err := idsOf(pending.GetIds())
	if err != nil {
		return nil, err
	}
	_, proofs, err := ledger.BatchRoot(ids)
	if err != nil {
		return nil, err
	}
	all := make([]ledger.Signature, len(ids))
	out := &appv1.TransactionSignatures{}
	for n, proof := range proofs {
		all[n] = ledger.Signature{By: made.GetPublicKey(), Bytes: made.GetSignature(), Metadata: m, Proof: proof}
		out.Signatures = append(out.Signatures, all[n].Encode())
	}
	if err := ledger.VerifyAll(ids, all); err != nil {
		return nil, err
	}
	return schemas.Marshal(out)
}
