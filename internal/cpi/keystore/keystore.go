package keystore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/fairleadio/fairlead/internal/cpi"
)

// store is what lies in a file.
type store struct {
	keys         []entry
	certificates []*x509.Certificate
}

// entry is a private key; its alias is empty where the file has none.
type entry struct {
	alias string
	key   crypto.Signer
}

// Key returns the key of an alias, with its chain. Without an alias it is the only key of the file.
func Key(file []byte, password, alias string) (cpi.Key, error) {
	s, err := read(file, password, alias)
	if err != nil {
		return cpi.Key{}, err
	}
	found := s.keys
	if alias != "" && slices.ContainsFunc(s.keys, func(e entry) bool { return e.alias != "" }) {
		found = slices.DeleteFunc(slices.Clone(s.keys), func(e entry) bool { return !strings.EqualFold(e.alias, alias) })
	}
	switch {
	case len(s.keys) == 0:
		return cpi.Key{}, errors.New("the key store has certificates only and no private key")
	case len(found) == 0:
		return cpi.Key{}, fmt.Errorf("the key store has no key %q: it has %s", alias, aliases(s.keys))
	case len(found) > 1:
		return cpi.Key{}, fmt.Errorf("the key store has several keys, name one with --key: %s", aliases(found))
	}
	k := cpi.Key{Signer: found[0].key, Chain: chain(found[0].key, s.certificates)}
	if len(k.Chain) == 0 {
		return cpi.Key{}, errors.New("the key store has no certificate of this key")
	}
	if err := k.Check(); err != nil {
		return cpi.Key{}, err
	}
	return k, nil
}

// Certificates returns all certificates of a file, those of its keys included.
func Certificates(file []byte, password string) ([]*x509.Certificate, error) {
	s, err := read(file, password, "")
	if err != nil {
		return nil, err
	}
	if len(s.certificates) == 0 {
		return nil, errors.New("the key store has no certificate")
	}
	return s.certificates, nil
}

func aliases(keys []entry) string {
	var out []string
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%q", k.alias))
	}
	return strings.Join(out, ", ")
}

// chain puts together the certificates of a key: its own, then issuers as far as the file has them.
func chain(key crypto.Signer, all []*x509.Certificate) []*x509.Certificate {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	var out []*x509.Certificate
	for _, c := range all {
		// Of several certificates of one key the last to end is the renewed one.
		if public.Equal(c.PublicKey) && (out == nil || c.NotAfter.After(out[0].NotAfter)) {
			out = []*x509.Certificate{c}
		}
	}
	for len(out) > 0 && len(out) <= len(all) {
		last := out[len(out)-1]
		next := slices.IndexFunc(all, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(out, c.Equal) && bytes.Equal(last.RawIssuer, c.RawSubject) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			break
		}
		out = append(out, all[next])
	}
	return out
}

func read(file []byte, password, alias string) (store, error) {
	switch {
	case bytes.HasPrefix(file, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(file, []byte{0xce, 0xce, 0xce, 0xce}):
		return store{}, errors.New("the key store has Java's old format JKS: convert it with keytool -importkeystore -srckeystore OLD -destkeystore NEW.pfx -deststoretype PKCS12")
	case bytes.Contains(file, []byte("-----BEGIN ")):
		return readPEM(file)
	case len(file) == 0 || file[0] != 0x30:
		return store{}, errors.New("the key store is neither PKCS#12 nor PEM")
	}
	s, err := readPKCS12(file, password, alias)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return s, errors.New("the password of the key store is wrong: give it with --storepass")
	}
	return s, err
}

func readPEM(file []byte) (store, error) {
	var s store
	for rest := file; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		switch b.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return s, fmt.Errorf("a certificate of the file: %w", err)
			}
			s.certificates = append(s.certificates, c)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if b.Headers["DEK-Info"] != "" {
				return s, errEncrypted
			}
			k, err := privateKey(b.Bytes)
			if err != nil {
				return s, err
			}
			s.keys = append(s.keys, entry{key: k})
		case "ENCRYPTED PRIVATE KEY":
			return s, errEncrypted
		}
	}
	if len(s.keys) == 0 && len(s.certificates) == 0 {
		return s, errors.New("the PEM file has neither a private key nor a certificate")
	}
	return s, nil
}

var errEncrypted = errors.New("the private key in the PEM file is encrypted: put it into PKCS#12 with openssl pkcs12 -export -inkey KEY -in CERTIFICATES -name ALIAS -out STORE.pfx")

// privateKey reads any of the three encodings.
func privateKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
		return nil, fmt.Errorf("the private key is a %T and cannot sign", k)
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("the private key is damaged or of a kind that is not known")
}

// readPKCS12 reads a store in the three ways that the library has: ToPEM tells aliases and takes several keys, and
// refuses the mark that Java puts on trusted certificates; DecodeChain takes the mark, one key, and tells no alias;
// DecodeTrustStore takes certificates only.
func readPKCS12(file []byte, password, alias string) (store, error) {
	var s store
	blocks, err := pkcs12.ToPEM(file, password) //nolint:staticcheck // It is deprecated for its encoding of keys, which privateKey reads; nothing else tells aliases.
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return s, err
	}
	if err == nil {
		for _, b := range blocks {
			if b.Type == "CERTIFICATE" {
				c, err := x509.ParseCertificate(b.Bytes)
				if err != nil {
					return s, fmt.Errorf("a certificate of the key store: %w", err)
				}
				s.certificates = append(s.certificates, c)
				continue
			}
			k, err := privateKey(b.Bytes)
			if err != nil {
				return s, err
			}
			s.keys = append(s.keys, entry{alias: b.Headers["friendlyName"], key: k})
		}
		return s, nil
	}
	key, own, others, chainErr := pkcs12.DecodeChain(file, password)
	if chainErr == nil {
		k, ok := key.(crypto.Signer)
		if !ok {
			return s, fmt.Errorf("the private key is a %T and cannot sign", key)
		}
		// The name of a key lies beside it in the clear.
		if alias != "" && !bytes.Contains(file, utf16BE(alias)) && !bytes.Contains(file, utf16BE(strings.ToLower(alias))) {
			return s, fmt.Errorf("the key store has no key %q", alias)
		}
		return store{keys: []entry{{key: k}}, certificates: append([]*x509.Certificate{own}, others...)}, nil
	}
	if trusted, trustErr := pkcs12.DecodeTrustStore(file, password); trustErr == nil {
		return store{certificates: trusted}, nil
	}
	if errors.Is(chainErr, pkcs12.ErrIncorrectPassword) {
		return s, chainErr
	}
	var structural asn1.StructuralError
	if errors.As(chainErr, &structural) {
		return s, fmt.Errorf("the key store is damaged: %w", chainErr)
	}
	return s, fmt.Errorf("the key store cannot be read (%s): export the one key with keytool -importkeystore -srckeystore STORE -srcalias ALIAS -destkeystore ONE.pfx -deststoretype PKCS12", strings.TrimPrefix(chainErr.Error(), "pkcs12: "))
}

func utf16BE(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}
