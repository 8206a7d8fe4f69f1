package signing_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/signing"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
)

const vnode = "0123456789AB"

func purposes() []cryptov1.Purpose {
	var out []cryptov1.Purpose
	for n := range cryptov1.Purpose_name {
		if n != 0 {
			out = append(out, cryptov1.Purpose(n))
		}
	}
	slices.Sort(out)
	return out
}

// recorder is a key that writes down what it is asked to sign.
type recorder struct {
	crypto.Signer
	messages [][]byte
}

func (r *recorder) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	r.messages = append(r.messages, digest) // Ed25519 gets the whole message
	return r.Signer.Sign(random, digest, opts)
}

func newRecorder(t *testing.T) (*recorder, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &recorder{Signer: private}, der
}

// What Go's TLS and PKCS#10 have signed is what the purposes take, and nothing else's.
func TestRealStructures(t *testing.T) {
	server, serverKey := newRecorder(t)
	client, _ := newRecorder(t)
	certificate := func(r *recorder) tls.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"x"}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, r.Public(), r)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: r}
	}
	serverCert, clientCert := certificate(server), certificate(client)
	certificateBytes := server.messages[0]
	server.messages, client.messages = nil, nil
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(a, &tls.Config{Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true}).HandshakeContext(t.Context())
	}()
	if err := tls.Client(b, &tls.Config{Certificates: []tls.Certificate{clientCert}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}).HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x", Organization: []string{"Bank"}}, DNSNames: []string{"gateway.example.org"}}
	server.messages = server.messages[:1:1]
	if _, err := x509.CreateCertificateRequest(rand.Reader, template, server); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		of   cryptov1.Purpose
	}{
		"server's CertificateVerify": {server.messages[0], cryptov1.Purpose_PURPOSE_TLS_CERTIFICATE_VERIFY},
		"client's CertificateVerify": {client.messages[0], cryptov1.Purpose_PURPOSE_TLS_CERTIFICATE_VERIFY},
		"certification request":      {server.messages[1], cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST},
		"certificate":                {certificateBytes, cryptov1.Purpose_PURPOSE_UNSPECIFIED},
	} {
		for _, p := range purposes() {
			if p == cryptov1.Purpose_PURPOSE_APPLICATION {
				continue // takes everything, behind its prefix
			}
			if _, err := signing.Check(p, vnode, c.data, serverKey); (err == nil) != (p == c.of) {
				t.Errorf("%s as %s: %v", name, p, err)
			}
		}
	}
	if _, err := signing.Check(cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST, vnode, server.messages[1], []byte("another")); err == nil {
		t.Error("a request for another key was taken")
	}
}

func TestKeyID(t *testing.T) {
	short, full := signing.KeyID([]byte("abc"))
	if short != "BA7816BF8F01" || full != "SHA-256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD" {
		t.Errorf("%s %s", short, full)
	}
}

func TestVerify(t *testing.T) {
	message := []byte("message")
	digest := sha256.Sum256(message)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key    crypto.Signer
		scheme string
		opts   crypto.SignerOpts
		ok     bool
	}{
		{ec, signing.SHA256withECDSA, crypto.SHA256, true},
		{ec, "", crypto.SHA256, true},
		{ec, signing.SHA384withECDSA, crypto.SHA256, false},
		{ec, signing.EdDSA, crypto.SHA256, false},
		{other, signing.SHA256withECDSA, crypto.SHA256, false},
		{other, "", crypto.SHA256, false},
		{rs, signing.SHA256withRSA, crypto.SHA256, true},
		{rs, signing.SHA256withRSAandMGF1, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}, true},
		{rs, signing.SHA256withRSAandMGF1, crypto.SHA256, false},
		{ed, signing.EdDSA, crypto.Hash(0), true},
	} {
		signed := digest[:]
		if c.opts.HashFunc() == 0 {
			signed = message
		}
		signature, err := c.key.Sign(rand.Reader, signed, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(c.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := signing.Verify(der, c.scheme, message, signature); (err == nil) != c.ok {
			t.Errorf("%T %q: %v", c.key, c.scheme, err)
		}
		if c.ok && signing.Verify(der, c.scheme, []byte("massage"), signature) == nil {
			t.Errorf("%T %q: another message passes", c.key, c.scheme)
		}
	}
	if signing.Verify([]byte("no key"), "", message, nil) == nil {
		t.Error("no key verifies")
	}
}

func TestSealedReply(t *testing.T) {
	key, err := signing.NewReplyKey()
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("secret")
	sealed, err := signing.Seal(key.Public(), "request 1", secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed.GetCiphertext(), secret) {
		t.Error("it is not sealed")
	}
	if open, err := key.Open("request 1", sealed); err != nil || !bytes.Equal(open, secret) {
		t.Errorf("%q %v", open, err)
	}
	if _, err := key.Open("request 2", sealed); err == nil {
		t.Error("the reply to another request was taken")
	}
	other, err := signing.NewReplyKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open("request 1", sealed); err == nil {
		t.Error("another process opened it")
	}
	if _, err := signing.Seal([]byte("short"), "request 1", secret); err == nil {
		t.Error("sealed to nothing")
	}
}

// Whatever bytes come: what passes for one purpose passes for no other, and nothing panics.
func FuzzCheck(f *testing.F) {
	public := []byte{0x30, 0x03, 0x02, 0x01, 0x01}
	for _, seed := range [][]byte{
		[]byte(signing.LedgerPrefix + "x"), []byte(signing.LinkPrefix + "x"), []byte(signing.MemberPrefix + "x"), []byte(signing.GroupPrefix + "x"),
		append(append(bytes.Repeat([]byte{' '}, 64), "TLS 1.3, server CertificateVerify\x00"...), make([]byte, 32)...),
		{0x30, 0x0c, 0x02, 0x01, 0x00, 0x30, 0x00, 0x30, 0x03, 0x02, 0x01, 0x01, 0xa0, 0x00},
		signing.Application(vnode, []byte("x")), nil,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var passed []cryptov1.Purpose
		for _, p := range purposes() {
			message, err := signing.Check(p, vnode, data, public)
			if err != nil {
				continue
			}
			if p == cryptov1.Purpose_PURPOSE_APPLICATION {
				if !bytes.HasPrefix(message, []byte(signing.ApplicationPrefix)) {
					t.Errorf("an application got %q signed", message)
				}
				continue
			}
			if bytes.HasPrefix(message, []byte(signing.ApplicationPrefix)) {
				t.Errorf("%s signs what an application could have", p)
			}
			passed = append(passed, p)
		}
		if len(passed) > 1 {
			t.Errorf("%q passes for %v", data, passed)
		}
	})
}
