package flow_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strconv"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// realPrivate is the private half of the key "real", which can sign.
var realPrivate = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))

func realKey() []byte {
	public, err := x509.MarshalPKIXPublicKey(realPrivate.Public())
	if err != nil {
		panic(err)
	}
	return public
}

// askLedger makes the request of a word that concerns the ledger, and tells whether it was one:
//
//	ledger store, ledger status N, ledger refs N, ledger garbage, ledger nothing, ledger visible, ledger signature, ledger proof,
//	ledger parameters, ledger type
//	transactions KEY N   signs as many, "short" has an id that is none; KEY:SCHEME chooses a scheme
//	package find, package read, package put, package nothing, package short, package nameless,
//	package unsigned
//	describe
func askLedger(r *appv1.Request, words []string) bool {
	switch words[0] {
	case "ledger":
		l := &appv1.LedgerRequest{}
		store := &appv1.PersistTransaction{Transaction: anyTransaction().Encode(), Status: appv1.TransactionStatus_TRANSACTION_STATUS_UNVERIFIED}
		switch words[1] {
		case "store":
			l.Operation = &appv1.LedgerRequest_PersistTransaction{PersistTransaction: store}
		case "visible":
			store.Visible = []uint32{1}
			l.Operation = &appv1.LedgerRequest_PersistTransaction{PersistTransaction: store}
		case "garbage":
			store.Transaction = []byte("xyz")
			l.Operation = &appv1.LedgerRequest_PersistTransaction{PersistTransaction: store}
		case "status":
			l.Operation = &appv1.LedgerRequest_UpdateStatus{UpdateStatus: &appv1.UpdateTransactionStatus{Id: make([]byte, 32), Status: appv1.TransactionStatus(number(words[2]))}}
		case "signature":
			l.Operation = &appv1.LedgerRequest_PersistSignatures{PersistSignatures: &appv1.PersistSignatures{Id: make([]byte, 32), Signatures: [][]byte{[]byte("xyz")}}}
		case "proof":
			l.Operation = &appv1.LedgerRequest_PersistFiltered{PersistFiltered: &appv1.PersistFilteredTransactions{Transactions: []*appv1.SignedFilteredTransaction{{Filtered: []byte("xyz")}}}}
		case "parameters":
			l.Operation = &appv1.LedgerRequest_FindGroupParameters{FindGroupParameters: &appv1.FindGroupParameters{Hash: []byte("xyz")}}
		case "type":
			l.Operation = &appv1.LedgerRequest_FindUnconsumedStates{FindUnconsumedStates: &appv1.FindUnconsumedStates{}}
		case "refs":
			l.Operation = &appv1.LedgerRequest_ResolveStates{ResolveStates: &appv1.ResolveStates{Refs: []*ledgerv1.StateRef{{Transaction: make([]byte, number(words[2]))}}}}
		}
		r.Operation = &appv1.Request_Ledger{Ledger: l}
	case "transactions":
		op := &appv1.SignTransactions{PublicKey: []byte(words[1])}
		if words[1] == "real" || words[1] == "real:SHA256withRSA" {
			op.PublicKey = realKey()
		}
		if words[1] == "real:SHA256withRSA" {
			op.Scheme = "SHA256withRSA"
		}
		if words[2] == "short" {
			op.Ids = [][]byte{{1, 2, 3}}
		} else {
			for n := range number(words[2]) {
				id := sha256.Sum256([]byte(strconv.Itoa(n)))
				op.Ids = append(op.Ids, id[:])
			}
		}
		r.Operation = &appv1.Request_SignTransactions{SignTransactions: op}
	case "package":
		r.Operation = &appv1.Request_Package{Package: askPackage(words[1])}
	case "describe":
		r.Operation = &appv1.Request_DescribeLedger{DescribeLedger: &appv1.DescribeLedger{}}
	default:
		return false
	}
	return true
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// signatureOf is what the crypto worker makes of a request; a wrong one is of other bytes.
func signatureOf(r *cryptov1.Request, wrong bool) *cryptov1.Signature {
	data := r.GetSign().GetData()
	if wrong {
		data = append(data, 0)
	}
	return &cryptov1.Signature{Signature: ed25519.Sign(realPrivate, data), KeyId: "real", Scheme: "EdDSA", PublicKey: realKey()}
}

// signedWell checks the signatures of transactions, and says what they are.
func signedWell(op *appv1.SignTransactions, all [][]byte) string {
	batch := 0
	for n, b := range all {
		s, err := ledger.DecodeSignature(b)
		if err == nil {
			err = s.Verify(ledger.Hash(op.GetIds()[n]))
		}
		if err != nil {
			return err.Error()
		}
		if s.Proof != nil {
			batch = s.Proof.Size
		}
	}
	return fmt.Sprintf("%d right of a batch of %d", len(all), batch)
}

// askPackage makes a request about packages of code.
func askPackage(word string) *appv1.PackageRequest {
	p := &appv1.NamedPackage{Name: "coins", Version: "1.0", Checksum: bytes.Repeat([]byte{0xF1}, 32), Signer: bytes.Repeat([]byte{0x5E}, 32)}
	switch word {
	case "find", "short":
		sum := p.GetChecksum()
		if word == "short" {
			sum = sum[:3]
		}
		return &appv1.PackageRequest{Operation: &appv1.PackageRequest_FindMissing{FindMissing: &appv1.FindMissingPackages{Checksums: [][]byte{p.GetChecksum(), sum}}}}
	case "read":
		return &appv1.PackageRequest{Operation: &appv1.PackageRequest_Read{Read: &appv1.ReadPackagePart{Package: p, Part: 3}}}
	case "put":
		return &appv1.PackageRequest{Operation: &appv1.PackageRequest_Put{Put: &appv1.PutPackagePart{Package: p, Part: 3, Parts: 5, Data: []byte("abc")}}}
	case "nameless":
		return &appv1.PackageRequest{Operation: &appv1.PackageRequest_Read{Read: &appv1.ReadPackagePart{Package: &appv1.NamedPackage{Checksum: p.GetChecksum(), Signer: p.GetSigner()}}}}
	case "unsigned":
		return &appv1.PackageRequest{Operation: &appv1.PackageRequest_Read{Read: &appv1.ReadPackagePart{Package: &appv1.NamedPackage{Name: "coins", Version: "1.0", Checksum: p.GetChecksum()}}}}
	default:
		return &appv1.PackageRequest{}
	}
}
