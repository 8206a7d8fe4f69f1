package development

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
)

// patience bounds every wait.
const patience = 3 * time.Minute

// cluster is a running one, with its administrator's client.
type cluster struct {
	*testing.T
	*devenv.Cluster
	http *http.Client
}

func start(t *testing.T, dir, application string) *cluster {
	t.Helper()
	c, err := try(t, func(o *devenv.Options) { o.Dir, o.App, o.Workers = dir, application, app.Available() })
	if err != nil {
		t.Fatal(err)
	}
	return client(t, c)
}

// client is a running cluster with its administrator's client.
func client(t *testing.T, c *devenv.Cluster) *cluster {
	t.Helper()
	pem, err := os.ReadFile(c.Info().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &cluster{t, c, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}}
}

func (c *cluster) stop() {
	c.Helper()
	c.http.CloseIdleConnections()
	if err := c.Close(context.WithoutCancel(c.Context())); err != nil {
		c.Error(err)
	}
}

// call makes a call and reads the answer.
func (c *cluster) call(method, path string, body, into any, header ...string) int {
	c.Helper()
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.Fatal(err)
		}
		content = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.Info().API+path, content)
	if err != nil {
		c.Fatal(err)
	}
	r.SetBasicAuth(c.Info().User, c.Info().Password)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	if resp.StatusCode >= 300 {
		c.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			c.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

// run starts a flow and returns its result.
func (c *cluster) run(vnode int, id, class string, argument, into any) {
	c.Helper()
	c.begin(vnode, id, class, argument)
	c.result(vnode, id, into)
}

// begin starts a flow.
func (c *cluster) begin(vnode int, id, class string, argument any) {
	c.Helper()
	hash := c.Info().VirtualNodes[vnode].ShortHash
	c.call("POST", "/api/v5_2/flow/"+hash, map[string]any{"clientRequestId": id, "flowClassName": class, "requestBody": argument}, nil)
}

// result waits for the result of a flow.
func (c *cluster) result(vnode int, id string, into any) {
	c.Helper()
	hash := c.Info().VirtualNodes[vnode].ShortHash
	for {
		var s struct {
			FlowStatus string
			JSON       json.RawMessage
			FlowError  *struct{ Type, Message string }
		}
		c.call("GET", "/api/fairlead/v1/flow/"+hash+"/"+id+"/result", nil, &s, "Prefer", "wait=30")
		switch s.FlowStatus {
		case "COMPLETED":
			if err := json.Unmarshal(s.JSON, into); err != nil {
				c.Fatal(err)
			}
			return
		case "FAILED", "KILLED":
			c.Fatalf("flow %s is %s: %+v", id, s.FlowStatus, s.FlowError)
		}
	}
}

// refused starts a flow that must not start, and returns what is said of it.
func (c *cluster) refused(vnode int, id, class string, argument any) (status int, text string) {
	c.Helper()
	body, err := json.Marshal(map[string]any{"clientRequestId": id, "flowClassName": class, "requestBody": argument})
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Info().API+"/api/v5_2/flow/"+c.Info().VirtualNodes[vnode].ShortHash, bytes.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	r.SetBasicAuth(c.Info().User, c.Info().Password)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestWholeCluster(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	dir := shortDir(t)
	type message struct{ ID, Sender, Text string }
	c := start(t, dir, "../../apps/chat")
	bob := c.Info().VirtualNodes[1].X500Name
	var sent message
	c.run(0, "send-1", "chat-send", map[string]string{"to": bob, "text": "hello"}, &sent)
	c.stop()

	c = start(t, dir, "../../apps/chat")
	if !c.Info().Continued {
		t.Error("the second run does not know the first")
	}
	c.run(0, "send-2", "chat-send", map[string]string{"to": bob, "text": "again"}, &sent)
	var kept []message
	c.run(1, "list", "chat-list", map[string]string{}, &kept)
	if len(kept) != 2 || kept[0].Sender != c.Info().VirtualNodes[0].X500Name {
		t.Errorf("Bob kept %+v", kept)
	}
	c.stop()

	// Another application takes the place of the first.
	c = start(t, dir, "../../apps/notes")
	defer c.stop()
	alice := c.Info().VirtualNodes[0].ShortHash
	var key struct{ ID string }
	c.call("POST", "/api/v5_2/key/"+alice+"/alias/notes/category/LEDGER/scheme/CORDA.ECDSA.SECP256R1", nil, &key)
	var note struct {
		ID     string `json:"id"`
		KeyID  string `json:"key_id"`
		Scheme string `json:"scheme"`
	}
	c.run(0, "note", "note", map[string]string{"text": "milk"}, &note)
	if note.KeyID != key.ID {
		t.Errorf("signed with %s, the key is %s", note.KeyID, key.ID)
	}
	admin, err := kafkaadmin.New(kafkaadmin.Connection{Brokers: c.Info().Brokers, Prefix: c.Info().Prefix, ClientID: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var told []string
	err = admin.Read(t.Context(), kafkaadmin.Range{Topics: []string{"ext." + alice + ".notes.receive"}, From: kafkaadmin.Start()}, func(r kafkaadmin.Record) error {
		told = append(told, string(r.Value))
		return nil
	})
	if err != nil || len(told) != 1 || !strings.Contains(told[0], note.ID) {
		t.Errorf("the channel has %v: %v", told, err)
	}
	for server, why := range map[string]string{"Postgres": "of a development cluster", "Vault": "of a development cluster"} {
		if err := kafkatest.Note("real %s: yes (%s)", server, why); err != nil {
			t.Error(err)
		}
	}
}
