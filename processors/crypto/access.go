package crypto

import (
	"slices"

	"github.com/fairleadio/fairlead/identity"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Requester is a class of workers that write one of the inputs.
type Requester string

// The requesters.
const (
	Flows          Requester = "flow"
	Administrators Requester = "administrators"
	Gateways       Requester = "gateway"
	LinkManagers   Requester = "link-manager"
	Membership     Requester = "membership"
)

// inputOf returns the topic that a requester writes.
func inputOf(r Requester) string {
	switch r {
	case Flows:
		return topics.CryptoRequests
	case Administrators:
		return topics.CryptoAdmin
	case Gateways:
		return topics.CryptoTLS
	case LinkManagers:
		return topics.CryptoLink
	default:
		return topics.CryptoMembers
	}
}

// Requesters returns all of them.
func Requesters() []Requester {
	return []Requester{Flows, Administrators, Gateways, LinkManagers, Membership}
}

// Operation is what a request asks for. Batches of signatures are as signatures.
type Operation string

// The operations.
const (
	OpGenerate Operation = "generate-key"
	OpSign     Operation = "sign"
	OpList     Operation = "list-keys"
	OpSchemes  Operation = "supported-schemes"
	OpOpen     Operation = "open-envelope"
)

// Categories of keys, by Corda's names.
const (
	Accounts    = "ACCOUNTS"
	CI          = "CI"
	Ledger      = "LEDGER"
	Notary      = "NOTARY"
	PreAuth     = "PRE_AUTH"
	SessionInit = "SESSION_INIT"
	TLS         = "TLS"
)

// TenantKind is what kind of owner a key has.
type TenantKind string

// The kinds of tenants.
const (
	// Vnode is a virtual node, named by its short hash.
	Vnode TenantKind = "virtual node"
	// P2P is the cluster itself, tenant "p2p".
	P2P TenantKind = "p2p"
)

// Rule allows a requester an operation.
type Rule struct {
	Requester Requester
	Operation Operation
	// Purpose is set for signatures.
	Purpose cryptov1.Purpose
	// Categories are those of the keys that may be used or made; empty where no key is meant.
	Categories []string
	Tenants    []TenantKind
}

// Rules is the table of what each requester may ask for. There is nothing else.
//
// A gateway may use every TLS key, for gateway.tls.certs, which will say which of them are published, comes with the
// gateway; a link manager every session key, for p2p.hosted.identities comes with membership.
func Rules() []Rule {
	vnode, both := []TenantKind{Vnode}, []TenantKind{Vnode, P2P}
	const (
		application = cryptov1.Purpose_PURPOSE_APPLICATION
		ledger      = cryptov1.Purpose_PURPOSE_LEDGER
		verify      = cryptov1.Purpose_PURPOSE_TLS_CERTIFICATE_VERIFY
		link        = cryptov1.Purpose_PURPOSE_LINK_HANDSHAKE
		csr         = cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST
		member      = cryptov1.Purpose_PURPOSE_MEMBER_CONTEXT
		group       = cryptov1.Purpose_PURPOSE_GROUP
		none        = cryptov1.Purpose_PURPOSE_UNSPECIFIED
	)
	return []Rule{
		{Flows, OpSign, application, []string{Accounts, CI, Ledger}, vnode},
		{Flows, OpSign, ledger, []string{Accounts, CI, Ledger, Notary}, vnode},
		{Flows, OpGenerate, none, []string{Accounts, CI}, vnode},
		{Flows, OpList, none, nil, vnode},
		{Flows, OpSchemes, none, nil, vnode},

		{Administrators, OpGenerate, none, []string{Accounts, CI, Ledger, Notary, PreAuth}, vnode},
		{Administrators, OpGenerate, none, []string{SessionInit, TLS}, both},
		{Administrators, OpSign, csr, []string{SessionInit, TLS}, both},
		{Administrators, OpSign, csr, []string{Ledger, Notary}, vnode},
		{Administrators, OpList, none, nil, both},
		{Administrators, OpSchemes, none, nil, both},

		{Gateways, OpSign, verify, []string{TLS}, both},

		{LinkManagers, OpSign, link, []string{SessionInit}, both},

		{Membership, OpSign, member, []string{Ledger, Notary, SessionInit}, vnode},
		{Membership, OpSign, group, []string{SessionInit}, vnode},
		{Membership, OpGenerate, none, []string{Ledger, Notary, SessionInit}, vnode},
		{Membership, OpOpen, none, []string{PreAuth}, vnode},
		{Membership, OpList, none, nil, both},
		{Membership, OpSchemes, none, nil, vnode},
	}
}

// may tells whether a requester may ask this, whatever the key; and, when category is given, with such a key.
func may(r Requester, op Operation, p cryptov1.Purpose, tenant, category string) bool {
	kind := P2P
	if identity.IsShortHash(tenant) {
		kind = Vnode
	} else if tenant != string(P2P) {
		return false
	}
	return slices.ContainsFunc(Rules(), func(rule Rule) bool {
		return rule.Requester == r && rule.Operation == op && rule.Purpose == p && slices.Contains(rule.Tenants, kind) &&
			(category == "" || slices.Contains(rule.Categories, category))
	})
}
