package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fairlead.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSourcesOverrideEachOther(t *testing.T) {
	file := write(t, "kafka:\n  brokers: [a:1, b:2]\n  prefix: from-file\nrest:\n  max_wait: 5s\nlog:\n")
	c, values, err := Load(Sources{
		File: file,
		Env:  []string{"FAIRLEAD_KAFKA_PREFIX=from-env", "FAIRLEAD_KAFKA_PASSWORD=hush", "FAIRLEAD_API=https://x", "HOME=/x"},
		Set:  []string{"engine.sessions=3", "kafka.tls=true", "rest.max_wait=7s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.Kafka.Brokers, " ") != "a:1 b:2" || c.Kafka.Prefix != "from-env" || c.Rest.MaxWait != 7*time.Second || c.Engine.Sessions != 3 || !c.Kafka.TLS {
		t.Errorf("got %+v", c)
	}
	var b strings.Builder
	if err := Print(&b, values); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{"brokers: \"a:1,b:2\"", file + ":2", "FAIRLEAD_KAFKA_PREFIX;", "sessions: 3", "# flag;", "password: \"***\""} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hush") {
		t.Error("a secret was printed")
	}
}

func TestPrintedConfigIsReadAgain(t *testing.T) {
	_, values, err := Load(Sources{Set: []string{"kafka.prefix=x.", "process.instance=a-0"}})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Print(&b, values); err != nil {
		t.Fatal(err)
	}
	again, _, err := Load(Sources{File: write(t, b.String())})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if again.Kafka.Prefix != "x." || again.Process.Instance != "a-0" {
		t.Errorf("got %+v", again)
	}
}

func TestErrorsNameTheKeyAndTheRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		sources Sources
		want    []string
	}{
		"unknown key":     {Sources{File: write(t, "kafka:\n  broker: x:1\n")}, []string{"fairlead.yaml:2", "unknown key kafka.broker", "did you mean kafka.brokers?"}},
		"unknown section": {Sources{File: write(t, "cafka:\n  x: 1\n")}, []string{"unknown key cafka"}},
		"wrong shape":     {Sources{File: write(t, "kafka: 3\n")}, []string{"fairlead.yaml:1", "wrong shape"}},
		"not YAML":        {Sources{File: write(t, "kafka: [\n")}, []string{"fairlead.yaml"}},
		"a list":          {Sources{File: write(t, "- kafka\n")}, []string{"mapping"}},
		"two documents":   {Sources{File: write(t, "log:\n---\nlog:\n")}, []string{"more than one"}},
		"no file":         {Sources{File: "/does/not/exist"}, []string{"/does/not/exist"}},
		"bad duration":    {Sources{Env: []string{"FAIRLEAD_REST_MAX_WAIT=soon"}}, []string{"rest.max_wait", "FAIRLEAD_REST_MAX_WAIT", `"soon"`, "duration"}},
		"bad number":      {Sources{Set: []string{"engine.sessions=many"}}, []string{"engine.sessions", "whole number"}},
		"bad bool":        {Sources{Set: []string{"kafka.tls=maybe"}}, []string{"true or false"}},
		"no equals":       {Sources{Set: []string{"kafka.tls"}}, []string{"key=value"}},
		"unknown set":     {Sources{Set: []string{"kafka.tlss=true"}}, []string{"did you mean kafka.tls?"}},
		"bad values": {Sources{Set: []string{
			"kafka.brokers=nowhere", "kafka.prefix=a b", "kafka.sasl=KERBEROS", "kafka.cert_file=x", "log.level=loud", "log.format=xml",
			"rest.address=8888", "rest.key_file=k", "engine.retries=-1", "process.instance=a/b",
		}}, []string{`"nowhere" is not host:port`, "kafka.prefix", "kafka.sasl", "kafka.user", "kafka.key_file", "kafka.tls", "log.level", "log.format",
			"rest.address", "use :8888 for all addresses of this machine, or 127.0.0.1:8888", "rest.certificate_file", "engine.retries", "process.instance"}},
		"no brokers": {Sources{Set: []string{"kafka.brokers="}}, []string{"kafka.brokers: is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Load(c.sources)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in %v", want, err)
				}
			}
		})
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		if k.Doc == "" || strings.Contains(k.Path, "..") || seen[k.Env] {
			t.Errorf("%+v", k)
		}
		seen[k.Env] = true
	}
}

func TestPasswordFromFile(t *testing.T) {
	k := Kafka{Password: "a", PasswordFile: write(t, "b\n")}
	if got, err := k.SASLPassword(); err != nil || got != "b" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := (Kafka{PasswordFile: "/does/not/exist"}).SASLPassword(); err == nil {
		t.Error("no error")
	}
}
