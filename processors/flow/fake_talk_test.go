package flow_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// talk makes the request of a word that concerns others, and tells whether it was one.
func (i *fakeInstance) talk(r *appv1.Request, words []string) bool {
	text := func(from int) []byte {
		s := strings.Join(words[min(from, len(words)):], " ")
		if len(i.got) > 0 {
			s = strings.ReplaceAll(s, "$last", i.got[len(i.got)-1])
		}
		if s == "$large" {
			s = strings.Repeat("x", 600<<10)
		}
		return []byte(s)
	}
	session := func() string {
		n, err := strconv.Atoi(words[1])
		if err != nil {
			panic(err)
		}
		if n >= len(i.sessions) {
			return "nowhere"
		}
		return i.sessions[n]
	}
	switch words[0] {
	case "open":
		open := &appv1.OpenSession{CounterpartyX500Name: "O=" + words[1] + ", L=London, C=GB", Protocol: words[2]}
		for _, v := range strings.Split(words[3], "/") {
			n, err := strconv.ParseUint(v, 10, 32)
			if err != nil {
				panic(err)
			}
			open.Versions = append(open.Versions, uint32(n))
		}
		if len(words) > 4 {
			open.CloseNotRequired = true
			open.Properties = []*appv1.Property{{Name: "mood", Value: words[4]}}
		}
		if len(words) > 5 {
			d, err := time.ParseDuration(words[5])
			if err != nil {
				panic(err)
			}
			open.TimeoutUs = d.Microseconds()
		}
		r.Operation = &appv1.Request_OpenSession{OpenSession: open}
	case "send":
		more := len(words) > 2 && words[2] == "more"
		from := 2
		if more {
			from = 3
		}
		r.Operation = &appv1.Request_Send{Send: &appv1.SendMessage{SessionId: session(), Payload: text(from), More: more}}
	case "receive":
		r.Operation = &appv1.Request_Receive{Receive: &appv1.ReceiveMessage{SessionId: session()}}
	case "close":
		r.Operation = &appv1.Request_CloseSession{CloseSession: &appv1.CloseSession{SessionId: session()}}
	case "info":
		r.Operation = &appv1.Request_SessionInfo{SessionInfo: &appv1.SessionInfo{SessionId: session()}}
	case "sign":
		r.Operation = &appv1.Request_Sign{Sign: &appv1.Sign{Data: text(2), PublicKey: []byte(words[1])}}
	case "persist":
		r.Operation = &appv1.Request_Persist{Persist: &appv1.PersistRows{Table: words[1], Rows: [][]byte{text(2)}}}
	case "find":
		r.Operation = &appv1.Request_Find{Find: &appv1.FindRows{Table: words[1], Keys: [][]byte{text(2)}}}
	case "verify": // a transaction, garbage for one, or garbage for what proves its inputs
		op := &appv1.VerifyTransaction{Transaction: anyTransaction().Encode()}
		switch words[1] {
		case "garbage":
			op.Transaction = text(2)
		case "with":
			op.Sources = [][]byte{text(2)}
		case "stranger": // somebody else's code, by the right name
			op.Transaction = transactionOf(ledger.Package{Name: "p", Version: "1", Checksum: ledger.Hash{3}, Signer: ledger.Hash{4}}).Encode()
		case "own-and-stranger":
			op.Transaction = transactionOf(ownPackage, strangePackage).Encode()
		case "stranger-and-own":
			op.Transaction = transactionOf(strangePackage, ownPackage).Encode()
		}
		r.Operation = &appv1.Request_Verify{Verify: op}
	case "emit":
		r.Operation = &appv1.Request_Emit{Emit: &appv1.EmitMessage{
			Channel: words[1], Key: []byte("k"), Value: text(2), Headers: []*appv1.Property{{Name: "FL-cause", Value: "forged"}, {Name: "own", Value: "1"}},
		}}
	case "check":
		r.Operation = &appv1.Request_CheckUniqueness{CheckUniqueness: &appv1.CheckUniqueness{
			Mode: appv1.UniquenessMode_UNIQUENESS_MODE_CHECK, Transaction: text(1), Originator: "O=Forged, L=London, C=GB",
		}}
	case "claim":
		r.Operation = &appv1.Request_ClaimTokens{ClaimTokens: &appv1.ClaimTokens{Pool: pounds, Amount: string(text(1))}}
	case "release":
		release := &appv1.ReleaseTokens{Pool: pounds}
		for _, got := range i.got { // the last claim
			var c appv1.TokenClaim
			if proto.Unmarshal([]byte(got), &c) == nil && c.GetClaimId() != "" {
				release.ClaimId = c.GetClaimId()
			}
		}
		r.Operation = &appv1.Request_ReleaseTokens{ReleaseTokens: release}
	case "balance":
		r.Operation = &appv1.Request_TokenBalance{TokenBalance: &appv1.TokenBalance{Pool: pounds, TagRegex: strings.Join(words[1:], "")}}
	case "members":
		r.Operation = &appv1.Request_LookupMembers{LookupMembers: &appv1.LookupMembers{X500Names: named(words[1:])}}
	case "right":
		r.Operation = &appv1.Request_CheckSignatures{CheckSignatures: checks(words[1])}
	case "keys":
		r.Operation = &appv1.Request_FindKeys{FindKeys: &appv1.FindKeys{Category: strings.Join(words[1:], "")}}
	default:
		return askLedger(r, words)
	}
	return true
}

