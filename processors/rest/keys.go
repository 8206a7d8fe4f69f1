package rest

import (
	"context"
	"encoding/pem"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// This file holds keys. Every key pair lies in Vault, whatever category: there is no HSM to assign, and asking for one
// is answered as if it had been.

const (
	varTenant   = "tenantid"
	varKey      = "keyid"
	varAlias    = "alias"
	varCategory = "hsmcategory"
	varHSM      = "category"
	varScheme   = "scheme"
)

func (s *Server) keyRoutes() []route {
	return []route{
		{
			method: http.MethodGet, pattern: "/key/{tenantid}",
			query:  []string{"skip", "take", "orderby", "category", "schemecodename", "alias", "masterkeyalias", "createdafter", "createdbefore", "id"},
			handle: s.listKeys,
		},
		{method: http.MethodGet, pattern: "/key/{tenantid}/{keyid}", handle: s.getKey},
		{method: http.MethodPost, pattern: "/key/{tenantid}/alias/{alias}/category/{hsmcategory}/scheme/{scheme}", handle: s.generateKey},
		{method: http.MethodGet, pattern: "/key/{tenantid}/schemes/{hsmcategory}", handle: s.schemes},
		{method: http.MethodPost, pattern: "/hsm/soft/{tenantid}/{category}", handle: s.hsm},
		{method: http.MethodGet, pattern: "/hsm/{tenantid}/{category}", handle: s.hsm},
	}
}

// Tenants that are not virtual nodes.
const (
	tenantP2P  = "p2p"
	tenantREST = "rest"
)

// categories are Corda's categories of keys.
func categories() []string {
	return []string{"ACCOUNTS", "CI", "LEDGER", "NOTARY", "PRE_AUTH", "SESSION_INIT", "TLS", "JWT_KEY", "ENCRYPTION_SECRET"}
}

// tenant reads the tenant of a path: a virtual node, or one of the cluster's own.
func (s *Server) tenant(c *call) (string, *failure) {
	t := c.vars[varTenant]
	if l := strings.ToLower(t); l == tenantP2P || l == tenantREST {
		return l, nil
	}
	v, fail := findVNode(s.parts.Views, t)
	if fail != nil {
		return "", fail
	}
	return v.GetShortHash(), nil
}

func parseCategory(s string) (string, *failure) {
	category := strings.ToUpper(s)
	if !slices.Contains(categories(), category) {
		return "", refuse(http.StatusBadRequest, idParameter, "Category '%s' is not known: use one of %s.", s, strings.Join(categories(), ", "))
	}
	return category, nil
}

// askCrypto asks the crypto worker.
func (s *Server) askCrypto(ctx context.Context, c *call, key string, r *cryptov1.Request) (*rpcv1.Reply, *failure) {
	return s.ask(ctx, c, Request{Topic: topics.CryptoAdmin, Key: key, Msg: r, Codec: schemas.Codec[*cryptov1.Request]()})
}

// keyMetadata is Corda's KeyMetaData.
type keyMetadata struct {
	KeyID     string  `json:"keyId"`
	Alias     string  `json:"alias"`
	Category  string  `json:"hsmCategory"`
	Scheme    string  `json:"scheme"`
	MasterKey *string `json:"masterKeyAlias"`
	Created   string  `json:"created"`
}

func (s *Server) keysOf(tenant string) []*cryptov1.Key {
	var out []*cryptov1.Key
	for _, m := range s.parts.Views.Keys.All() {
		if k, ok := m.(*cryptov1.Key); ok && k.GetTenant() == tenant {
			out = append(out, k)
		}
	}
	return out
}

// maxKeys is how many keys are listed unless fewer are asked for.
const maxKeys = 20

func (s *Server) listKeys(_ context.Context, c *call) (*answer, *failure) {
	tenant, fail := s.tenant(c)
	if fail != nil {
		return nil, fail
	}
	keys := s.keysOf(tenant)
	keep, fail := keyFilter(c)
	if fail != nil {
		return nil, fail
	}
	keys = slices.DeleteFunc(keys, func(k *cryptov1.Key) bool { return !keep(k) })
	if fail := sortKeys(keys, c.query.Get("orderby")); fail != nil {
		return nil, fail
	}
	skip, take := 0, maxKeys
	for name, into := range map[string]*int{"skip": &skip, "take": &take} {
		if text := c.query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return nil, refuse(http.StatusBadRequest, idParameter, "Query parameter %s '%s' must be a whole number from 0 on.", name, text)
			}
			*into = n
		}
	}
	keys = keys[min(skip, len(keys)):]
	keys = keys[:min(take, len(keys))]
	out := map[string]keyMetadata{}
	for _, k := range keys {
		out[k.GetKeyId()] = keyMetadata{
			KeyID: k.GetKeyId(), Alias: k.GetAlias(), Category: k.GetCategory(), Scheme: k.GetScheme(), Created: instant(k.GetCreatedAtUs()),
		}
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

// keyFilter makes the filter of a query.
func keyFilter(c *call) (func(*cryptov1.Key) bool, *failure) {
	var after, before int64
	for name, into := range map[string]*int64{"createdafter": &after, "createdbefore": &before} {
		if text := c.query.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				return nil, refuse(http.StatusBadRequest, idParameter, "Query parameter %s '%s' must be an instant such as 2027-01-31T00:00:00Z.", name, text)
			}
			*into = t.UnixMicro()
		}
	}
	q := c.query
	return func(k *cryptov1.Key) bool {
		return (!q.Has("category") || strings.EqualFold(k.GetCategory(), q.Get("category"))) &&
			(!q.Has("schemecodename") || strings.EqualFold(k.GetScheme(), q.Get("schemecodename"))) &&
			(!q.Has("alias") || k.GetAlias() == q.Get("alias")) &&
			(!q.Has("id") || slices.ContainsFunc(q["id"], func(id string) bool { return strings.EqualFold(id, k.GetKeyId()) })) &&
			(after == 0 || k.GetCreatedAtUs() >= after) && (before == 0 || k.GetCreatedAtUs() <= before)
	}, nil
}

