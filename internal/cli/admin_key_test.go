package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
)

// A key store in PEM is sent without its key.
func TestOnlyCertificates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for name, file := range map[string][]byte{"PEM": certificate, "DER": der, "a key store": append(bytes.Clone(private), certificate...)} {
		got, err := onlyCertificates(file)
		if err != nil || !bytes.Equal(got, certificate) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	for name, file := range map[string][]byte{"a key": private, "nothing": nil, "text": []byte("no certificate")} {
		if got, err := onlyCertificates(file); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}
