package access

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/vault/vaulttest"
	"github.com/fairleadio/fairlead/topics"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// patience bounds every wait.
const patience = 3 * time.Minute

// world is a cluster of seven workers, each with a Kafka user of its own.
type world struct {
	*testing.T
	kafka   *kafkatest.Cluster
	admin   *kafkaadmin.Admin
	runtime *sandbox.Runtime
	api     string
	http    *http.Client
}

// newWorld starts the workers. The persistence worker reaches the cluster's database as a role that reads one table.
func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	clusterURL, vnodeURL, vault := pgtest.Database(t), pgtest.Database(t), vaulttest.Own(t).Setup(t)
	w := &world{T: t, kafka: broker(t), http: &http.Client{Timeout: patience}}
	t.Cleanup(w.http.CloseIdleConnections)
	var err error
	w.admin, err = kafkaadmin.New(kafkaadmin.Connection{
		Brokers: w.kafka.LoginBrokers(), Prefix: prefix, SASL: &kafkaadmin.SASL{Mechanism: "PLAIN", User: kafkatest.Administrator, Password: password},
	})
	w.must(err)
	t.Cleanup(w.admin.Close)
	w.prepareTopics()
	_, err = w.admin.PublishSchemas(t.Context())
	w.must(err)
	dir := t.TempDir()
	w.runtime, err = sandbox.New(t.Context(), sandbox.Config{CacheDir: filepath.Join(dir, "compiled"), Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	t.Cleanup(func() { w.must(w.runtime.Close(context.WithoutCancel(t.Context()))) })
	key := filepath.Join(dir, "seal.key")
	w.must(seal.WriteKey(key))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.api = "http://" + listener.Addr().String()
	cfg := config.Default()
	cfg.Kafka = config.Kafka{Brokers: w.kafka.LoginBrokers(), Prefix: prefix, SASL: "PLAIN", Password: password}
	cfg.Engine.Sessions, cfg.Engine.UnsafeTopics = 1, true
	cfg.Rest.Plaintext, cfg.Monitor.Address = true, ""
	cfg.Postgres.URL, cfg.Postgres.VnodeURL, cfg.Postgres.SealKeyFile = clusterURL, vnodeURL, key
	cfg.Bootstrap.AdminUser, cfg.Bootstrap.AdminPassword = kafkatest.Administrator, password
	cfg.Vault.Address, cfg.Vault.Mount, cfg.Vault.Auth, cfg.Vault.AuthPath = vault.Address, vault.Mount, string(vault.Auth.Method), vault.Auth.Path
	cfg.Vault.RoleIDFile, cfg.Vault.SecretIDFile = vault.Auth.RoleIDFile, vault.Auth.SecretIDFile
	for _, worker := range []string{app.Database, app.Crypto, app.Flow, app.FlowMapper, app.Rest, app.Persistence, app.Uniqueness} {
		c := cfg
		c.Kafka.User = userOf(worker)
		c.Process = config.Process{Instance: worker, DataDir: filepath.Join(dir, worker), DrainTime: 5 * time.Second, LeaveGroup: true}
		if worker == app.Persistence {
			c.Postgres.URL, c.Postgres.VnodeURL = w.readerOf(clusterURL), w.address(vnodeURL, nil)
		}
		w.run(c, worker, listener)
	}
	// The database worker makes the first administrator when it leads, which is not before it is ready.
	w.must(w.until("the administrator can log in", func() (bool, error) {
		err := w.call(http.MethodGet, "/api/v5_2/user/"+kafkatest.Administrator, "", nil, nil)
		var no *refusal
		if errors.As(err, &no) && (no.status == http.StatusUnauthorized || no.status == http.StatusTooManyRequests) {
			return false, nil
		}
		return err == nil, err
	}))
	return w
}

// readerOf makes the role that the threat model wants for the persistence worker.
func (w *world) readerOf(clusterURL string) string {
	w.Helper()
	p := pgtest.Open(w.T, postgres.Config{URL: clusterURL, SearchPath: clusterdb.Schema})
	name := "persistence_" + fmt.Sprint(time.Now().UnixNano())
	for _, sql := range []string{
		"CREATE ROLE " + name + " LOGIN PASSWORD 'reader'", "GRANT USAGE ON SCHEMA " + clusterdb.Schema + " TO " + name,
		"GRANT SELECT ON " + clusterdb.Schema + ".vnode_connection TO " + name,
	} {
		_, err := p.Exec(w.Context(), sql)
		w.must(err)
	}
	w.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context()), time.Minute)
		defer cancel()
		for _, sql := range []string{"DROP OWNED BY " + name, "DROP ROLE " + name} {
			if _, err := p.Exec(ctx, sql); err != nil {
				w.Error(err)
			}
		}
	})
	return w.address(clusterURL, url.UserPassword(name, "reader"))
}

