package signing

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
)

// What the bytes of the purposes begin with. A NUL ends each, so that none is another's beginning.
const (
	// ApplicationPrefix begins what applications sign themselves; the short hash of their virtual node and a NUL follow.
	// The crypto worker puts it there: see [Application].
	ApplicationPrefix = "fairlead application signature v1\x00"
	// LedgerPrefix begins what is signed for the ledger: transactions, by parties and notaries.
	LedgerPrefix = "fairlead ledger signature v1\x00"
	// LinkPrefix begins the transcript of a link manager's handshake.
	LinkPrefix = "fairlead link handshake v1\x00"
	// MemberPrefix begins a member's context or registration.
	MemberPrefix = "fairlead member context v1\x00"
	// GroupPrefix begins group parameters and member records, signed by the manager of the group.
	GroupPrefix = "fairlead group v1\x00"
)

// prefixOf returns what bytes of a purpose must begin with, for the purposes that say it by a prefix of ours.
func prefixOf(p cryptov1.Purpose) (string, bool) {
	switch p {
	case cryptov1.Purpose_PURPOSE_LEDGER:
		return LedgerPrefix, true
	case cryptov1.Purpose_PURPOSE_LINK_HANDSHAKE:
		return LinkPrefix, true
	case cryptov1.Purpose_PURPOSE_MEMBER_CONTEXT:
		return MemberPrefix, true
	case cryptov1.Purpose_PURPOSE_GROUP:
		return GroupPrefix, true
	default:
		return "", false
	}
}

// Application returns what is signed when an application of a virtual node asks for data to be signed. Who checks such
// a signature builds the same bytes.
func Application(vnode string, data []byte) []byte {
	out := make([]byte, 0, len(ApplicationPrefix)+len(vnode)+1+len(data))
	out = append(out, ApplicationPrefix...)
	out = append(out, vnode...)
	out = append(out, 0)
	return append(out, data...)
}

// Check returns what is to be signed for a purpose: the data itself when it is of the purpose's form, and for
// applications the data behind their prefix. publicKey is the SubjectPublicKeyInfo of the signing key.
func Check(p cryptov1.Purpose, tenant string, data, publicKey []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("there is nothing to sign: data is empty")
	}
	if prefix, ok := prefixOf(p); ok {
		if !bytes.HasPrefix(data, []byte(prefix)) {
			return nil, fmt.Errorf("data must begin with %q", prefix)
		}
		if len(data) == len(prefix) {
			return nil, errors.New("there is nothing to sign behind the prefix")
		}
		return data, nil
	}
	switch p {
	case cryptov1.Purpose_PURPOSE_APPLICATION:
		return Application(tenant, data), nil
	case cryptov1.Purpose_PURPOSE_TLS_CERTIFICATE_VERIFY:
		return data, checkCertificateVerify(data)
	case cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST:
		return data, checkCertificateRequest(data, publicKey)
	default:
		return nil, fmt.Errorf("purpose %s is not known", p)
	}
}

// checkCertificateVerify takes exactly what RFC 8446, section 4.4.3, has signed: 64 spaces, the context, a NUL, and
// the transcript's hash, which has 32 or 48 bytes in all cipher suites of TLS 1.3.
func checkCertificateVerify(data []byte) error {
	rest, ok := bytes.CutPrefix(data, bytes.Repeat([]byte{' '}, 64))
	if !ok {
		return errors.New("it is no TLS 1.3 CertificateVerify: 64 spaces must come first")
	}
	for _, context := range []string{"TLS 1.3, server CertificateVerify\x00", "TLS 1.3, client CertificateVerify\x00"} {
		hash, ok := bytes.CutPrefix(rest, []byte(context))
		if !ok {
			continue
		}
		if len(hash) != 32 && len(hash) != 48 {
			return fmt.Errorf("it is no TLS 1.3 CertificateVerify: a transcript's hash has 32 or 48 bytes, not %d", len(hash))
		}
		return nil
	}
	return errors.New("it is no TLS 1.3 CertificateVerify: the context is neither the server's nor the client's")
}

// certificateRequest is the signed part of a PKCS#10 request (RFC 2986, section 4.1).
type certificateRequest struct {
	Version    int
	Subject    asn1.RawValue
	PublicKey  asn1.RawValue
	Attributes []asn1.RawValue `asn1:"tag:0"`
}

// checkCertificateRequest parses the request and compares its key.
func checkCertificateRequest(data, publicKey []byte) error {
	var request certificateRequest
	rest, err := asn1.Unmarshal(data, &request)
	if err != nil {
		// The parser's words are for those who write structures, not for those who send bytes.
		return errors.New("it is no PKCS#10 certification request (the part that is signed: version, subject, public key, attributes)")
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes follow the certification request", len(rest))
	}
	if request.Version != 0 {
		return fmt.Errorf("the certification request has version %d, not 0", request.Version)
	}
	var subject pkix.RDNSequence
	if rest, err := asn1.Unmarshal(request.Subject.FullBytes, &subject); err != nil || len(rest) > 0 {
		return errors.New("the certification request's subject is no name")
	}
	if !bytes.Equal(request.PublicKey.FullBytes, publicKey) {
		return errors.New("the certification request carries another public key than the one that signs it")
	}
	return nil
}
