package rest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"mime/multipart"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// servant is the other workers: answer decides what a request gets.
type servant struct {
	answer  func(r Request) (*rpcv1.Reply, error)
	asked   []Request
	written []Request
}

func (s *servant) Ask(ctx context.Context, r Request) (*rpcv1.Reply, error) {
	s.asked = append(s.asked, r)
	if s.answer == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.answer(r)
}

func (s *servant) Write(_ context.Context, r Request) error {
	s.written = append(s.written, r)
	return nil
}

func ok(t *testing.T, m proto.Message, facts ...*rpcv1.Fact) *rpcv1.Reply {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{Result: raw}, Facts: facts}
}

func refused(kind rpcv1.ErrorKind, message string) *rpcv1.Reply {
	return &rpcv1.Reply{Outcome: &rpcv1.Reply_Error{Error: &rpcv1.Error{
		Kind: kind, Id: "FL-DB-001", Message: message, Details: []*rpcv1.Detail{{Name: "config", Value: "{}"}},
	}}}
}

// lastChange is what the database worker was asked last.
func (s *servant) lastChange(t *testing.T) *dbv1.Request {
	t.Helper()
	if len(s.asked) == 0 {
		t.Fatal("nothing was asked")
	}
	m, isDB := s.asked[len(s.asked)-1].Msg.(*dbv1.Request)
	if !isDB {
		t.Fatalf("asked %v", s.asked)
	}
	return m
}

func TestChangeOfAUser(t *testing.T) {
	w := newWorld(t, Config{})
	user := &rbacv1.User{LoginName: "jbloggs", FullName: "Joe", Enabled: true, Version: 1, UpdatedAtUs: 1679333038998000}
	w.servant.answer = func(Request) (*rpcv1.Reply, error) {
		return ok(t, user, &rpcv1.Fact{Topic: topics.RBACUser, Key: "jbloggs", Version: 1}), nil
	}
	// The answer waits for the view; what the worker published arrives while it does.
	w.users.onWait = func() { w.users.put("jbloggs", user) }
	rec := w.do("alice", "POST /api/v5_2/user", `{"createUserType":{"enabled":"true","fullName":"Joe","initialPassword":"p","loginName":"JBloggs"}}`)
	w.want(rec, 201, "")
	for _, part := range []string{`"loginName":"jbloggs"`, `"passwordExpiry":null`, `"roleAssociations":[]`, `"updateTimestamp":"2023-03-20T17:23:58.998Z"`} {
		if !strings.Contains(rec.Body.String(), part) {
			t.Errorf("%s lacks %s", rec.Body, part)
		}
	}
	r := w.servant.lastChange(t)
	if c := r.GetCreateUser(); r.GetActor() != "alice" || c.GetLoginName() != "jbloggs" || !strings.HasPrefix(c.GetPasswordHash(), "$argon2id$") || !c.GetEnabled() {
		t.Errorf("asked %v", r)
	}
	if a := w.servant.asked[0]; a.Key != "user/jbloggs" || a.Topic != topics.DbRequests || a.ID == "" || !a.Deadline.After(w.now) {
		t.Errorf("asked %+v", a)
	}
	w.want(w.do("alice", "GET /api/v5_2/user/JBLOGGS", ""), 200, "")
	w.want(w.do("alice", "GET /api/v5_2/user/nobody", ""), 404, cordaError(404, "User 'nobody' not found."))
}

