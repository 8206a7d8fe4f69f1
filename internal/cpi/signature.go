package cpi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/fairleadio/fairlead/internal/cpi/archive"
)

// Trust says whose packages are taken. The zero value trusts nobody.
type Trust struct {
	// Roots are the certificates of trusted signers or of those who issued them.
	Roots []*x509.Certificate
	// AnySigner takes any signature that is right, whoever made it: for tools that show or repack a file. Certificates
	// are then not checked.
	AnySigner bool
	// Unsigned also takes packages without signatures: for tools that sign.
	Unsigned bool
	// At is when the certificates must be valid; zero means now.
	At time.Time
}

// Key signs packages.
type Key struct {
	// Signer is the private key, RSA of 2048 bits or more, or ECDSA on P-256, P-384 or P-521.
	Signer crypto.Signer
	// Chain begins with the certificate of the key; those who issued it follow, each issued by the next.
	Chain []*x509.Certificate
}

// Check refuses a key that does not fit its certificate or is of a kind that signatures cannot have.
func (k Key) Check() error {
	if k.Signer == nil || len(k.Chain) == 0 {
		return errors.New("a private key and its certificate are needed")
	}
	switch public := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		if public.Size() < 256 {
			return fmt.Errorf("the RSA key has %d bits: 2048 or more are needed", public.Size()*8)
		}
	case *ecdsa.PublicKey:
	default:
		return fmt.Errorf("the key is a %T: use RSA or ECDSA (keytool -genkeypair -keyalg RSA or EC)", public)
	}
	if public, ok := k.Chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(k.Signer.Public()) {
		return errors.New("the certificate is not of this private key")
	}
	for i, c := range k.Chain[1:] {
		if err := k.Chain[i].CheckSignatureFrom(c); err != nil {
			return fmt.Errorf("certificate %s was not issued by the next one in the chain, %s: %w", k.Chain[i].Subject, c.Subject, err)
		}
	}
	return nil
}

// signatureName is where the signature of a certificate lies: one signer, one file.
func signatureName(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return signatureFolder + hex.EncodeToString(sum[:8]) + signatureEnding
}

