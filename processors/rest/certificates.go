package rest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/identity"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
)

// This file holds certificates, and the requests for them that keys in Vault sign.

const varUsage = "usage"

// usages are what certificates are for, as Corda's paths have it.
func usages() []string { return []string{"code-signer", "p2p-session", "p2p-tls", "rest-tls"} }

func (s *Server) certificateRoutes() []route {
	var out []route
	for _, where := range []string{"/cluster/{usage}", "/vnode/{holdingidentityid}/{usage}"} {
		out = append(out,
			route{method: http.MethodPut, pattern: "/certificate" + where, upload: true, handle: s.importCertificate},
			route{method: http.MethodGet, pattern: "/certificate" + where, handle: s.listCertificates},
			route{method: http.MethodGet, pattern: "/certificate" + where + "/{alias}", handle: s.getCertificate})
	}
	out = append(out, route{method: http.MethodPost, pattern: "/certificate/{tenantid}/{keyid}", handle: s.certificateRequest})
	// Corda's documentation calls these by the names that only its 5.0 interface has.
	for _, r := range slices.Clone(out) {
		out = append(out, route{
			method: r.method, pattern: "/certificates" + strings.TrimPrefix(r.pattern, "/certificate"), upload: r.upload,
			handle: deprecated(r.handle, "/certificate"), alias: "/certificates/", canonical: "/certificate/",
		})
	}
	for _, r := range s.keyRoutes() {
		if rest, ok := strings.CutPrefix(r.pattern, "/key/"); ok {
			out = append(out, route{method: r.method, pattern: "/keys/" + rest, query: r.query, handle: deprecated(r.handle, "/key"), alias: "/keys/", canonical: "/key/"})
		}
	}
	return out
}

// deprecated answers like h, and says what to call instead.
func deprecated(h handler, instead string) handler {
	return func(ctx context.Context, c *call) (*answer, *failure) {
		a, fail := h(ctx, c)
		warning := fmt.Sprintf("299 - %q", "this path is deprecated: use "+instead)
		if fail != nil {
			if fail.header == nil {
				fail.header = http.Header{}
			}
			fail.header.Add("Warning", warning)
			return nil, fail
		}
		if a.header == nil {
			a.header = http.Header{}
		}
		a.header.Add("Warning", warning)
		return a, nil
	}
}

// place reads what a certificate is for and whose it is.
func (s *Server) place(c *call) (usage, vnode string, fail *failure) {
	usage = strings.ToLower(c.vars[varUsage])
	if !slices.Contains(usages(), usage) {
		return "", "", refuse(http.StatusBadRequest, idParameter, "Usage '%s' is not known: use one of %s.", c.vars[varUsage], strings.Join(usages(), ", "))
	}
	if h := c.vars[varHoldingID]; h != "" {
		v, fail := findVNode(s.parts.Views, h)
		if fail != nil {
			return "", "", fail
		}
		vnode = v.GetShortHash()
	}
	return usage, vnode, nil
}

func certificateEntity(usage, vnode string) string { return "certificate/" + usage + "/" + vnode }

func (s *Server) importCertificate(ctx context.Context, c *call) (*answer, *failure) {
	usage, vnode, fail := s.place(c)
	if fail != nil {
		return nil, fail
	}
	f, fail := readForm(c.parts, "alias", "certificate")
	if fail != nil {
		return nil, fail
	}
	alias, fail := f.one("alias")
	if fail != nil {
		return nil, fail
	}
	chain, fail := readChain(f["certificate"])
	if fail != nil {
		return nil, fail
	}
	request := &dbv1.Request{Operation: &dbv1.Request_ImportCertificate{ImportCertificate: &dbv1.ImportCertificate{Usage: usage, Vnode: vnode, Alias: alias, Chain: chain}}}
	if _, fail := s.change(ctx, c, certificateEntity(usage, vnode), request); fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusNoContent}, nil
}

// readChain reads certificates in PEM and returns them in one text, leaf first.
func readChain(texts []string) (string, *failure) {
	var out bytes.Buffer
	for _, text := range texts {
		rest := []byte(text)
		for len(bytes.TrimSpace(rest)) > 0 {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
				return "", refuse(http.StatusBadRequest, idMultipart, "Part 'certificate' must hold certificates in PEM and nothing else.")
			}
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return "", refuse(http.StatusBadRequest, idMultipart, "Part 'certificate': certificate %d cannot be read: %s.", bytes.Count(out.Bytes(), []byte("BEGIN"))+1, err)
			}
			if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
				return "", refuse(http.StatusInternalServerError, idInternal, "Writing a certificate: %s.", err)
			}
		}
	}
	if out.Len() == 0 {
		return "", refuse(http.StatusBadRequest, idMultipart, "Part 'certificate' is missing or empty.")
	}
	return out.String(), nil
}

