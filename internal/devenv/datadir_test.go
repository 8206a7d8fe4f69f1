package devenv

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"google.golang.org/protobuf/proto"

	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), dirMode); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), fileMode); err != nil {
		t.Fatal(err)
	}
}

func TestForeignDirectoriesAreLeftAlone(t *testing.T) {
	other := t.TempDir()
	put(t, filepath.Join(other, "thesis.txt"), "x")
	later := t.TempDir()
	put(t, filepath.Join(later, formatFile), "fairlead-dev 99\n")
	put(t, filepath.Join(later, "kafka", "meta.json"), "{}")
	for dir, want := range map[string]string{other: "was not made by fairlead dev", later: `"fairlead-dev 99"`} {
		_, err := openDir(dir, formatBare)
		var wrong *FormatError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--data") {
			t.Errorf("%s: %v", dir, err)
		}
		if _, err := os.Stat(filepath.Join(dir, lockFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was touched: %v", dir, err)
		}
	}
	var wrong *FormatError
	if err := Reset(other); !errors.As(err, &wrong) {
		t.Errorf("reset of a foreign directory: %v", err)
	}
	if err := Reset(later); err != nil {
		t.Errorf("reset of another version's directory: %v", err)
	}
	if _, err := os.Stat(later); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if err := Reset(later); err != nil {
		t.Errorf("reset of nothing: %v", err)
	}
}

func TestUnwritableDirectoryIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "x")
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := openDir(dir, formatBare); err == nil || !strings.Contains(err.Error(), "FL-DEV-002") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestFullDiskIsTold(t *testing.T) {
	failed := make(chan error, 1)
	l := &brokerLog{log: slog.New(slog.DiscardHandler), dir: "DATA/kafka", failed: failed}
	l.Logf(kfake.LogLevelInfo, "persist batch %s", "fine")
	l.Logf(kfake.LogLevelWarn, "rebalance took long")
	if len(failed) != 0 {
		t.Fatal("failed without reason")
	}
	l.Logf(kfake.LogLevelWarn, "persist batch %s-%d: %v", "flow.events", 1, errors.New("no space left on device"))
	l.Logf(kfake.LogLevelWarn, "persist batch %s-%d: %v", "flow.events", 2, errors.New("no space left on device"))
	if err := <-failed; !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "FL-DEV-002") {
		t.Errorf("got %v", err)
	}
}

func TestCertificates(t *testing.T) {
	d, err := openDir(t.TempDir(), formatBare)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	now := time.Now()
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	check := func(f tlsFiles, host string, at time.Time) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(read(f.CA))
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: at}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	f, err := d.certificates("127.0.0.1", now)
	if err != nil {
		t.Fatal(err)
	}
	check(f, "localhost", now)
	check(f, "127.0.0.1", now)
	cert, ca := read(f.Cert), read(f.CA)
	if f, err = d.certificates("127.0.0.1", now.Add(time.Hour)); err != nil || string(read(f.Cert)) != string(cert) {
		t.Errorf("a valid certificate was made again: %v", err)
	}
	if f, err = d.certificates("box.example", now); err != nil {
		t.Fatal(err)
	}
	check(f, "box.example", now)
	later := now.Add(leafLife - leafRenew + time.Hour)
	if f, err = d.certificates("box.example", later); err != nil {
		t.Fatal(err)
	}
	check(f, "box.example", later.Add(leafLife-time.Hour))
	if string(read(f.CA)) != string(ca) {
		t.Error("the CA changed; contexts trust it")
	}
	muchLater := now.Add(caLife)
	if f, err = d.certificates("box.example", muchLater); err != nil {
		t.Fatal(err)
	}
	check(f, "box.example", muchLater)
	put(t, f.Cert, "nonsense")
	if _, err := d.certificates("localhost", now); err == nil || !strings.Contains(err.Error(), "remove") {
		t.Errorf("damaged certificate: %v", err)
	}
}