// address is a database's with other credentials, or none.
func (w *world) address(of string, user *url.Userinfo) string {
	w.Helper()
	u, err := url.Parse(of)
	w.must(err)
	u.User = user
	return u.String()
}

// run starts a worker and waits until it is ready.
func (w *world) run(c config.Config, worker string, listener net.Listener) {
	w.Helper()
	opts := app.Options{Config: c, Workers: []string{worker}, Sandbox: w.runtime, Log: slog.New(slog.NewTextHandler(w.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Build: "test"}
	if worker == app.Rest {
		opts.RestListener = listener
	}
	a, err := app.New(w.Context(), opts)
	if err != nil {
		w.Fatalf("worker %s: %v", worker, err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(w.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	w.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.Errorf("worker %s: %v", worker, err)
		}
	})
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- a.WaitReady(wait) }()
	select {
	case err := <-ready:
		w.must(err)
	case err := <-done:
		done <- nil
		w.Fatalf("worker %s ended: %v", worker, err)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// prepareTopics does what an operator does with `fairlead topics apply`.
func (w *world) prepareTopics() {
	w.Helper()
	now, err := w.admin.Cluster(w.Context())
	w.must(err)
	catalogue, err := channels.Catalogue(w.Context(), w.admin)
	w.must(err)
	plan, err := topics.NewPlan(catalogue, topics.Dev(), topics.Overrides{}, false, now)
	w.must(err)
	if len(plan.Refusals) > 0 {
		w.Fatal(plan.Refusals)
	}
	for _, step := range kafkaadmin.Steps(plan.Changes) {
		w.must(w.admin.Do(w.Context(), step))
	}
}

// refusal is an answer of REST that is no success.
type refusal struct {
	status    int
	id, title string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.id, r.title) }

// call makes a call; into may be nil.
func (w *world) call(method, path, kind string, body io.Reader, into any) error {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.api+path, body)
	w.must(err)
	r.SetBasicAuth(kafkatest.Administrator, password)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Prefer", "wait=30")
	resp, err := w.http.Do(r)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	if resp.StatusCode >= 300 {
		var told struct{ Title, Detail string }
		if json.Unmarshal(text, &told) != nil {
			told.Title = string(text)
		}
		return &refusal{resp.StatusCode, resp.Header.Get("Fairlead-Error-Id"), told.Title + told.Detail}
	}
	if into != nil && len(text) > 0 {
		if err := json.Unmarshal(text, into); err != nil {
			w.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return nil
}

func (w *world) post(path string, body, into any) error {
	w.Helper()
	b, err := json.Marshal(body)
	w.must(err)
	return w.call(http.MethodPost, "/api/v5_2"+path, "application/json", bytes.NewReader(b), into)
}

// form sends parts of a form; a name with a dot behind it is a file's.
func (w *world) form(method, path string, parts map[string][]byte, into any) error {
	w.Helper()
	var body bytes.Buffer
	f := multipart.NewWriter(&body)
	for name, content := range parts {
		var p io.Writer
		var err error
		if name == "upload" {
			p, err = f.CreateFormFile(name, "x.cpi")
		} else {
			p, err = f.CreateFormField(name)
		}
		w.must(err)
		_, err = p.Write(content)
		w.must(err)
	}
	w.must(f.Close())
	return w.call(method, "/api/v5_2"+path, f.FormDataContentType(), &body, into)
}

// trust imports a signer's certificate.
func (w *world) trust(alias string, k cpi.Key) {
	w.Helper()
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Chain[0].Raw})
	w.must(w.form(http.MethodPut, "/certificate/cluster/code-signer", map[string][]byte{"alias": []byte(alias), "certificate": chain}, nil))
}

// until repeats look until it tells the end.
func (w *world) until(what string, look func() (bool, error)) error {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	err := kafkatest.Until(ctx, 50*time.Millisecond, look)
	if errors.Is(err, context.DeadlineExceeded) {
		w.Fatalf("%s: %v", what, err)
	}
	return err
}

// upload uploads a package and returns its checksum, or the refusal that its status tells.
func (w *world) upload(file []byte) (checksum string, err error) {
	w.Helper()
	return w.uploadTo("/cpi", file)
}

func (w *world) uploadTo(path string, file []byte) (checksum string, err error) {
	w.Helper()
	var begun struct{ ID string }
	if err := w.form(http.MethodPost, path, map[string][]byte{"upload": file}, &begun); err != nil {
		return "", err
	}
	err = w.until("the end of an upload", func() (bool, error) {
		var s struct{ Status, CpiFileChecksum string }
		if err := w.call(http.MethodGet, "/api/v5_2/cpi/status/"+begun.ID, "", nil, &s); err != nil {
			return false, err
		}
		checksum = s.CpiFileChecksum
		return s.Status == "OK", nil
	})
	return checksum, err
}

// operation waits for the end of what a call began.
func (w *world) operation(id string) error {
	w.Helper()
	return w.until("the end of an operation", func() (bool, error) {
		var s struct {
			Status      string
			ErrorReason *string
		}
		if err := w.call(http.MethodGet, "/api/v5_2/virtualnode/status/"+id, "", nil, &s); err != nil {
			return false, err
		}
		if s.Status == "FAILED" || s.Status == "ABORTED" {
			reason := s.Status
			if s.ErrorReason != nil {
				reason = *s.ErrorReason
			}
			return false, errors.New(reason)
		}
		return s.Status == "SUCCEEDED", nil
	})
}

// vnode makes a virtual node of a package and returns its short hash.
func (w *world) vnode(name, checksum string) (string, error) {
	w.Helper()
	var begun struct{ RequestID string }
	if err := w.post("/virtualnode", map[string]string{"x500Name": name, "cpiFileChecksum": checksum}, &begun); err != nil {
		return "", err
	}
	if err := w.operation(begun.RequestID); err != nil {
		return "", err
	}
	w.prepareTopics() // those of its channels
	return begun.RequestID, nil
}

// flow runs a flow to its end.
func (w *world) flow(vnode, id, class string, argument, into any) error {
	w.Helper()
	if err := w.post("/flow/"+vnode, map[string]any{"clientRequestId": id, "flowClassName": class, "requestBody": argument}, nil); err != nil {
		return err
	}
	return w.until("the end of flow "+id, func() (bool, error) {
		var s struct {
			FlowStatus string
			JSON       json.RawMessage
			FlowError  *struct{ Type, Message string }
		}
		if err := w.call(http.MethodGet, "/api/fairlead/v1/flow/"+vnode+"/"+id+"/result", "", nil, &s); err != nil {
			return false, err
		}
		switch s.FlowStatus {
		case "COMPLETED":
			return true, json.Unmarshal(s.JSON, into)
		case "FAILED", "KILLED":
			return false, fmt.Errorf("flow %s is %s: %s: %s", id, s.FlowStatus, s.FlowError.Type, s.FlowError.Message)
		}
		return false, nil
	})
}
