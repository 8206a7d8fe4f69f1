package crypto

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/signing"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Limits of a request.
const (
	// MaxAlias bounds an alias, in bytes.
	MaxAlias = 255
	// MaxSignatures bounds the signatures of one request.
	MaxSignatures = 1024
	// contentKey is the size of an envelope's content key, and sealedKey of what RSA-3072 makes of it, in bytes.
	contentKey, sealedKey = 32, 384
)

// keyPatienceUs is how long a signature waits for a key that this process has not seen: the requester may have seen it
// first. clockSkewUs is how far the requester's clock may be ahead.
const keyPatienceUs, clockSkewUs = 2_000_000, 1_000_000

// Step decides what one event does. It is pure: same arguments, same result.
func Step(s State, event Event) ([]Effect, error) {
	switch e := event.(type) {
	case Asked:
		return asked(s, e.Ask)
	case KeyMade:
		return keyMade(s, e), nil
	case SignaturesMade:
		return signaturesMade(e), nil
	case EnvelopeOpened:
		return envelopeOpened(e), nil
	case VaultRefused:
		f := fail(idVault, rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED, "vault-refused", "Vault refuses: %s", e.Reason)
		return respondError(f, Failed), nil
	default:
		return nil, engine.Poison("crypto: no rule for %T", event)
	}
}

// asked decides on a request. Whether the requester may ask comes before everything that looks at what is asked.
func asked(s State, a Ask) ([]Effect, error) {
	if a.DeadlineUs > 0 && a.NowUs > a.DeadlineUs {
		return []Effect{Note{Expired}}, nil
	}
	op, purpose := operation(a.Request)
	if op == "" {
		return nil, engine.Poison("%s: the request on %s has no operation that this version knows", idNoOperation, inputOf(a.Requester))
	}
	if !may(a.Requester, op, purpose, a.Request.GetTenant(), "") {
		return refuse(a, "", fail(idRefused, rpcv1.ErrorKind_ERROR_KIND_FORBIDDEN, "forbidden",
			"%s may not ask for %s for tenant %q", a.Requester, describe(op, purpose), a.Request.GetTenant())), nil
	}
	// Their rows lie in the partition of their tenant, and nowhere else.
	if (op == OpGenerate || op == OpList) && a.Key != a.Request.GetTenant() {
		return respondError(invalid("the record's key is %q; requests that make or list keys are keyed by their tenant, %q", a.Key, a.Request.GetTenant()), Failed), nil
	}
	switch o := a.Request.GetOperation().(type) {
	case *cryptov1.Request_GenerateKey:
		return generate(s, a, o.GenerateKey), nil
	case *cryptov1.Request_Sign:
		return sign(s, a, purpose, o.Sign.GetScheme(), [][]byte{o.Sign.GetData()}), nil
	case *cryptov1.Request_SignBatch:
		return sign(s, a, purpose, o.SignBatch.GetScheme(), o.SignBatch.GetData()), nil
	case *cryptov1.Request_OpenEnvelope:
		return open(s, a, o.OpenEnvelope), nil
	case *cryptov1.Request_SupportedSchemes:
		return supported(o.SupportedSchemes.GetCategory()), nil
	default:
		return respond(&cryptov1.KeyList{Keys: s.Listed}, Done), nil
	}
}

// operation names what a request asks for; empty when it is nothing known.
func operation(r *cryptov1.Request) (Operation, cryptov1.Purpose) {
	switch o := r.GetOperation().(type) {
	case *cryptov1.Request_GenerateKey:
		return OpGenerate, 0
	case *cryptov1.Request_Sign:
		return OpSign, o.Sign.GetPurpose()
	case *cryptov1.Request_SignBatch:
		return OpSign, o.SignBatch.GetPurpose()
	case *cryptov1.Request_ListKeys:
		return OpList, 0
	case *cryptov1.Request_SupportedSchemes:
		return OpSchemes, 0
	case *cryptov1.Request_OpenEnvelope:
		return OpOpen, 0
	default:
		return "", 0
	}
}