// sortKeys orders keys by one of Corda's words; NONE, and none, is by id.
func sortKeys(keys []*cryptov1.Key, by string) *failure {
	field, descending := strings.CutSuffix(strings.ToUpper(by), "_DESC")
	of := map[string]func(*cryptov1.Key) string{
		"": (*cryptov1.Key).GetKeyId, "NONE": (*cryptov1.Key).GetKeyId, "ID": (*cryptov1.Key).GetKeyId, "ALIAS": (*cryptov1.Key).GetAlias,
		"CATEGORY": (*cryptov1.Key).GetCategory, "SCHEME_CODE_NAME": (*cryptov1.Key).GetScheme,
		"TIMESTAMP": func(k *cryptov1.Key) string { return instant(k.GetCreatedAtUs()) },
	}[field]
	if of == nil {
		return refuse(http.StatusBadRequest, idParameter, "Query parameter orderBy '%s' is not known: use NONE, ID, ALIAS, CATEGORY, SCHEME_CODE_NAME or TIMESTAMP, with _DESC behind it for the other way.", by)
	}
	slices.SortStableFunc(keys, func(a, b *cryptov1.Key) int {
		if descending {
			a, b = b, a
		}
		return strings.Compare(of(a), of(b))
	})
	return nil
}

func (s *Server) findKey(c *call) (*cryptov1.Key, *failure) {
	tenant, fail := s.tenant(c)
	if fail != nil {
		return nil, fail
	}
	id := strings.ToUpper(c.vars[varKey])
	k, ok := get[*cryptov1.Key](s.parts.Views.Keys, tenant+"/"+id)
	if !ok {
		return nil, refuse(http.StatusNotFound, idNoEntity, "Key '%s' of tenant '%s' not found.", c.vars[varKey], tenant)
	}
	return k, nil
}

// getKey answers the public key in PEM, as raw text.
func (s *Server) getKey(_ context.Context, c *call) (*answer, *failure) {
	k, fail := s.findKey(c)
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.GetPublicKey()}))}, nil
}

func (s *Server) generateKey(ctx context.Context, c *call) (*answer, *failure) {
	tenant, fail := s.tenant(c)
	if fail != nil {
		return nil, fail
	}
	category, fail := parseCategory(c.vars[varCategory])
	if fail != nil {
		return nil, fail
	}
	reply, fail := s.askCrypto(ctx, c, tenant, &cryptov1.Request{Tenant: tenant, Operation: &cryptov1.Request_GenerateKey{GenerateKey: &cryptov1.GenerateKey{
		Alias: c.vars[varAlias], Category: category, Scheme: strings.ToUpper(c.vars[varScheme]),
	}}})
	if fail != nil {
		return nil, fail
	}
	made, fail := result(reply, &cryptov1.GeneratedKey{})
	if fail != nil {
		return nil, fail
	}
	a := &answer{status: http.StatusOK, body: idResponse{made.GetKey().GetKeyId()}}
	if made.GetWarning() != "" {
		a.header = http.Header{"Warning": {"299 - " + strconv.Quote(made.GetWarning())}}
	}
	return a, nil
}

func (s *Server) schemes(ctx context.Context, c *call) (*answer, *failure) {
	tenant, fail := s.tenant(c)
	if fail != nil {
		return nil, fail
	}
	category, fail := parseCategory(c.vars[varCategory])
	if fail != nil {
		return nil, fail
	}
	reply, fail := s.askCrypto(ctx, c, tenant, &cryptov1.Request{Tenant: tenant, Operation: &cryptov1.Request_SupportedSchemes{SupportedSchemes: &cryptov1.SupportedSchemes{Category: category}}})
	if fail != nil {
		return nil, fail
	}
	list, fail := result(reply, &cryptov1.SchemeList{})
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: append([]string{}, list.GetSchemes()...)}, nil
}

// hsmAssociation is Corda's HsmAssociationInfo.
type hsmAssociation struct {
	ID           string  `json:"id"`
	HSM          string  `json:"hsmId"`
	Category     string  `json:"category"`
	MasterKey    *string `json:"masterKeyAlias"`
	DeprecatedAt int64   `json:"deprecatedAt"`
}

func (s *Server) hsm(_ context.Context, c *call) (*answer, *failure) {
	tenant, fail := s.tenant(c)
	if fail != nil {
		return nil, fail
	}
	category, fail := parseCategory(c.vars[varHSM])
	if fail != nil {
		return nil, fail
	}
	id := identity.V5(identity.Namespace(), []byte("hsm/"+tenant+"/"+category))
	return &answer{status: http.StatusOK, body: hsmAssociation{ID: id.String(), HSM: "VAULT", Category: category}}, nil
}