// pounds is the pool of programs.
var pounds = &appv1.TokenPool{Type: "cash", Symbol: "GBP", Issuer: slices.Repeat([]byte{7}, 32), Notary: "O=Notary, L=London, C=GB"}

// ownPackage is among those of programs that verify, strangePackage is not.
var (
	ownPackage     = ledger.Package{Name: "p", Version: "1", Checksum: ledger.Hash{1}, Signer: ledger.Hash{2}}
	strangePackage = ledger.Package{Name: "q", Version: "1", Checksum: ledger.Hash{3}, Signer: ledger.Hash{4}}
)

// anyTransaction makes one state.
func anyTransaction() *ledger.Transaction { return transactionOf(ownPackage) }

// transactionOf makes one that is to be verified by some packages.
func transactionOf(packages ...ledger.Package) *ledger.Transaction {
	tx, err := ledger.New(ledger.Content{
		Metadata: ledger.Metadata{LedgerVersion: ledger.Version, Packages: packages},
		Notary:   ledger.Notary{Name: "O=Notary, L=London, C=GB", Key: []byte("key")}, Window: ledger.TimeWindow{UntilUs: 1},
		Signatories: []ledger.PublicKey{[]byte("a")}, Commands: []ledger.Command{{Type: "issue", TypeVersion: 1}},
		Outputs: []ledger.State{{Type: "T", TypeVersion: 1, Contract: "C", Payload: []byte("{}"), Participants: []ledger.PublicKey{[]byte("a")}}},
	}, ledger.Salt{1})
	if err != nil {
		panic(err)
	}
	return tx
}

func named(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "c=GB, L=London, O=" + n
	}
	return out
}

// answered takes a result, and says in a word what it was.
func (i *fakeInstance) answered(r *appv1.Request, result []byte) string {
	read := func(m proto.Message) {
		if err := proto.Unmarshal(result, m); err != nil {
			panic(err)
		}
	}
	switch r.GetOperation().(type) {
	case *appv1.Request_OpenSession:
		var o appv1.OpenedSession
		read(&o)
		i.sessions = append(i.sessions, o.GetSessionId())
	case *appv1.Request_Receive:
		var m appv1.ReceivedMessage
		read(&m)
		text := string(m.GetPayload())
		if m.GetMore() {
			text += "+"
		}
		i.got = append(i.got, text)
	case *appv1.Request_ClaimTokens:
		i.got = append(i.got, string(result))
	case *appv1.Request_SessionInfo:
		var info appv1.SessionInfoResult
		read(&info)
		return fmt.Sprintf("%s %d %d", info.GetProtocol(), info.GetProtocolVersion(), len(info.GetProperties()))
	case *appv1.Request_LookupMembers:
		var m appv1.Members
		read(&m)
		var names []string
		for _, x := range m.GetMembers() {
			names = append(names, fmt.Sprintf("%s %s %d keys", x.GetX500Name(), x.GetStatus(), len(x.GetLedgerKeys())))
		}
		return strings.Join(names, "; ")
	case *appv1.Request_CheckSignatures:
		var c appv1.CheckedSignatures
		read(&c)
		verdicts := slices.Clone(c.GetVerdicts())
		return fmt.Sprintf("%d %v", len(verdicts), slices.Compact(verdicts))
	case *appv1.Request_FindKeys:
		var k appv1.Keys
		read(&k)
		var ids []string
		for _, x := range k.GetKeys() {
			ids = append(ids, x.GetId()+" "+x.GetCategory())
		}
		return strings.Join(ids, "; ")
	case *appv1.Request_Verify:
		var v appv1.Verification
		read(&v)
		return fmt.Sprintf("%s %d", v.GetStatus(), len(v.GetFailures()))
	case *appv1.Request_SignTransactions:
		var s appv1.TransactionSignatures
		read(&s)
		return signedWell(r.GetSignTransactions(), s.GetSignatures())
	case *appv1.Request_DescribeLedger:
		var d appv1.LedgerDescription
		read(&d)
		m, err := ledger.DecodeMetadata(d.GetMetadata())
		return fmt.Sprintf("ledger %d platform %d %s %s %.3s %.3s %v", m.LedgerVersion, m.PlatformVersion, m.Packages[0].Name, m.Packages[0].Version, m.Packages[0].Checksum, m.Packages[0].Signer, err) + fmt.Sprintf(" takes %.3x from [%s] of %v", d.GetPackages()[0].GetChecksum(), d.GetPackages()[0].GetCompatibleFrom(), d.GetPackages()[0].GetContracts())
	case *appv1.Request_Sign, *appv1.Request_Persist, *appv1.Request_Find, *appv1.Request_CheckUniqueness, *appv1.Request_Ledger, *appv1.Request_TokenBalance, *appv1.Request_Package:
		return "ok " + string(result)
	}
	return "ok"
}

// checks asks about a signature of "deal", or about as many as it says.
func checks(how string) *appv1.CheckSignatures {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		panic(err) // a key of this package's own
	}
	c := &appv1.SignatureCheck{PublicKey: der, Scheme: "EdDSA", Message: []byte("deal"), Signature: ed25519.Sign(private, []byte("deal"))}
	n, err := strconv.Atoi(how)
	if err != nil {
		n = 1
	}
	switch how {
	case "bad":
		c.Message = []byte("another deal")
	case "alien":
		c.Scheme = "SHA256withECDSA"
	}
	return &appv1.CheckSignatures{Checks: slices.Repeat([]*appv1.SignatureCheck{c}, n)}
}
