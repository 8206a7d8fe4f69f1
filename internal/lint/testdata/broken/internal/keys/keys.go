package keys

import (
	"crypto/ecdsa"
	ed "crypto/ed25519"
	. "crypto/rsa" // want: private-keys
	"crypto/tls"
	"crypto/x509"

	_ "golang.org/x/crypto/pkcs12" // want: private-keys
)

type holder struct {
	a *ecdsa.PrivateKey // want: private-keys
	b ed.PrivateKey     // want: private-keys
	c *PublicKey
	d *ecdsa.PublicKey
}

func load() {
	_, _ = tls.LoadX509KeyPair("a", "b")  // want: private-keys
	_, _ = x509.ParsePKCS8PrivateKey(nil) // want: private-keys
	_, _ = x509.ParsePKIXPublicKey(nil)
	_ = ed.NewKeyFromSeed // want: private-keys
}
