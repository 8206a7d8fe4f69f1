package kafkaadmin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// selfSigned makes a certificate for this machine's own address.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestConnectWithTLSAndSCRAM(t *testing.T) {
	cert, text := selfSigned(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "ann", `a"b\c`))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.pem"), text)
	head := "bootstrap.servers=" + strings.Join(c.ListenAddrs(), ", ") + "\n# a comment\nsecurity.protocol=sasl_ssl\nsasl.mechanism=SCRAM-SHA-256\nssl.truststore.type=PEM\nssl.truststore.location=ca.pem\n"
	for name, credentials := range map[string]string{
		"librdkafka": "sasl.username=ann\nsasl.password=a\"b\\c\n",
		"java":       "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"ann\" password=\"a\\\"b\\\\c\";\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := kafkaadmin.ReadProperties(write(t, filepath.Join(dir, name), head+credentials))
			if err != nil {
				t.Fatal(err)
			}
			a, err := kafkaadmin.New(conn)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if _, err := a.Cluster(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWrongProperties(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"securiti.protocol=SSL":                                                                           "securiti.protocol is not known here",
		"security.protocol=TLS":                                                                           `security.protocol "TLS" is not known`,
		"security.protocol=SASL_SSL":                                                                      "set sasl.mechanism",
		"security.protocol=SASL_PLAINTEXT\nsasl.jaas.config=x":                                            "sasl.jaas.config has no username",
		"security.protocol=SSL\nssl.truststore.type=JKS":                                                  "convert the store to PEM",
		"security.protocol=SSL\nssl.ca.location=nowhere":                                                  "ssl.ca.location",
		"security.protocol=SSL\nssl.truststore.certificates=x":                                            "there is no PEM certificate in it",
		"security.protocol=SSL\nssl.keystore.certificate.chain=x":                                         "ssl.keystore",
		"ssl.endpoint.identification.algorithm=":                                                          "broker names are always checked",
		"bootstrap.servers=a:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=GSSAPI\nsasl.username=u": `sasl.mechanism "GSSAPI" is not supported`,
	} {
		c, err := kafkaadmin.ReadProperties(write(t, filepath.Join(dir, "p"), text))
		if err == nil {
			_, err = kafkaadmin.New(c)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := kafkaadmin.New(kafkaadmin.Connection{}); err == nil || !strings.Contains(err.Error(), "--brokers") {
		t.Errorf("no brokers: %v", err)
	}
	if _, err := kafkaadmin.ReadProperties(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file was read")
	}
}
