package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/fairleadio/fairlead/internal/cpi"
)

// DevFile is the name of the development key's file, in the user's configuration directory of fairlead.
const DevFile = "dev-signer.pem"

// devYears is how long its certificate lasts.
const devYears = 10

// Dev returns the key that signs for development and that fairlead dev trusts, from a file that only its owner can read.
// It is made when it is not there; its certificate, signed by itself, begins a day before now, because clocks differ.
func Dev(path string, now time.Time) (cpi.Key, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if raw, err = makeDev(path, now); err != nil {
			return cpi.Key{}, fmt.Errorf("make the development key: %w", err)
		}
	}
	if err != nil {
		return cpi.Key{}, fmt.Errorf("read the development key: %w", err)
	}
	k, err := Key(raw, "", "")
	if err != nil {
		return cpi.Key{}, fmt.Errorf("the development key in %s: %w; delete the file, and a new one is made", path, err)
	}
	return k, nil
}

func makeDev(path string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Development", Organization: []string{"fairlead dev"}, Locality: []string{"localhost"}, Country: []string{"GB"}},
		NotBefore: now.Add(-24 * time.Hour).UTC(), NotAfter: now.AddDate(devYears, 0, 0).UTC(), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = errors.Join(pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// Written aside and linked into place: of two processes that make it at once, both get the one that was first.
	f, err := os.CreateTemp(filepath.Dir(path), DevFile+"-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}