func TestErrorsOfOtherWorkers(t *testing.T) {
	w := newWorld(t, Config{RequestTimeout: 1}) // no time at all
	rec := w.do("alice", "POST /api/v5_2/role", `{"roleName":"r"}`)
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" || rec.Header().Get(headerErrorID) != idNoReply {
		t.Errorf("nobody answers: %d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	for kind, want := range map[rpcv1.ErrorKind]int{
		rpcv1.ErrorKind_ERROR_KIND_INVALID: 400, rpcv1.ErrorKind_ERROR_KIND_NOT_FOUND: 404, rpcv1.ErrorKind_ERROR_KIND_CONFLICT: 409,
		rpcv1.ErrorKind_ERROR_KIND_NOT_ALLOWED: 405, rpcv1.ErrorKind_ERROR_KIND_FORBIDDEN: 403, rpcv1.ErrorKind_ERROR_KIND_UNAVAILABLE: 503,
		rpcv1.ErrorKind_ERROR_KIND_UNSPECIFIED: 500,
	} {
		w.servant.answer = func(Request) (*rpcv1.Reply, error) { return refused(kind, "because"), nil }
		rec := w.do("alice", "PUT /api/v5_2/config", `{"section":"corda.flow","version":"3","config":"{\"session\":{\"timeout\":1}}","schemaVersion":{"major":"1","minor":0}}`)
		if rec.Code != want || rec.Header().Get(headerErrorID) != "FL-DB-001" || !strings.Contains(rec.Body.String(), `"details": {"config":"{}"}`) {
			t.Errorf("%s: %d %s", kind, rec.Code, rec.Body)
		}
	}
	if c := w.servant.lastChange(t).GetPutConfig(); c.GetVersion() != 3 || c.GetConfig() != `{"session":{"timeout":1}}` || c.GetSchemaMajor() != 1 {
		t.Errorf("asked %v", c)
	}
}

// upload sends a multipart body.
func (w *world) upload(what string, parts ...[2]string) *httptest.ResponseRecorder {
	w.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for _, p := range parts {
		part, err := m.CreateFormFile(p[0], "app.cpi")
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := part.Write([]byte(p[1])); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		w.t.Fatal(err)
	}
	return w.do("alice", what, body.String(), "Content-Type: "+m.FormDataContentType())
}