func TestCredentialsAreKept(t *testing.T) {
	d, err := openDir(t.TempDir(), formatBare)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	hash := func(p string) (string, error) { return "hash of " + p, nil }
	first, err := d.credentials(hash)
	if err != nil || first.User != adminUser || len(first.Password) < 20 || first.PasswordHash != "hash of "+first.Password {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := d.credentials(hash)
	if err != nil || again != first {
		t.Errorf("%+v %v", again, err)
	}
	put(t, d.join(credentialsFile), "{}")
	if _, err := d.credentials(hash); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestFactsAreWrittenWhenTheyDiffer(t *testing.T) {
	nodes, err := DefaultNetwork().virtualNodes()
	if err != nil {
		t.Fatal(err)
	}
	if nodes[0].Name != "Alice" || nodes[0].ShortHash != "029DBED145F2" {
		t.Errorf("%+v: short hashes of dev clusters are in people's scripts", nodes[0])
	}
	module := make([]byte, 2*chunkBytes+1)
	checksum, facts := packageFacts(Application{Name: "a", Module: module, Flows: []string{"f"}})
	facts = append(append(facts, vnodeFacts(nodes, checksum)...), userFacts(Credentials{User: "admin", PasswordHash: "h"})...)
	if len(facts) != 3+1+2+4 {
		t.Fatalf("%d facts", len(facts))
	}
	published := map[string]proto.Message{}
	get := func(topic, key string) proto.Message { return published[topic+key] }
	first := outdated(facts, get, 1000)
	if len(first) != len(facts) {
		t.Errorf("%d of %d written", len(first), len(facts))
	}
	size := 0
	for _, f := range first {
		published[f.topic+f.key] = f.msg
		if c, ok := f.msg.(*cpiv1.Chunk); ok {
			size += len(c.GetData())
		}
	}
	if size != len(module) {
		t.Errorf("%d bytes of %d in chunks", size, len(module))
	}
	if again := outdated(facts, get, 2000); len(again) != 0 {
		t.Errorf("written again: %v", again)
	}
	changed := outdated(append(vnodeFacts(nodes, "C0FFEE000000"), userFacts(Credentials{User: "admin", PasswordHash: "other"})...), get, 3000)
	if len(changed) != 3 {
		t.Fatalf("%d changed", len(changed))
	}
	for _, f := range changed {
		switch m := f.msg.(type) {
		case *vnodev1.VirtualNode:
			if m.GetVersion() != 2 || m.GetCreatedAtUs() != 3000 {
				t.Errorf("%v", m)
			}
		case *rbacv1.Credential:
			if m.GetVersion() != 2 || m.GetPasswordHash() != "other" {
				t.Errorf("%v", m)
			}
		default:
			t.Errorf("%T changed", m)
		}
	}
}

func TestSourcesOfAnApplication(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "apps/a/go.mod"), "module a\n\nreplace example.com/sdk => ../../sdk\n")
	put(t, filepath.Join(root, "apps/a/main.go"), "package main\n")
	put(t, filepath.Join(root, "sdk/go.mod"), "module example.com/sdk\n")
	put(t, filepath.Join(root, "sdk/sdk.go"), "package sdk\n")
	dir := filepath.Join(root, "apps/a")
	digest := func() string {
		t.Helper()
		from, err := sources(dir)
		if err != nil {
			t.Fatal(err)
		}
		d, err := sourceDigest(from...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := digest()
	put(t, filepath.Join(root, "apps/a/.git/index"), "x")
	if digest() != before {
		t.Error("a hidden folder counts")
	}
	put(t, filepath.Join(root, "sdk/sdk.go"), "package sdk // changed\n")
	if digest() == before {
		t.Error("a change of the SDK does not count")
	}
	if _, err := sources(root); err == nil || !strings.Contains(err.Error(), "go.mod") {
		t.Errorf("got %v", err)
	}
	if got := FindHello(dir); got != "" {
		t.Errorf("found %q", got)
	}
	put(t, filepath.Join(root, "apps/hello/go.mod"), "module hello\n")
	if got := FindHello(dir); got != filepath.Join(root, "apps/hello") {
		t.Errorf("found %q", got)
	}
}
