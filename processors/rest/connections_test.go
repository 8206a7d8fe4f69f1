package rest

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

const (
	secret     = "canary-7f3a"
	connection = `{"database":{"jdbc":{"url":"jdbc:postgresql://db:5432/vault"},"user":"u","pass":"` + secret + `"}}`
)

// sealing makes the server seal connections, visibly: the record's key stands before them.
func (w *world) sealing() {
	w.server.parts.Seal = func(key string, c *dbv1.Connections) ([]byte, error) {
		raw, err := proto.Marshal(c)
		return append([]byte(key+"\x00"), raw...), err
	}
}

func (w *world) unsealed(key string, sealed []byte) *dbv1.Connections {
	w.t.Helper()
	place, raw, found := strings.Cut(string(sealed), "\x00")
	c := &dbv1.Connections{}
	if err := proto.Unmarshal([]byte(raw), c); err != nil || !found || place != key {
		w.t.Fatalf("sealed for %q, want %q: %v", place, key, err)
	}
	return c
}

func inJSON(t *testing.T, text string) string {
	t.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestConnectionsOfCallers(t *testing.T) {
	w := newWorld(t, Config{})
	w.servant.answer = func(Request) (*rpcv1.Reply, error) { return ok(t, &dbv1.AcceptedOperation{RequestId: "r1"}), nil }
	create := func(more string) string {
		return `{"request":{"x500Name":"O=Carol, L=London, C=GB","cpiFileChecksum":"C0FFEE000000",` + more + `}}`
	}
	body := create(`"vaultDdlConnection":` + inJSON(t, connection) + `,"vaultDmlConnection":` + connection)
	rec := w.do("alice", "POST /api/v5_2/virtualnode", body)
	if rec.Code != 503 || rec.Header().Get(headerErrorID) != idNoSealKey || strings.Contains(rec.Body.String(), secret) || len(w.servant.asked) != 0 {
		t.Errorf("without a key: %d %s", rec.Code, rec.Body)
	}
	w.sealing()
	w.want(w.do("alice", "POST /api/v5_2/virtualnode", body), 202, "")
	key := w.servant.asked[0].Key
	c := w.unsealed(key, w.servant.lastChange(t).GetCreateVirtualNode().GetSealedConnections())
	if c.GetVaultDdl() != connection || c.GetVaultDml() != connection {
		t.Errorf("sealed %v", c)
	}
	for member, warned := range map[string]bool{
		`"cryptoDdlConnection":` + connection: true, `"cryptoDmlConnection":` + inJSON(t, connection): true, `"uniquenessDdlConnection":"x"`: true,
		`"uniquenessDmlConnection":"none"`: false, `"uniquenessDmlConnection":null`: false, `"cryptoDdlConnection":""`: false,
	} {
		rec := w.do("alice", "POST /api/v5_2/virtualnode", create(member))
		warning := rec.Header().Get("Warning")
		if rec.Code != 202 || (warning != "") != warned || strings.Contains(warning, secret) {
			t.Errorf("%s: %d %q %s", member, rec.Code, warning, rec.Body)
		}
		if sealed := w.servant.lastChange(t).GetCreateVirtualNode().GetSealedConnections(); sealed != nil {
			t.Errorf("%s was sent", member)
		}
	}
	for _, member := range []string{`"vaultDmlConnection":["` + secret + `"]`, `"vaultDmlConnection":5`, `"vaultDmlConnections":"` + secret + `"`} {
		rec := w.do("alice", "POST /api/v5_2/virtualnode", create(member))
		if rec.Code != 400 || strings.Contains(rec.Body.String(), secret) || !strings.Contains(rec.Body.String(), "vaultDmlConnection") {
			t.Errorf("%s: %d %s", member, rec.Code, rec.Body)
		}
	}
}

func TestChangeOfConnections(t *testing.T) {
	w := newWorld(t, Config{})
	w.sealing()
	w.servant.answer = func(Request) (*rpcv1.Reply, error) { return ok(t, &dbv1.AcceptedOperation{RequestId: "r1"}), nil }
	path := "PUT /api/v5_2/virtualnode/" + strings.ToLower(aliceHash) + "/db"
	w.want(w.do("alice", path, `{"request":{"vaultDmlConnection":`+connection+`}}`), 202, `{"requestId":"r1"}`)
	r := w.servant.lastChange(t).GetUpdateVirtualNodeDb()
	if c := w.unsealed("vnode/"+aliceHash, r.GetSealedConnections()); r.GetShortHash() != aliceHash || c.GetVaultDml() != connection || c.GetVaultDdl() != "" {
		t.Errorf("asked %v", r)
	}
	w.want(w.do("alice", path, `{}`), 202, `{"requestId":"r1"}`)
	if r := w.servant.lastChange(t).GetUpdateVirtualNodeDb(); r.GetShortHash() != aliceHash || r.GetSealedConnections() != nil {
		t.Errorf("asked %v", r)
	}
	w.want(w.do("alice", path, ``), 400, "")
	w.want(w.do("alice", path, `{"x500Name":"x"}`), 400, "")
	w.want(w.do("alice", "PUT /api/v5_2/virtualnode/000000000000/db", `{}`), 404, "")
	w.want(w.do("bob", path, `{}`), 403, "")
}

// There are no wrapping keys: nobody must believe that any were rotated.
func TestWrappingKeys(t *testing.T) {
	w := newWorld(t, Config{})
	const path = " /api/v5_2/wrappingkey/rotation/"
	w.want(w.do("alice", "GET"+path+"MASTER", ""), 404, cordaError(404, "No master wrapping key rotation is in progress."))
	w.want(w.do("alice", "GET"+path+aliceHash, ""), 404, cordaError(404, "No key rotation for "+aliceHash+" is in progress."))
	for tenant, status := range map[string]int{"master": 405, "p2p": 405, "rest": 405, aliceHash: 405, "000000000000": 404, "zz": 400} {
		rec := w.do("alice", "POST"+path+tenant, "")
		if rec.Code != status || status == 405 && (rec.Header().Get("Allow") != "GET" || rec.Header().Get(headerErrorID) != idNoRotation) {
			t.Errorf("%s: %d %v %s", tenant, rec.Code, rec.Header(), rec.Body)
		}
	}
	w.want(w.do("bob", "POST"+path+"master", ""), 403, "")
	w.want(w.do("alice", "GET /api/v5_2/wrappingkey/getprotocolversion", ""), 200, "")
	if len(w.servant.asked) != 0 {
		t.Errorf("asked %v", w.servant.asked)
	}
}