func TestUpload(t *testing.T) {
	w := newWorld(t, Config{UploadDir: t.TempDir(), MaxUpload: 3 << 20})
	file := strings.Repeat("0123456789abcdef", (1<<20+5)/16)
	w.operations.onWait = func() {
		w.operations.put(w.servant.written[0].Key, &operationv1.OperationStatus{
			RequestId: w.servant.written[0].Key, Kind: operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD,
			State: operationv1.OperationState_OPERATION_STATE_IN_PROGRESS, Stage: "Validating upload",
		})
	}
	rec := w.upload("POST /api/v5_2/cpi/", [2]string{"upload", file})
	id := w.servant.written[0].Key
	w.want(rec, 200, `{"id":"`+id+`"}`)
	var whole []byte
	for i, r := range w.servant.written {
		p := r.Msg.(*dbv1.CpiPart)
		if p.GetPart() != uint32(i) || int(p.GetParts()) != len(w.servant.written) || len(p.GetData()) > partBytes || p.GetActor() != "alice" || p.GetFileName() != "app.cpi" || p.GetForce() {
			t.Errorf("part %d: %v of %v", i, p.GetPart(), p.GetParts())
		}
		whole = append(whole, p.GetData()...)
		if last := i == len(w.servant.written)-1; last {
			sum := sha256.Sum256(whole)
			if !bytes.Equal(p.GetFileSha256(), sum[:]) {
				t.Error("the hash is not the file's")
			}
		}
	}
	if string(whole) != file {
		t.Error("the parts are not the file")
	}
	w.want(w.do("alice", "GET /api/v5_2/cpi/status/"+id, ""), 200, `{"status":"Validating upload","cpiFileChecksum":""}`)
	w.want(w.do("alice", "GET /api/v5_2/cpi/status/none", ""), 400, cordaError(400, "No such requestId=none"))
	for name, c := range map[string]struct {
		parts  [][2]string
		status int
	}{
		"none": {nil, 400}, "other part": {[][2]string{{"file", "x"}}, 400}, "empty": {[][2]string{{"upload", ""}}, 400},
		"too large": {[][2]string{{"upload", strings.Repeat("x", 3<<20+1)}}, 400},
	} {
		if rec := w.upload("POST /api/v5_2/cpi", c.parts...); rec.Code != c.status {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	w.want(w.do("alice", "POST /api/v5_2/cpi", "x"), 415, "")
}

// A package of which the views have not heard yet is waited for: who is told that an upload is done may use it at once, with
// any replica.
func TestUploadIsThereWhenItIsDone(t *testing.T) {
	const checksum = "0123456789AB"
	upload := &operationv1.OperationStatus{
		RequestId: "u1", Kind: operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD, State: operationv1.OperationState_OPERATION_STATE_SUCCEEDED, ResourceId: checksum,
	}
	for name, ask := range map[string]func(*world) int{
		"its status": func(w *world) int { return w.do("alice", "GET /api/v5_2/cpi/status/u1", "").Code },
		"a virtual node": func(w *world) int {
			return w.do("alice", "POST /api/v5_2/virtualnode", `{"request":{"x500Name":"C=GB,L=London,O=Carol","cpiFileChecksum":"`+checksum+`"}}`).Code
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.servant.answer = func(Request) (*rpcv1.Reply, error) { return ok(t, &vnodev1.VirtualNode{}), nil }
			w.operations.put("u1", upload)
			waited := false
			w.cpis.onWait = func() {
				waited = true
				there, _ := w.cpis.Get("C0FFEE000000")
				w.cpis.put(checksum, there)
			}
			if code := ask(w); code >= 300 || !waited {
				t.Errorf("status %d, waited: %v", code, waited)
			}
		})
	}
}

func TestFailedUpload(t *testing.T) {
	w := newWorld(t, Config{})
	w.operations.put("u1", &operationv1.OperationStatus{
		RequestId: "u1", Kind: operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD, State: operationv1.OperationState_OPERATION_STATE_FAILED,
		Error: "there already", ErrorId: "FL-CPI-001", ErrorKind: uint32(rpcv1.ErrorKind_ERROR_KIND_CONFLICT),
	})
	rec := w.do("alice", "GET /api/v5_2/cpi/status/u1", "")
	if rec.Code != 409 || !strings.Contains(rec.Body.String(), `"title": "there already"`) || !strings.Contains(rec.Body.String(), `"errorMessage":"there already"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestVirtualNodes(t *testing.T) {
	w := newWorld(t, Config{})
	w.servant.answer = func(Request) (*rpcv1.Reply, error) { return ok(t, &vnodev1.VirtualNode{}), nil }
	rec := w.do("alice", "POST /api/v5_2/virtualnode", `{"request":{"x500Name":"C=GB,L=London,O=Carol","cpiFileChecksum":"c0ffee000000"}}`)
	if rec.Code != 202 || !strings.Contains(rec.Body.String(), `{"requestId":"`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	hash := strings.Split(rec.Body.String(), `"`)[3]
	dave, err := identity.NewHolding("O=Dave, L=London, C=GB", "g")
	if err != nil {
		t.Fatal(err)
	}
	w.vnodes.put(dave.ShortHash(), &vnodev1.VirtualNode{ShortHash: dave.ShortHash()})
	if r := w.servant.lastChange(t).GetCreateVirtualNode(); r.GetX500Name() != "O=Carol, L=London, C=GB" || r.GetCpiChecksum() != "C0FFEE000000" || w.servant.asked[0].Key != "vnode/"+hash {
		t.Errorf("asked %v under %s", r, w.servant.asked[0].Key)
	}
	for body, status := range map[string]int{
		`{"x500Name":"O=Carol","cpiFileChecksum":"c0ffee000000"}`:                                           400,
		`{"x500Name":"O=Carol, L=London, C=GB","cpiFileChecksum":"000000000000"}`:                           404,
		`{"x500Name":"O=Dave, L=London, C=GB","cpiFileChecksum":"C0FFEE000000"}`:                            409,
		`{"x500Name":"O=Carol, L=London, C=GB","cpiFileChecksum":"C0FFEE000000","vaultDdlConnection":"{}"}`: 503,
	} {
		w.want(w.do("alice", "POST /api/v5_2/virtualnode", body), status, "")
	}
	w.want(w.do("alice", "PUT /api/v5_2/virtualnode/"+aliceHash+"/state/maintenance", ""), 200, `{"holdingIdShortHash":"`+aliceHash+`","newState":"MAINTENANCE"}`)
	if r := w.servant.lastChange(t).GetSetVirtualNodeState(); r.GetState() != vnodev1.OperationalStatus_OPERATIONAL_STATUS_INACTIVE {
		t.Errorf("asked %v", r)
	}
	w.want(w.do("alice", "PUT /api/v5_2/virtualnode/"+aliceHash+"/state/asleep", ""), 400, "")
	w.operations.put(hash, &operationv1.OperationStatus{
		RequestId: hash, Kind: operationv1.OperationKind_OPERATION_KIND_CREATE_VIRTUAL_NODE, State: operationv1.OperationState_OPERATION_STATE_SUCCEEDED, ResourceId: hash,
	})
	w.want(w.do("alice", "GET /api/v5_2/virtualnode/status/"+strings.ToLower(hash), ""), 200, `{"requestId":"`+hash+
		`","operation":"CREATE_VIRTUAL_NODE","status":"SUCCEEDED","lastUpdatedTimestamp":"1970-01-01T00:00:00Z","processingStage":null,"errorReason":null,"resourceId":"`+hash+`"}`)
	w.servant.answer = func(Request) (*rpcv1.Reply, error) { return ok(t, &dbv1.SchemaSqlResult{Sql: "CREATE …"}), nil }
	w.want(w.do("alice", "GET /api/v5_2/virtualnode/create/db/vault/C0FFEE000000", ""), 200, "CREATE …")
}

// A permission that is bound to a virtual node holds for every path that names it.
func TestPermissionBoundToAVirtualNode(t *testing.T) {
	w := newWorld(t, Config{})
	w.servant.answer = func(Request) (*rpcv1.Reply, error) { return ok(t, &vnodev1.VirtualNode{}), nil }
	w.perms.put("call", &rbacv1.Permission{Id: "call", Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, Pattern: ".*", VnodeShortHash: aliceHash})
	w.want(w.do("bob", "PUT /api/v5_2/virtualnode/"+strings.ToLower(aliceHash)+"/state/active", ""), 200, "")
	w.want(w.do("bob", "PUT /api/v5_2/virtualnode/"+bobHash+"/state/active", ""), 403, "")
	w.want(w.do("bob", "GET /api/v5_2/certificate/vnode/"+bobHash+"/p2p-tls", ""), 403, "")
	w.want(w.do("bob", "GET /api/v5_2/key/"+bobHash, ""), 403, "")
	w.want(w.do("bob", "GET /api/v5_2/key/"+strings.ToLower(aliceHash), ""), 200, "")
}

// What is denied under one name of a path is denied under the other.
func TestAliasesAreNoWayAround(t *testing.T) {
	w := newWorld(t, Config{})
	deny := rbacv1.PermissionEffect_PERMISSION_EFFECT_DENY
	w.perms.put("call", &rbacv1.Permission{Id: "call", Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, Pattern: ".*"})
	w.want(w.do("bob", "GET /api/v5_2/keys/"+aliceHash, ""), 200, "")
	w.perms.put("start-hello", &rbacv1.Permission{Id: "start-hello", Effect: deny, Pattern: ".*:/api/v5_2/key/.*"})
	w.want(w.do("bob", "GET /api/v5_2/key/"+aliceHash, ""), 403, "")
	w.want(w.do("bob", "GET /api/v5_2/keys/"+aliceHash, ""), 403, "")
	w.perms.put("start-hello", &rbacv1.Permission{Id: "start-hello", Effect: deny, Pattern: ".*:/api/v5_2/key/.*", VnodeShortHash: aliceHash})
	w.want(w.do("bob", "GET /api/v5_2/keys/"+aliceHash, ""), 403, "")
	w.want(w.do("bob", "GET /api/v5_2/keys/"+bobHash, ""), 200, "")
}

func TestKeys(t *testing.T) {
	w := newWorld(t, Config{})
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	key := &cryptov1.Key{Tenant: aliceHash, KeyId: "0123456789AB", Alias: "a", Category: "LEDGER", Scheme: "CORDA.ECDSA.SECP256R1", PublicKey: spki, VaultName: "v", Version: 1}
	w.servant.answer = func(r Request) (*rpcv1.Reply, error) {
		switch o := r.Msg.(*cryptov1.Request).GetOperation().(type) {
		case *cryptov1.Request_GenerateKey:
			w.keys.put(aliceHash+"/0123456789AB", key)
			return ok(t, &cryptov1.GeneratedKey{Key: key, Warning: "another scheme"}, &rpcv1.Fact{Topic: topics.CryptoKeys, Key: aliceHash + "/0123456789AB", Version: 1}), nil
		case *cryptov1.Request_SupportedSchemes:
			return ok(t, &cryptov1.SchemeList{Schemes: []string{"CORDA.RSA"}}), nil
		case *cryptov1.Request_Sign:
			digest := sha256.Sum256(o.Sign.GetData())
			signature, err := private.Sign(rand.Reader, digest[:], nil) // as Vault does
			if err != nil || o.Sign.GetPurpose() != cryptov1.Purpose_PURPOSE_CERTIFICATE_REQUEST || r.Key != "v" {
				return nil, fmt.Errorf("sign: %v %w", o, err)
			}
			return ok(t, &cryptov1.Signature{Signature: signature}), nil
		}
		return nil, fmt.Errorf("no such operation")
	}
	rec := w.do("alice", "POST /api/v5_2/key/"+aliceHash+"/alias/a/category/ledger/scheme/corda.ecdsa.secp256r1", "", "Content-Type: application/json")
	w.want(rec, 200, `{"id":"0123456789AB"}`)
	if got := rec.Header().Get("Warning"); got != `299 - "another scheme"` {
		t.Errorf("warning %q", got)
	}
	w.want(w.do("alice", "GET /api/v5_2/key/"+aliceHash+"?category=LEDGER&take=1", ""), 200,
		`{"0123456789AB":{"keyId":"0123456789AB","alias":"a","hsmCategory":"LEDGER","scheme":"CORDA.ECDSA.SECP256R1","masterKeyAlias":null,"created":"1970-01-01T00:00:00Z"}}`)
	w.want(w.do("alice", "GET /api/v5_2/key/"+aliceHash+"?category=TLS", ""), 200, `{}`)
	w.want(w.do("alice", "GET /api/v5_2/key/"+aliceHash+"?orderBy=colour", ""), 400, "")
	w.want(w.do("alice", "GET /api/v5_2/key/"+aliceHash+"/schemes/TLS", ""), 200, `["CORDA.RSA"]`)
	w.want(w.do("alice", "GET /api/v5_2/key/p2p/schemes/NONE", ""), 400, "")
	if rec := w.do("alice", "GET /api/v5_2/keys/"+aliceHash+"/0123456789ab", ""); rec.Code != 200 || !strings.HasPrefix(rec.Body.String(), "-----BEGIN PUBLIC KEY-----") || rec.Header().Get("Warning") == "" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	rec = w.do("alice", "POST /api/v5_2/certificate/"+aliceHash+"/0123456789AB", `{"x500Name":"CN=Alice, O=Alice, L=London, C=GB","subjectAlternativeNames":["alice.example","127.0.0.1"]}`)
	block, _ := pem.Decode(rec.Body.Bytes())
	if rec.Code != 200 || block == nil {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil || csr.Subject.CommonName != "Alice" || csr.DNSNames[0] != "alice.example" || len(csr.IPAddresses) != 1 {
		t.Errorf("request %v %v", csr, err)
	}
	w.want(w.do("alice", "POST /api/v5_2/hsm/soft/p2p/TLS", ""), 200, "")
}

func testCertificate(t *testing.T) string {
	t.Helper()
	file, _ := writeCertificate(t, t.TempDir(), 1)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCertificates(t *testing.T) {
	w := newWorld(t, Config{})
	w.servant.answer = func(Request) (*rpcv1.Reply, error) { return ok(t, &dbv1.CertificateChain{Chain: "PEM"}), nil }
	cert := testCertificate(t)
	w.want(w.upload("PUT /api/v5_2/certificate/cluster/code-signer", [2]string{"alias", "a"}, [2]string{"certificate", cert}), 204, "")
	if r := w.servant.lastChange(t).GetImportCertificate(); r.GetUsage() != "code-signer" || r.GetAlias() != "a" || r.GetChain() != cert {
		t.Errorf("asked %v", r)
	}
	for name, parts := range map[string][][2]string{
		"no alias": {{"certificate", cert}}, "no chain": {{"alias", "a"}}, "not PEM": {{"alias", "a"}, {"certificate", "x"}},
		"a key": {{"alias", "a"}, {"certificate", strings.ReplaceAll(cert, "CERTIFICATE", "PRIVATE KEY")}}, "more": {{"alias", "a"}, {"certificate", cert}, {"x", "y"}},
	} {
		if rec := w.upload("PUT /api/v5_2/certificates/cluster/code-signer", parts...); rec.Code != 400 || rec.Header().Get("Warning") == "" {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	w.want(w.do("alice", "GET /api/v5_2/certificate/cluster/p2p-tls/a", ""), 200, "PEM")
	w.want(w.do("alice", "GET /api/v5_2/certificate/cluster/other/a", ""), 400, "")
}

func TestConfiguration(t *testing.T) {
	w := newWorld(t, Config{})
	w.configs.put("corda.flow", &configv1.Configuration{Section: "corda.flow", Value: `{"a":1}`, Source: `{}`, Version: 2, SchemaMajor: 1})
	w.want(w.do("alice", "GET /api/v5_2/config/corda.flow", ""), 200, `{"section":"corda.flow","sourceConfig":"{}","configWithDefaults":"{\"a\":1}","version":2,"schemaVersion":{"major":1,"minor":0}}`)
	w.want(w.do("alice", "GET /api/v5_2/config/none", ""), 404, "")
	if rec := w.do("alice", "GET /api/v5_2/config/corda.rbac", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"sourceConfig":"{}"`) || !strings.Contains(rec.Body.String(), `"version":0,`) {
		t.Errorf("a section that nobody changed: %d %s", rec.Code, rec.Body)
	}
	for _, body := range []string{
		`{"section":"s","version":1,"config":"x: 1","schemaVersion":{"major":1,"minor":0}}`, `{"section":"s","version":1,"config":{}}`,
		`{"section":"s","version":-1,"config":{},"schemaVersion":{"major":1,"minor":0}}`, `{"section":"s","version":1,"config":{},"schemaVersion":{"major":1,"minor":0},"x":1}`,
	} {
		w.want(w.do("alice", "PUT /api/v5_2/config", body), 400, "")
	}
}

func TestRolesAndPermissions(t *testing.T) {
	w := newWorld(t, Config{})
	w.servant.answer = func(r Request) (*rpcv1.Reply, error) {
		switch r.Msg.(*dbv1.Request).GetOperation().(type) {
		case *dbv1.Request_CreatePermissions:
			return ok(t, &dbv1.CreatedPermissions{PermissionIds: []string{"p"}}), nil
		case *dbv1.Request_CreatePermission:
			return ok(t, &rbacv1.Permission{Id: "p", Effect: rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW, Pattern: "x"}), nil
		default:
			return ok(t, &rbacv1.Role{Id: "r", Name: "n", PermissionIds: []string{"p"}, PermissionSinceUs: []int64{1}}), nil
		}
	}
	w.want(w.do("alice", "POST /api/v5_2/role", `{"roleName":"n"}`), 201, `{"id":"r","version":0,"updateTimestamp":"1970-01-01T00:00:00Z","roleName":"n","groupVisibility":null,"permissions":[{"id":"p","createdTimestamp":"1970-01-01T00:00:00.000001Z"}]}`)
	w.want(w.do("alice", "POST /api/v5_2/permission", `{"permissionType":"ALLOW","permissionString":"x"}`), 201, "")
	w.want(w.do("alice", "POST /api/v5_2/permission", `{"permissionType":"PERHAPS","permissionString":"x"}`), 400, "")
	w.want(w.do("alice", "POST /api/v5_2/permission", `{"permissionType":"ALLOW","permissionString":"(?=x)"}`), 400, "")
	w.want(w.do("alice", "POST /api/v5_2/permission/bulk", `{"permissionsToCreate":[{"permissionType":"DENY","permissionString":"y"}],"roleIds":["r"]}`), 201, `{"permissionIds":["p"],"roleIds":[]}`)
	w.want(w.do("alice", "PUT /api/v5_2/role/r/permission/p", ""), 200, "")
	w.want(w.do("alice", "DELETE /api/v5_2/role/r/permission/p", ""), 200, "")
	w.want(w.do("alice", "GET /api/v5_2/role", ""), 200, "")
	w.want(w.do("alice", "GET /api/v5_2/role/bob", ""), 200, "")
	w.want(w.do("alice", "GET /api/v5_2/permission?limit=10&permissionType=ALLOW&permissionStringPrefix=Start", ""), 200,
		`[{"id":"start-hello","version":0,"updateTimestamp":"1970-01-01T00:00:00Z","groupVisibility":null,"virtualNode":null,"permissionType":"ALLOW","permissionString":"StartFlow:hello"}]`)
	w.want(w.do("alice", "GET /api/v5_2/permission?permissionType=ALLOW", ""), 400, "")
	w.want(w.do("alice", "GET /api/v5_2/user/bob/permissionSummary", ""), 301, "")
	w.want(w.do("alice", "GET /api/v5_2/user/bob/permissionsummary", ""), 200, "")
}
