package devenv

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// channelled is the package of an application with channels.
func channelled(t *testing.T, all ...*cpiv1.ChannelDeclaration) []byte {
	t.Helper()
	key, err := keystore.Dev(filepath.Join(t.TempDir(), "key.pem"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var code, bundle, whole bytes.Buffer
	err = cpi.WriteCPK(&code, cpi.Code{Name: "orders", Version: "1", Channels: all, Modules: []cpi.CodeModule{{
		Name: "orders", Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, WASM: []byte("\x00asm\x01\x00\x00\x00"), Flows: []*cpiv1.FlowClass{{Name: "take", Startable: true}},
	}}}, key)
	if err == nil {
		err = cpi.WriteCPB(&bundle, devPackage, "1", []cpi.Part{{Source: bytes.NewReader(code.Bytes()), Size: int64(code.Len())}}, key)
	}
	var policy []byte
	if err == nil {
		policy, err = cpi.StaticGroupPolicy(GroupID(), []identity.Name{{Organization: "Alice", Locality: "London", Country: "GB"}})
	}
	if err == nil {
		err = cpi.WriteCPI(&whole, devPackage, "1", policy, &cpi.Part{Source: bytes.NewReader(bundle.Bytes()), Size: int64(bundle.Len())}, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return whole.Bytes()
}

// The topics of an application's channels are known before its virtual nodes are made, as the cluster routes them.
func TestChannelsArePlanned(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v5_2/config/corda.externalMessaging" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprint(w, `{"configWithDefaults":"{\"routeDefaults\":{\"sendTopicPattern\":\"in.$HOLDING_ID.$CHANNEL_NAME\",\"receiveTopicPattern\":\"out.$CHANNEL_NAME\",\"feedTopicPattern\":\"f\",\"active\":true}}"}`)
	}))
	defer s.Close()
	c := &Cluster{nodes: []VirtualNode{{ShortHash: "A6B620476147", folder: "orders"}, {ShortHash: "B6B620476147", folder: "other"}}}
	got, err := c.plannedChannels(t.Context(), &api{base: s.URL, http: s.Client()}, map[string]Application{"orders": {Name: "orders", Package: channelled(t,
		&cpiv1.ChannelDeclaration{Name: "orders", Kind: cpiv1.ChannelKind_CHANNEL_KIND_RECEIVE, FlowClass: "take"},
		&cpiv1.ChannelDeclaration{Name: "deals", Kind: cpiv1.ChannelKind_CHANNEL_KIND_SEND},
	)}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[{deals out.deals A6B620476147 send} {orders in.A6B620476147.orders A6B620476147 receive}]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
