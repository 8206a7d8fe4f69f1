package keystore

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/fairleadio/fairlead/internal/cpi"
)

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The stores in testdata were written by keytool and openssl; see testdata/make.sh.
func TestStoresOfOthers(t *testing.T) {
	for _, c := range []struct {
		file, password, alias string
		names                 string // common names of the chain
		say                   string // in the error
	}{
		{"rsa.pfx", "changeit", "signer", "rsa", ""},
		{"rsa.pfx", "changeit", "SIGNER", "rsa", ""},
		{"rsa.pfx", "changeit", "", "rsa", ""},
		{"rsa.pfx", "wrong", "signer", "", "password of the key store is wrong"},
		{"rsa.pfx", "changeit", "other", "", `has no key "other": it has "signer"`},
		{"two.pfx", "changeit", "second", "second,root", ""},
		{"two.pfx", "changeit", "first", "first", ""},
		{"two.pfx", "changeit", "", "", `name one with --key: "first", "second"`},
		{"trusted.pfx", "changeit", "signer", "rsa", ""},
		{"trusted.pfx", "changeit", "other", "", `no key "other"`},
		{"legacy.pfx", "changeit", "signer", "rsa", ""},
		{"openssl.pfx", "secret", "pay", "openssl", ""},
		{"only-trusted.pfx", "changeit", "x", "", "no private key"},
		{"key.pem", "", "whatever", "openssl", ""},
		{"ed25519.pfx", "changeit", "signer", "", "use RSA or ECDSA"},
		{"old.jks", "changeit", "signer", "", "keytool -importkeystore"},
		{"encrypted.pem", "", "", "", "is encrypted"},
		{"make.sh", "", "", "", "neither PKCS#12 nor PEM"},
	} {
		k, err := Key(testdata(t, c.file), c.password, c.alias)
		if c.say != "" {
			if err == nil || !strings.Contains(err.Error(), c.say) {
				t.Errorf("%s %q: %v, want %q", c.file, c.alias, err, c.say)
			}
			continue
		}
		var names []string
		for _, x := range k.Chain {
			names = append(names, x.Subject.CommonName)
		}
		if err != nil || strings.Join(names, ",") != c.names {
			t.Errorf("%s %q: chain %v, %v; want %s", c.file, c.alias, names, err, c.names)
		}
	}
	for file, want := range map[string]int{"rsa.pfx": 1, "trusted.pfx": 2, "only-trusted.pfx": 1, "key.pem": 1, "two.pfx": 3} {
		if c, err := Certificates(testdata(t, file), map[bool]string{true: "changeit"}[strings.HasSuffix(file, "pfx")]); err != nil || len(c) != want {
			t.Errorf("%s: %d certificates, %v; want %d", file, len(c), err, want)
		}
	}
}

func TestDev(t *testing.T) {
	path, noon := filepath.Join(t.TempDir(), "a", DevFile), time.Now()
	keys := make([]cpi.Key, 8)
	var wait sync.WaitGroup
	for i := range keys {
		wait.Go(func() {
			var err error
			if keys[i], err = Dev(path, noon); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, k := range keys {
		if len(k.Chain) != 1 || !k.Chain[0].Equal(keys[0].Chain[0]) {
			t.Fatal("two development keys")
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// What it signs is trusted by its certificate.
	var b bytes.Buffer
	policy := []byte(`{"fileFormatVersion":1,"groupId":"CREATE_ID","registrationProtocol":"r","synchronisationProtocol":"s"}`)
	if err := cpi.WriteCPI(&b, "mgm", "1", policy, nil, keys[0]); err != nil {
		t.Fatal(err)
	}
	p, err := cpi.OpenBytes(b.Bytes(), cpi.Options{Trust: cpi.Trust{Roots: keys[0].Chain, At: noon}})
	if err != nil || p.Signers[0].Name() != "C=GB,L=localhost,O=fairlead dev,CN=Development" {
		t.Errorf("%+v, %v", p, err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dev(path, noon); err == nil || !strings.Contains(err.Error(), "delete the file") {
		t.Error(err)
	}
}

// A renewed certificate of the same key is the one that signs.
func TestRenewed(t *testing.T) {
	path, noon := filepath.Join(t.TempDir(), DevFile), time.Now()
	k, err := Dev(path, noon)
	if err != nil {
		t.Fatal(err)
	}
	old := *k.Chain[0]
	old.NotAfter = noon
	if got := chain(k.Signer, []*x509.Certificate{&old, k.Chain[0]}); len(got) == 0 || !slices.Contains(got, k.Chain[0]) || got[0] != k.Chain[0] {
		t.Errorf("%v", got)
	}
	store, err := pkcs12.Modern.Encode(k.Signer, k.Chain[0], nil, "pass")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Key(store, "pass", ""); err != nil {
		t.Error(err)
	}
}

func FuzzKey(f *testing.F) {
	for _, name := range []string{"openssl.pfx", "key.pem", "trusted.pfx"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		// Not PKCS#12: its own count of key derivations could make one input last for hours.
		if len(b) > 0 && b[0] != 0x30 {
			_, _ = Key(b, "changeit", "signer")
		}
	})
}
