package kafkaadmin

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ReadProperties reads a Kafka client properties file, in the names of the Java client or of librdkafka. Files that it
// names are found relative to it. Unknown names are errors.
//
// Known are bootstrap.servers, client.id, security.protocol, sasl.mechanism(s), sasl.username, sasl.password,
// sasl.jaas.config (user and password of PlainLoginModule and ScramLoginModule), ssl.ca.location,
// ssl.certificate.location, ssl.key.location, ssl.truststore.location and ssl.keystore.location (type PEM),
// ssl.truststore.certificates, ssl.keystore.certificate.chain, ssl.keystore.key and
// ssl.endpoint.identification.algorithm.
func ReadProperties(path string) (Connection, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Connection{}, fmt.Errorf("read the Kafka client configuration: %w", err)
	}
	p := properties{dir: filepath.Dir(path), values: parseProperties(raw)}
	c, err := p.connection()
	if err != nil {
		return Connection{}, fmt.Errorf("Kafka client configuration %s: %w", path, err)
	}
	return c, nil
}

type properties struct {
	dir    string
	values map[string]string
}

// parseProperties reads name=value lines; # and ! begin comments, a backslash at a line's end continues it.
func parseProperties(raw []byte) map[string]string {
	out := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	pending := ""
	for lines.Scan() {
		line := pending + strings.TrimSpace(lines.Text())
		pending = ""
		if cut, more := strings.CutSuffix(line, `\`); more && !strings.HasSuffix(cut, `\`) {
			pending = cut
			continue
		}
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		out[strings.TrimSpace(name)] = strings.ReplaceAll(strings.TrimSpace(value), `\n`, "\n")
	}
	return out
}

// take returns a value and marks it as known.
func (p properties) take(names ...string) string {
	out := ""
	for _, n := range names {
		if v, ok := p.values[n]; ok {
			out = v
			delete(p.values, n)
		}
	}
	return out
}

func (p properties) connection() (Connection, error) {
	c := Connection{ClientID: p.take("client.id")}
	for _, b := range strings.Split(p.take("bootstrap.servers", "metadata.broker.list"), ",") {
		if b = strings.TrimSpace(b); b != "" {
			c.Brokers = append(c.Brokers, b)
		}
	}
	protocol := strings.ToUpper(p.take("security.protocol"))
	withTLS, withSASL := false, false
	switch protocol {
	case "", "PLAINTEXT":
	case "SSL":
		withTLS = true
	case "SASL_PLAINTEXT":
		withSASL = true
	case "SASL_SSL":
		withTLS, withSASL = true, true
	default:
		return c, fmt.Errorf("security.protocol %q is not known: use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", protocol)
	}
	sasl, err := p.sasl()
	if err != nil {
		return c, err
	}
	config, err := p.tls()
	if err != nil {
		return c, err
	}
	for name := range p.values {
		return c, fmt.Errorf("%s is not known here: take it out", name)
	}
	if withSASL {
		if sasl.User == "" || sasl.Mechanism == "" {
			return c, errors.New("security.protocol asks for SASL: set sasl.mechanism, and sasl.username and sasl.password or sasl.jaas.config")
		}
		c.SASL = &sasl
	}
	if withTLS {
		c.TLS = config
	}
	return c, nil
}

func (p properties) sasl() (SASL, error) {
	s := SASL{
		Mechanism: strings.ToUpper(p.take("sasl.mechanism", "sasl.mechanisms")),
		User:      p.take("sasl.username"),
		Password:  p.take("sasl.password"),
	}
	jaas := p.take("sasl.jaas.config")
	if jaas == "" {
		return s, nil
	}
	user := regexp.MustCompile(`\busername="((?:[^"\\]|\\.)*)"`).FindStringSubmatch(jaas)
	password := regexp.MustCompile(`\bpassword="((?:[^"\\]|\\.)*)"`).FindStringSubmatch(jaas)
	if user == nil || password == nil {
		return s, errors.New(`sasl.jaas.config has no username="…" and password="…"`)
	}
	s.User, s.Password = unescape(user[1]), unescape(password[1])
	return s, nil
}

func unescape(s string) string { return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s) }

func (p properties) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, kind := range []string{"ssl.truststore.type", "ssl.keystore.type"} {
		if t := p.take(kind); t != "" && !strings.EqualFold(t, "PEM") {
			return nil, fmt.Errorf("%s %s is not supported: convert the store to PEM", kind, t)
		}
	}
	ca, err := p.pem("ssl.truststore.certificates", "ssl.ca.location", "ssl.truststore.location")
	if err != nil {
		return nil, err
	}
	if ca != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("ssl.truststore: there is no PEM certificate in it")
		}
	}
	chain, err := p.pem("ssl.keystore.certificate.chain", "ssl.certificate.location", "ssl.keystore.location")
	if err != nil {
		return nil, err
	}
	key, err := p.pem("ssl.keystore.key", "ssl.key.location", "")
	if err != nil {
		return nil, err
	}
	if chain != nil {
		if key == nil {
			key = chain // a PEM key store holds both
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return nil, fmt.Errorf("ssl.keystore: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if v, ok := p.values["ssl.endpoint.identification.algorithm"]; ok {
		delete(p.values, "ssl.endpoint.identification.algorithm")
		if !strings.EqualFold(v, "https") {
			return nil, errors.New("ssl.endpoint.identification.algorithm: broker names are always checked: set https, or take it out")
		}
	}
	return config, nil
}

// pem returns PEM text given in the file itself or in a file that it names, nil when neither is there.
func (p properties) pem(inline string, files ...string) ([]byte, error) {
	if text := p.take(inline); text != "" {
		return []byte(text), nil
	}
	for _, name := range files {
		path := p.take(name)
		if path == "" {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.dir, path)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return raw, nil
	}
	return nil, nil
}