// sign makes a detached signature over a manifest.
func (k Key) sign(manifest []byte) ([]byte, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	s, err := pkcs7.NewSignedData(manifest)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := s.AddSignerChain(k.Chain[0], k.Signer, k.Chain[1:], pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	s.Detach()
	out, err := s.Finish()
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return out, nil
}

// isSignature tells whether an entry is a signature.
func isSignature(name string) bool {
	base, ok := strings.CutPrefix(name, signatureFolder)
	return ok && !strings.Contains(base, "/") && strings.HasSuffix(base, signatureEnding)
}

// verifySignatures checks all signatures of a package. Each must be right and, unless any signer is taken, of somebody who
// is trusted.
func verifySignatures(a *archive.Reader, manifest []byte, trust Trust) ([]Signer, error) {
	var entries []*archive.Entry
	for _, e := range a.Entries {
		if isSignature(e.Name) {
			entries = append(entries, e)
		}
	}
	if n := len(entries); n > maxSignatures {
		return nil, &Error{ID: ErrTooLarge, Detail: fmt.Sprintf("the package has %d signatures, at most %d are allowed", n, maxSignatures), Remedy: "sign it anew"}
	}
	var out []Signer
	for _, e := range entries {
		raw, err := e.ReadAll(maxSignature)
		if err != nil {
			return nil, ofArchive(err)
		}
		s, err := verifySignature(raw, manifest)
		if err != nil {
			return nil, &Error{ID: ErrSignature, Entry: e.Name, Detail: err.Error(), Remedy: "the package was changed after it was signed, or the signature is damaged; " + remedyAgain}
		}
		if want := signatureName(s.Certificate); e.Name != want {
			return nil, &Error{ID: ErrSignature, Entry: e.Name, Detail: "the signature of this certificate belongs into " + want, Remedy: "sign the package anew"}
		}
		if !trust.AnySigner {
			if err := trust.check(e.Name, s); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	if len(out) == 0 && !trust.Unsigned {
		return nil, &Error{ID: ErrUnsigned, Detail: "the package is not signed", Remedy: "sign it with fairlead app package sign"}
	}
	sortSigners(out)
	return out, nil
}

// verifySignature checks one detached signature and returns who made it.
func verifySignature(raw, manifest []byte) (Signer, error) {
	if err := checkDER(raw); err != nil {
		return Signer{}, err
	}
	p, err := pkcs7.Parse(raw)
	if err != nil {
		return Signer{}, fmt.Errorf("it is no PKCS#7 signature: %w", err)
	}
	if len(p.Content) != 0 {
		return Signer{}, errors.New("the signature has a content of its own")
	}
	certificate := p.GetOnlySigner()
	if certificate == nil {
		return Signer{}, fmt.Errorf("the signature has %d signers and must have one, with its certificate", len(p.Signers))
	}
	info := p.Signers[0]
	if oid := info.DigestAlgorithm.Algorithm; !oid.Equal(pkcs7.OIDDigestAlgorithmSHA256) && !oid.Equal(pkcs7.OIDDigestAlgorithmSHA384) && !oid.Equal(pkcs7.OIDDigestAlgorithmSHA512) {
		return Signer{}, fmt.Errorf("the signature uses digest %s: SHA-256, SHA-384 or SHA-512 is needed", oid)
	}
	if len(info.AuthenticatedAttributes) == 0 {
		return Signer{}, errors.New("the signature has no signed attributes")
	}
	p.Content = manifest
	if err := p.Verify(); err != nil {
		return Signer{}, fmt.Errorf("the signature does not fit: %s", strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "pkcs7: "))
	}
	s := Signer{Certificate: certificate}
	for _, c := range p.Certificates {
		if !c.Equal(certificate) {
			s.Chain = append(s.Chain, c)
		}
	}
	var at time.Time
	if err := p.UnmarshalSignedAttribute(pkcs7.OIDAttributeSigningTime, &at); err == nil {
		s.SignedAt = at.UTC()
	}
	return s, nil
}

// check tells whether a signer is trusted.
func (t Trust) check(entry string, s Signer) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range t.Roots {
		roots.AddCert(c)
	}
	for _, c := range s.Chain {
		others.AddCert(c)
	}
	_, err := s.Certificate.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: t.At, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Error{ID: ErrExpired, Entry: entry, Remedy: "sign the package anew with a certificate that is valid",
			Detail: fmt.Sprintf("the certificate of %s is valid from %s to %s only", subject(invalid.Cert), invalid.Cert.NotBefore.UTC().Format(time.DateOnly), invalid.Cert.NotAfter.UTC().Format(time.DateOnly))}
	}
	return &Error{ID: ErrUntrusted, Entry: entry, Detail: fmt.Sprintf("the signer %s is not trusted: %s", s.Name(), strings.TrimPrefix(err.Error(), "x509: ")),
		Remedy: "import the certificate of the signer or of its issuer as a code signer's (usage code-signer), or have the package signed by a trusted one"}
}

// maxDER is how deep a signature may be nested; real ones have some twelve levels.
const maxDER = 32

// checkDER refuses what is not one DER element, before a more lenient parser sees it.
func checkDER(b []byte) error {
	rest, err := walkDER(b, 0)
	if err == nil && len(rest) != 0 {
		err = errors.New("there is something behind it")
	}
	if err != nil {
		return fmt.Errorf("it is no PKCS#7 signature in DER: %w", err)
	}
	return nil
}

func walkDER(b []byte, depth int) (rest []byte, err error) {
	if depth == maxDER {
		return nil, fmt.Errorf("it is nested more than %d levels deep", maxDER)
	}
	var v asn1.RawValue
	if rest, err = asn1.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	for inner := v.Bytes; v.IsCompound && len(inner) > 0; {
		if inner, err = walkDER(inner, depth+1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}
