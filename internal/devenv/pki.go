package devenv

import (
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
	"net"
	"os"
	"time"
)

// Lives of the certificates.
const (
	caLife    = 10 * 365 * 24 * time.Hour
	leafLife  = 90 * 24 * time.Hour
	leafRenew = 30 * 24 * time.Hour
	backdate  = time.Hour
	serialLen = 127
)

// tlsFiles are the certificates of a data directory.
type tlsFiles struct{ CA, Cert, Key string }

// certificates makes what is missing or about to end: a CA of this directory and a server certificate for this
// machine.
func (d *dataDir) certificates(host string, now time.Time) (tlsFiles, error) {
	f := tlsFiles{CA: d.join(tlsDir, "ca.pem"), Cert: d.join(tlsDir, "rest.pem"), Key: d.join(tlsDir, "rest-key.pem")}
	ca, caKey, err := readPair(f.CA, d.join(tlsDir, "ca-key.pem"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if ca == nil || now.Add(leafLife).After(ca.NotAfter) {
		template := &x509.Certificate{
			Subject: pkix.Name{Organization: []string{"fairlead dev"}, CommonName: "fairlead dev CA"}, NotAfter: now.Add(caLife),
			IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		if ca, caKey, err = issue(template, nil, nil, now, f.CA, d.join(tlsDir, "ca-key.pem")); err != nil {
			return f, err
		}
	}
	leaf, _, err := readPair(f.Cert, f.Key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if leaf != nil && now.Add(leafRenew).Before(leaf.NotAfter) && leaf.VerifyHostname(host) == nil && leaf.CheckSignatureFrom(ca) == nil {
		return f, nil
	}
	template := &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"fairlead dev"}, CommonName: "localhost"}, NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if host != "" && host != "localhost" {
		template.DNSNames = append(template.DNSNames, host)
	}
	_, _, err = issue(template, ca, caKey, now, f.Cert, f.Key)
	return f, err
}

// issue makes a key and its certificate, self-signed without parent.
func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, now time.Time, certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialLen))
	if err != nil {
		return nil, nil, fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber, template.NotBefore = serial, now.Add(-backdate)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, fmt.Errorf("making a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})); err != nil {
		return nil, nil, err
	}
	if err := writeFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the certificate just made: %w", err)
	}
	return cert, key, nil
}

func readPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a key: %w", err)
	}
	cb, _ := pem.Decode(certPEM)
	kb, _ := pem.Decode(keyPEM)
	if cb == nil || kb == nil {
		return nil, nil, fmt.Errorf("%s or %s is not PEM: remove both, and they are made again", certFile, keyFile)
	}
	cert, err := x509.ParseCertificate(cb.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(kb.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s is not a key that fairlead dev made: remove it, and it is made again", keyFile)
	}
	return cert, ec, nil
}