func (s *Server) listCertificates(ctx context.Context, c *call) (*answer, *failure) {
	usage, vnode, fail := s.place(c)
	if fail != nil {
		return nil, fail
	}
	request := &dbv1.Request{Operation: &dbv1.Request_ListCertificates{ListCertificates: &dbv1.ListCertificates{Usage: usage, Vnode: vnode}}}
	return changeInto(ctx, s, c, certificateEntity(usage, vnode), request, &dbv1.CertificateAliases{}, http.StatusOK, func(m *dbv1.CertificateAliases) any {
		return append([]string{}, m.GetAliases()...)
	})
}

func (s *Server) getCertificate(ctx context.Context, c *call) (*answer, *failure) {
	usage, vnode, fail := s.place(c)
	if fail != nil {
		return nil, fail
	}
	request := &dbv1.Request{Operation: &dbv1.Request_GetCertificate{GetCertificate: &dbv1.GetCertificate{Usage: usage, Vnode: vnode, Alias: c.vars[varAlias]}}}
	return changeInto(ctx, s, c, certificateEntity(usage, vnode), request, &dbv1.CertificateChain{}, http.StatusOK, func(m *dbv1.CertificateChain) any { return m.GetChain() })
}

// certificateRequest answers a PKCS#10 request in PEM, as raw text, that the named key signed in Vault.
func (s *Server) certificateRequest(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "x500Name"
	k, fail := s.findKey(c)
	if fail != nil {
		return nil, fail
	}
	m, fail := parseObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	var name string
	var alternatives []string
	var more members
	if fail := m.read(parameter, needed("x500Name", &name), optional("subjectAlternativeNames", &alternatives), optional("contextMap", &more)); fail != nil {
		return nil, fail
	}
	subject, err := identity.ParseName(name)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, idParameter, "x500Name '%s': %s.", name, err)
	}
	template := &x509.CertificateRequest{Subject: distinguishedName(subject)}
	for _, a := range alternatives {
		if ip := net.ParseIP(a); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, a)
		}
	}
	public, err := x509.ParsePKIXPublicKey(k.GetPublicKey())
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, idInternal, "The public key of %s cannot be read: %s.", k.GetKeyId(), err)
	}
	signer := &vaultSigner{ctx: ctx, server: s, call: c, key: k, public: public}
	der, err := x509.CreateCertificateRequest(nil, template, signer)
	switch {
	case signer.fail != nil:
		return nil, signer.fail
	case err != nil:
		return nil, refuse(http.StatusBadRequest, idParameter, "The request cannot be made: %s.", err)
	}
	return &answer{status: http.StatusOK, body: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}, nil
}

// distinguishedName is a name as certificates have it.
func distinguishedName(n identity.Name) pkix.Name {
	one := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	return pkix.Name{
		CommonName: n.CommonName, OrganizationalUnit: one(n.OrganizationalUnit), Organization: one(n.Organization),
		Locality: one(n.Locality), Province: one(n.State), Country: one(n.Country),
	}
}

// vaultSigner is a [crypto.MessageSigner] whose private half is in Vault.
type vaultSigner struct {
	ctx    context.Context //nolint:containedctx // the interface of package crypto has none
	server *Server
	call   *call
	key    *cryptov1.Key
	public crypto.PublicKey
	fail   *failure
}

func (v *vaultSigner) Public() crypto.PublicKey { return v.public }

// errWholeMessage is the answer to a caller that hashed before it asked.
var errWholeMessage = errors.New("keys in Vault sign whole messages, never a caller's digest")

func (v *vaultSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errWholeMessage
}

// SignMessage has the message signed by the crypto worker.
func (v *vaultSigner) SignMessage(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	reply, fail := v.server.askCrypto(v.ctx, v.call, v.key.GetVaultName(), &cryptov1.Request{Tenant: v.key.GetTenant(), Operation: &cryptov1.Request_Sign{Sign: &cryptov1.Sign{
		Purpose: cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST, KeyId: v.key.GetKeyId(), Data: message,
	}}})
	if fail == nil {
		var m *cryptov1.Signature
		if m, fail = result(reply, &cryptov1.Signature{}); fail == nil {
			return m.GetSignature(), nil
		}
	}
	v.fail = fail
	return nil, fail
}
