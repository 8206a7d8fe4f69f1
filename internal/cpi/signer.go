package cpi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Signer is who signed a package.
type Signer struct {
	// Certificate is the signer's own.
	Certificate *x509.Certificate
	// Chain are the other certificates of the signature.
	Chain []*x509.Certificate
	// SignedAt is the time that the signer claims; zero when it claims none. No authority vouches for it.
	SignedAt time.Time
}

// Name is the subject of the certificate, as it is hashed for [SummaryHash].
func (s Signer) Name() string { return subject(s.Certificate) }

// Fingerprint is SHA-256 of the certificate, upper-case hex.
func (s Signer) Fingerprint() string {
	sum := sha256.Sum256(s.Certificate.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func sortSigners(signers []Signer) {
	slices.SortFunc(signers, func(a, b Signer) int {
		return cmp.Or(cmp.Compare(a.Name(), b.Name()), bytes.Compare(a.Certificate.Raw, b.Certificate.Raw))
	})
}

// SummaryHash identifies a set of signers as Corda does: SHA-256 over the hashes of their certificates' subjects, sorted,
// each as SHA-256:<HEX>. So it stays when a certificate is renewed, and the same signers have the hash in fairlead that
// they have in Corda. Without signers it is empty.
func SummaryHash(signers []Signer) string {
	var hashes []string
	for _, s := range signers {
		hashes = append(hashes, named(sha256.Sum256([]byte(subject(s.Certificate)))))
	}
	if hashes == nil {
		return ""
	}
	slices.Sort(hashes)
	return named(sha256.Sum256([]byte(strings.Join(slices.Compact(hashes), ""))))
}

// named writes a hash as Corda does.
func named(sum [32]byte) string { return "SHA-256:" + strings.ToUpper(hex.EncodeToString(sum[:])) }

// subject writes the attributes C, ST, L, O, OU and CN of a certificate's subject, in this order, joined by commas. Others
// are left out. It is the text that Corda hashes; a test holds it against what Java writes.
func subject(c *x509.Certificate) string {
	var names pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &names); err != nil || len(rest) > 0 {
		// A parsed certificate has a subject that can be parsed; the bytes stand for one that has not.
		return hex.EncodeToString(c.RawSubject)
	}
	var parts []string
	for _, known := range []struct {
		oid int // the last number of 2.5.4.n
		key string
	}{{6, "C"}, {8, "ST"}, {7, "L"}, {10, "O"}, {11, "OU"}, {3, "CN"}} {
		oid := asn1.ObjectIdentifier{2, 5, 4, known.oid}
		var same []string
		for _, rdn := range names {
			for _, a := range rdn {
				if a.Type.Equal(oid) {
					same = append(same, known.key+"="+escape(fmt.Sprint(a.Value)))
				}
			}
		}
		slices.Reverse(same)
		parts = append(parts, same...)
	}
	return strings.Join(parts, ",")
}

func escape(v string) string {
	var b strings.Builder
	inner := strings.Trim(v, " ")
	lead := len(v) - len(strings.TrimLeft(v, " "))
	for i, r := range v {
		switch {
		case strings.ContainsRune(`,=+<>#;"\`, r), r == ' ' && (i < lead || i >= lead+len(inner)):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