func describe(op Operation, p cryptov1.Purpose) string {
	if op != OpSign {
		return string(op)
	}
	return "signatures of purpose " + purposeName(p)
}

func purposeName(p cryptov1.Purpose) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(p.String(), "PURPOSE_"), "_", "-"))
}

// generate makes a key, or returns the one that has the alias.
func generate(s State, a Ask, g *cryptov1.GenerateKey) []Effect {
	if reason := wrongAlias(g.GetAlias()); reason != "" {
		return respondError(invalid("alias: %s", reason), Failed)
	}
	schemes := schemesOf(g.GetCategory())
	if schemes == nil {
		return respondError(invalid("category %q has no keys here; use one of %s", g.GetCategory(), strings.Join(categories(), ", ")), Failed)
	}
	if !may(a.Requester, OpGenerate, 0, a.Request.GetTenant(), g.GetCategory()) {
		return refuse(a, g.GetAlias(), fail(idRefused, rpcv1.ErrorKind_ERROR_KIND_FORBIDDEN, "forbidden",
			"%s may not make keys of category %s for tenant %q", a.Requester, g.GetCategory(), a.Request.GetTenant()))
	}
	if !slices.Contains(schemes, g.GetScheme()) {
		f := fail(idScheme, rpcv1.ErrorKind_ERROR_KIND_INVALID, "scheme-not-supported", "scheme %q is not served for category %s; use one of %s",
			g.GetScheme(), g.GetCategory(), strings.Join(schemes, ", "))
		f.Details = append(f.Details, &rpcv1.Detail{Name: "supported", Value: strings.Join(schemes, ",")})
		return respondError(f, Failed)
	}
	if s.Named != nil {
		return named(s.Named.GetKey(), g)
	}
	return []Effect{MakeKey{
		VaultName: a.Request.GetTenant() + "." + g.GetCategory() + "." + a.Place, Scheme: served(g.GetCategory(), g.GetScheme()), Asked: g.GetScheme(),
	}}
}

