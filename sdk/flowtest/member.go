package flowtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Member is a member of a network with its virtual node.
type Member struct {
	net         *Network
	id          flow.Identity
	keys        []key
	rows        map[string][]row
	once        map[string]wire.Answer // what was answered to a persist with an id
	emitted     []Emitted
	faults      []failure
	unreachable bool
	notary      *notary
	published   map[string]string
	counted     counted
	ledger      *tables
	claims      []tokenClaim // some may have ended
	claimed     int
	own         *Package // that is installed, nil when every package counts as there
	code        map[ledger.Hash]Package
	given       map[given]map[uint32][]byte
	begun       []given // in their order
}

// key is a key pair of a member.
type key struct {
	private ed25519.PrivateKey
	wire.Key
}

// failure is what [Member.Fail] asks for.
type failure struct {
	operation string
	err       *flow.Error
}

// Emitted is a record that a flow wrote to an external channel.
type Emitted struct {
	Channel    string
	Key, Value []byte
	Headers    []flow.Header
	At         time.Time
}

func (n *Network) addMember(id flow.Identity) *Member {
	if id.GroupID == "" {
		id.GroupID = groupID
	}
	if id.ShortHash == "" {
		id.ShortHash = shortHash(id.X500Name, id.GroupID)
	}
	m := &Member{net: n, id: id, rows: map[string][]row{}, once: map[string]wire.Answer{}, published: map[string]string{}}
	n.members[id.X500Name] = m
	m.NewKey("LEDGER", "ledger")
	return m
}

// Name is the member's X.500 name in canonical form.
func (m *Member) Name() string { return m.id.X500Name }

// Identity is who the member's flows run as.
func (m *Member) Identity() flow.Identity { return m.id }

// NewKey gives the member another key pair (Ed25519) of a category such as LEDGER or NOTARY. Each member has one LEDGER
// key with the alias "ledger" from the start.
func (m *Member) NewKey(category, alias string) flow.PublicKey {
	m.net.t.Helper()
	private := ed25519.NewKeyFromSeed(m.net.derive("key", m.id.X500Name+"\n"+alias, uint64(len(m.keys))))
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		m.net.t.Fatalf("flowtest: key %s of %s: %v", alias, m.Name(), err)
	}
	m.keys = append(m.keys, key{private, wire.Key{
		ID: keyID(public), PublicKey: public, Category: category, Scheme: "CORDA.EDDSA.ED25519", Alias: alias,
	}})
	return public
}

func keyID(public []byte) string {
	sum := sha256.Sum256(public)
	return strings.ToUpper(hex.EncodeToString(sum[:6]))
}

// Publish makes a value part of what the group knows of the member: a property of its [flow.Member]. A member with a key of
// category NOTARY publishes by itself, as on the platform, that it is a notary that does not verify contracts; one that does
// publishes "false" as notary.PropertyBackchain of package finality/notary.
func (m *Member) Publish(name, value string) { m.published[name] = value }

// information is what the group knows of the member.
func (m *Member) information() (out []wire.Property) {
	all := map[string]string{"corda.groupId": m.id.GroupID, "corda.name": m.id.X500Name, "corda.status": "ACTIVE"}
	notaries := 0
	for _, k := range m.keys {
		if k.Category == "NOTARY" {
			all[fmt.Sprintf("corda.notary.keys.%d.pem", notaries)] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.PublicKey}))
			notaries++
		}
	}
	if notaries > 0 {
		all["corda.notary.service.name"], all["corda.notary.service.backchain.required"] = m.id.X500Name, "true"
	}
	maps.Copy(all, m.published)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, wire.Property{Name: name, Value: all[name]})
	}
	return out
}

// Start starts the flow registered under class, with an argument that is encoded as JSON. It runs when the network does:
// see [Flow.Wait].
func (m *Member) Start(class string, input any, options ...Option) *Flow {
	m.net.t.Helper()
	b, err := json.Marshal(input)
	if err != nil {
		m.net.t.Fatalf("flowtest: the argument of flow %s: %v", class, err)
	}
	return m.StartJSON(class, string(b), options...)
}

// StartJSON is like Start with the argument as JSON.
func (m *Member) StartJSON(class, input string, options ...Option) *Flow {
	s := settingsOf(options)
	return m.begin(&wire.Start{
		FlowClass: class, Input: []byte(input), ClientRequestID: s.requestID, Properties: s.properties, Attempt: 1,
	}, s.fail)
}

// begin makes a flow ready to run.
func (m *Member) begin(start *wire.Start, fail map[int]*flow.Error) *Flow {
	n := m.net
	id := n.id(start.FlowClass)
	start.FlowID = id[:]
	start.Me = &wire.Identity{X500Name: m.id.X500Name, GroupID: m.id.GroupID, ShortHash: m.id.ShortHash}
	f := &Flow{m: m, id: id, start: start, fail: fail, toFlow: make(chan []wire.Answer), toNet: make(chan event), quit: make(chan struct{}), gone: make(chan struct{})}
	copy(f.seed[:], n.derive("seed", id.String(), 0))
	f.random = rand.NewChaCha8(f.seed)
	f.clock = n.now
	f.outcome.Began, f.outcome.Class = f.clock, start.FlowClass
	n.flows = append(n.flows, f)
	n.ready = append(n.ready, f)
	return f
}

// Flows are the flows that ran in the member's virtual node, responders included, in the order in which they began.
func (m *Member) Flows() []*Flow {
	var all []*Flow
	for _, f := range m.net.flows {
		if f.m == m {
			all = append(all, f)
		}
	}
	return all
}

// Fail answers the next request of an operation that a flow of the member makes with an error. The operations are called
// as in the guest interface: open_session, send, receive, close_session, session_info, sign, find_keys, check_signatures, persist,
// merge, remove, find, find_all, query, check_uniqueness, verify, ledger, sign_transactions, describe_ledger, package,
// claim_tokens, release_tokens, token_balance, lookup_members, emit, sleep, checkpoint. Each call is for one more request.
func (m *Member) Fail(operation string, err *flow.Error) {
	m.faults = append(m.faults, failure{operation, err})
}

// failNow takes the error that a request is to be answered with, nil for none.
func (m *Member) failNow(operation string) *flow.Error {
	i := slices.IndexFunc(m.faults, func(f failure) bool { return f.operation == operation })
	if i < 0 {
		return nil
	}
	err := m.faults[i].err
	m.faults = slices.Delete(m.faults, i, i+1)
	return err
}

// Unreachable loses all messages to and from the member, until it is called again with false. What is lost stays lost.
func (m *Member) Unreachable(yes bool) { m.unreachable = yes }

// Emitted are the records that the member's flows wrote to external channels.
func (m *Member) Emitted() []Emitted { return slices.Clone(m.emitted) }
