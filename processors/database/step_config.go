package database

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairleadio/fairlead/internal/sections"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	"github.com/fairleadio/fairlead/topics"
)

func (s State) putConfig(e Asked, r *dbv1.PutConfig) (Outcome, error) {
	var o Outcome
	if e.ConfigErr != nil {
		id := sections.ErrValue
		var which *sections.Error
		if errors.As(e.ConfigErr, &which) {
			id = which.ID
		}
		return o, invalid(id, "%v", e.ConfigErr)
	}
	if r.GetSchemaMajor() != sections.SchemaMajor || r.GetSchemaMinor() != sections.SchemaMinor {
		return o, invalid(sections.ErrVersion, "schema version %d.%d of section %s is not known: %d.%d is", r.GetSchemaMajor(), r.GetSchemaMinor(), r.GetSection(),
			sections.SchemaMajor, sections.SchemaMinor)
	}
	if have := s.Config.GetVersion(); r.GetVersion() != have {
		source := s.Config.GetSource()
		if source == "" {
			source = "{}"
		}
		return o, conflict(ErrVersion, "section %s has version %d, and the request was made for version %d: read it again", r.GetSection(), have, r.GetVersion()).
			with("config", source).with("version", strconv.FormatUint(have, 10)).
			with("schemaVersion", fmt.Sprintf("%d.%d", sections.SchemaMajor, sections.SchemaMinor))
	}
	c := &configv1.Configuration{
		Section: r.GetSection(), Value: e.Config.Value, Source: e.Config.Source, Version: s.Config.GetVersion() + 1,
		SchemaMajor: r.GetSchemaMajor(), SchemaMinor: r.GetSchemaMinor(), UpdatedAtUs: e.NowUs, UpdatedBy: e.Request.GetActor(),
	}
	put := PutConfig{Config: c}
	if e.Config.Secret {
		put.Submitted = r.GetConfig()
	}
	o.put(put)
	o.fact(topics.Config, c.GetSection(), c.GetVersion())
	e.audit(&o, "config.put", s.Config, c)
	return o, o.answer(&dbv1.PutConfigResult{Version: c.GetVersion(), Config: c.GetSource()})
}

// CodeSigner is the usage of certificates whose owners' packages are taken.
const CodeSigner = "code-signer"

func usages() []string { return []string{CodeSigner, "p2p-session", "p2p-tls", "rest-tls"} }

const maxChain = 64 << 10

func (s State) importCertificate(e Asked, r *dbv1.ImportCertificate) (Outcome, error) {
	var o Outcome
	if !slices.Contains(usages(), r.GetUsage()) {
		return o, invalid(ErrCertificate, "usage %q is not known: use one of %s", r.GetUsage(), strings.Join(usages(), ", "))
	}
	if err := text("the alias", r.GetAlias(), false); err != nil {
		return o, err
	}
	if r.GetVnode() != "" && s.VirtualNode == nil {
		return o, notFound("Virtual Node '%s' not found.", r.GetVnode())
	}
	if r.GetUsage() == CodeSigner && r.GetVnode() != "" {
		return o, invalid(ErrCertificate, "certificates of usage %s are the cluster's: leave the virtual node out", CodeSigner)
	}
	if _, err := ParseChain(r.GetChain()); err != nil {
		return o, invalid(ErrCertificate, "the certificate chain: %v", err)
	}
	o.put(PutCertificate{r})
	e.audit(&o, "certificate.import", nil, r)
	return o, o.answer(nil)
}

// ParseChain reads PEM certificates, leaf first, each issued by the next.
func ParseChain(text string) ([]*x509.Certificate, error) {
	if len(text) > maxChain {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(text), maxChain)
	}
	var out []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a PEM block of type %s: give certificates only", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no PEM block of type CERTIFICATE")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("something that is no PEM block follows the certificates")
	}
	for i := range out[1:] {
		if err := out[i].CheckSignatureFrom(out[i+1]); err != nil {
			return nil, fmt.Errorf("certificate %d was not issued by certificate %d: give the leaf first: %w", i+1, i+2, err)
		}
	}
	return out, nil
}

func (s State) listCertificates() (Outcome, error) {
	var o Outcome
	return o, o.answer(&dbv1.CertificateAliases{Aliases: s.Aliases})
}

func (s State) getCertificate(r *dbv1.GetCertificate) (Outcome, error) {
	var o Outcome
	if s.Chain == nil {
		return o, notFound("there is no certificate chain with usage %s and alias '%s'", r.GetUsage(), r.GetAlias())
	}
	return o, o.answer(&dbv1.CertificateChain{Chain: *s.Chain})
}