// wrongAlias says why an alias cannot be used, empty when it can.
func wrongAlias(alias string) string {
	switch {
	case alias == "":
		return "is empty"
	case len(alias) > MaxAlias:
		return fmt.Sprintf("has %d bytes, at most %d are allowed", len(alias), MaxAlias)
	case !utf8.ValidString(alias):
		return "is not UTF-8"
	case strings.ContainsFunc(alias, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "holds characters that cannot be printed"
	default:
		return ""
	}
}

// named answers a request for an alias that has a key.
func named(key *cryptov1.Key, g *cryptov1.GenerateKey) []Effect {
	before := key.GetRequestedScheme()
	if before == "" {
		before = key.GetScheme()
	}
	if key.GetCategory() != g.GetCategory() || before != g.GetScheme() {
		return respondError(fail(idConflict, rpcv1.ErrorKind_ERROR_KIND_CONFLICT, "alias-in-use",
			"alias %q of tenant %s has a key of category %s and scheme %s; use another alias, or ask for the same", key.GetAlias(), key.GetTenant(), key.GetCategory(), before), Failed)
	}
	return respondKey(key, Repeated)
}

// keyMade publishes a key that Vault has now.
func keyMade(s State, e KeyMade) []Effect {
	g := e.Request.GetGenerateKey()
	switch want := string(vaultType(e.Made.Scheme)); {
	case e.Type != want:
		return refuse(e.Ask, g.GetAlias(), fail(idVaultKey, rpcv1.ErrorKind_ERROR_KIND_CONFLICT, "key-unusable",
			"Vault has a key of type %s under the name %s, which was to be of type %s: somebody else makes keys in this mount", e.Type, e.Made.VaultName, want))
	case e.Weakness != "":
		return refuse(e.Ask, g.GetAlias(), fail(idVaultKey, rpcv1.ErrorKind_ERROR_KIND_CONFLICT, "key-unusable",
			"Vault's key %s must not be used: %s", e.Made.VaultName, e.Weakness))
	}
	short, full := signing.KeyID(e.PublicKey)
	if s.Same != nil && s.Same.GetKey().GetFullId() != full {
		return respondError(fail(idCollision, rpcv1.ErrorKind_ERROR_KIND_CONFLICT, "key-id-in-use",
			"the new key has the id %s, which another key of tenant %s has: ask again under another alias", short, e.Request.GetTenant()), Failed)
	}
	key := &cryptov1.Key{
		Tenant: e.Request.GetTenant(), KeyId: short, FullId: full, Alias: g.GetAlias(), Category: g.GetCategory(), Scheme: e.Made.Scheme,
		PublicKey: e.PublicKey, VaultName: e.Made.VaultName, CreatedAtUs: e.NowUs, Version: 1,
	}
	if e.Made.Asked != e.Made.Scheme {
		key.RequestedScheme = e.Made.Asked
	}
	out := append([]Effect{Reserve{key}}, respondKey(key, Done)...)
	return append(out, Audit{entry(e.Ask, key.GetKeyId(), nil)})
}

// respondKey answers with a key and names the fact to wait for.
func respondKey(key *cryptov1.Key, o Outcome) []Effect {
	result := &cryptov1.GeneratedKey{Key: key}
	if key.GetRequestedScheme() != "" {
		result.Warning = fmt.Sprintf("%s was asked for; Vault has no key agreement, so a key of scheme %s serves category %s",
			key.GetRequestedScheme(), key.GetScheme(), key.GetCategory())
	}
	out := respond(result, o)
	out[0].(Respond).Reply.Facts = []*rpcv1.Fact{{Topic: topics.CryptoKeys, Key: keyPath(key.GetTenant(), key.GetKeyId()), Version: key.GetVersion()}}
	return out
}

// keyPath is the key of a record of crypto.keys.
func keyPath(tenant, keyID string) string { return tenant + "/" + keyID }

// keyOf returns the id of the key that a signature or an envelope asks for, empty for other requests, and when it asks
// for none or for two.
func keyOf(r *cryptov1.Request) string {
	id, public := "", []byte(nil)
	switch o := r.GetOperation().(type) {
	case *cryptov1.Request_Sign:
		id, public = o.Sign.GetKeyId(), o.Sign.GetPublicKey()
	case *cryptov1.Request_SignBatch:
		id, public = o.SignBatch.GetKeyId(), o.SignBatch.GetPublicKey()
	case *cryptov1.Request_OpenEnvelope:
		id = o.OpenEnvelope.GetKeyId()
	}
	id = strings.ToUpper(id)
	if len(public) == 0 {
		return id
	}
	short, _ := signing.KeyID(public)
	if id != "" && id != short {
		return ""
	}
	return short
}

// find returns the key, or what to do without it.
func find(s State, a Ask, op Operation, p cryptov1.Purpose, public []byte) (*cryptov1.Key, []Effect) {
	id := keyOf(a.Request)
	if id == "" {
		return nil, respondError(invalid("key_id and public_key: give one of them, or both of the same key"), Failed)
	}
	if s.Known == nil {
		if age := a.NowUs - a.SentUs; age > -clockSkewUs && age < keyPatienceUs {
			return nil, []Effect{WaitForKey{id}}
		}
	}
	_, full := signing.KeyID(public)
	if s.Known == nil || len(public) > 0 && s.Known.GetFullId() != full {
		return nil, respondError(fail(idNotFound, rpcv1.ErrorKind_ERROR_KIND_NOT_FOUND, "key-not-found", "tenant %s has no key %s", a.Request.GetTenant(), id), Failed)
	}
	if !may(a.Requester, op, p, a.Request.GetTenant(), s.Known.GetCategory()) {
		return nil, refuse(a, id, fail(idRefused, rpcv1.ErrorKind_ERROR_KIND_FORBIDDEN, "forbidden",
			"%s may not ask for %s with key %s of category %s", a.Requester, describe(op, p), id, s.Known.GetCategory()))
	}
	return s.Known, nil
}

// sign looks at key, scheme and bytes, in this order.
func sign(s State, a Ask, p cryptov1.Purpose, asked string, data [][]byte) []Effect {
	public := append(slices.Clone(a.Request.GetSign().GetPublicKey()), a.Request.GetSignBatch().GetPublicKey()...)
	key, otherwise := find(s, a, OpSign, p, public)
	if otherwise != nil {
		return otherwise
	}
	scheme, fitting, ok := signatureScheme(p, key.GetScheme(), asked)
	if !ok {
		return respondError(fail(idSignatureScheme, rpcv1.ErrorKind_ERROR_KIND_INVALID, "scheme-not-supported",
			"scheme %q does not fit a key of scheme %s for purpose %s; use one of %s", asked, key.GetScheme(), purposeName(p), strings.Join(fitting, ", ")), Failed)
	}
	if len(data) == 0 || len(data) > MaxSignatures {
		return respondError(invalid("data: %d things to sign; give 1 to %d", len(data), MaxSignatures), Failed)
	}
	messages := make([][]byte, len(data))
	for i, d := range data {
		message, err := signing.Check(p, key.GetTenant(), d, key.GetPublicKey())
		if err != nil {
			return refuse(a, key.GetKeyId(), fail(idBytes, rpcv1.ErrorKind_ERROR_KIND_INVALID, "not-of-purpose",
				"data %d is not of purpose %s: %s", i, purposeName(p), err.Error()))
		}
		messages[i] = message
	}
	return []Effect{MakeSignatures{Key: key, Scheme: scheme, Messages: messages}}
}

func signaturesMade(e SignaturesMade) []Effect {
	key := e.Made.Key
	if e.Request.GetSignBatch() != nil {
		return respond(&cryptov1.SignatureBatch{Signatures: e.Signatures, KeyId: key.GetKeyId(), Scheme: e.Made.Scheme, PublicKey: key.GetPublicKey()}, Done)
	}
	return respond(&cryptov1.Signature{Signature: e.Signatures[0], KeyId: key.GetKeyId(), Scheme: e.Made.Scheme, PublicKey: key.GetPublicKey()}, Done)
}

// open has an envelope's content key opened.
func open(s State, a Ask, o *cryptov1.OpenEnvelope) []Effect {
	if err := signing.CheckReplyKey(o.GetReplyTo()); err != nil {
		return respondError(invalid("reply_to is no X25519 public key: %s", err.Error()), Failed)
	}
	if n := len(o.GetSealedContentKey()); n != sealedKey {
		return respondError(invalid("sealed_content_key has %d bytes; RSA-3072 makes %d", n, sealedKey), Failed)
	}
	key, otherwise := find(s, a, OpOpen, 0, nil)
	if otherwise != nil {
		return otherwise
	}
	return []Effect{OpenEnvelope{Key: key, Sealed: o.GetSealedContentKey()}}
}

// envelopeOpened seals the content key to the process that asked. What is not of a content key's size is no envelope's.
func envelopeOpened(e EnvelopeOpened) []Effect {
	id := keyOf(e.Request)
	if len(e.Secret) != contentKey {
		return refuse(e.Ask, id, fail(idBytes, rpcv1.ErrorKind_ERROR_KIND_INVALID, "not-of-purpose", "what was sealed is no content key of %d bytes", contentKey))
	}
	return []Effect{RespondSealed{To: e.Request.GetOpenEnvelope().GetReplyTo(), Secret: e.Secret}, Audit{entry(e.Ask, id, nil)}, Note{Done}}
}

// supported lists the schemes of a category.
func supported(category string) []Effect {
	schemes := schemesOf(category)
	if schemes == nil {
		return respondError(invalid("category %q has no keys here; use one of %s", category, strings.Join(categories(), ", ")), Failed)
	}
	return respond(&cryptov1.SchemeList{Schemes: schemes}, Done)
}
