package development

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
	"github.com/fairleadio/fairlead/internal/devenv"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

// A cluster that takes packages of trusted signers only takes its own, and no stranger's; the usual one looks at none. In
// both the topics of channels are there before anybody follows them.
func TestSigners(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	for _, c := range []struct {
		trustedOnly bool
		refusal     string
	}{{true, cpi.ErrUntrusted}, {false, ""}} {
		running, err := try(t, func(o *devenv.Options) {
			o.Dir, o.App, o.Workers, o.TrustedOnly = shortDir(t), "../../apps/orders", app.Available(), c.trustedOnly
		})
		if err != nil {
			t.Fatalf("trusted only %v: %v", c.trustedOnly, err)
		}
		cluster := client(t, running)
		told := cluster.upload(stranger(t))
		if c.refusal == "" && strings.Contains(told, cpi.ErrUntrusted) || !strings.Contains(told, c.refusal) {
			t.Errorf("trusted only %v: a stranger's package: %s, want %s", c.trustedOnly, told, c.refusal)
		}
		cluster.stop()
		log, err := os.ReadFile(cluster.Info().LogFile)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), "does not exist") {
			t.Errorf("trusted only %v: a topic was followed before it was there:\n%s", c.trustedOnly, log)
		}
	}
}

// stranger is a package that somebody else signed. Its module runs nowhere, which is looked at after the signers.
func stranger(t *testing.T) []byte {
	t.Helper()
	key, err := keystore.Dev(filepath.Join(t.TempDir(), "stranger.pem"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var code, bundle, whole bytes.Buffer
	err = cpi.WriteCPK(&code, cpi.Code{Name: "strange", Version: "1", Modules: []cpi.CodeModule{{
		Name: "strange", Kind: cpiv1.ModuleKind_MODULE_KIND_FLOW, WASM: []byte("\x00asm\x01\x00\x00\x00"), Flows: []*cpiv1.FlowClass{{Name: "strange", Startable: true}},
	}}}, key)
	if err == nil {
		err = cpi.WriteCPB(&bundle, "strange", "1", []cpi.Part{{Source: bytes.NewReader(code.Bytes()), Size: int64(code.Len())}}, key)
	}
	var policy []byte
	if err == nil {
		policy, err = cpi.StaticGroupPolicy(devenv.GroupID(), []identity.Name{{Organization: "Alice", Locality: "London", Country: "GB"}})
	}
	if err == nil {
		err = cpi.WriteCPI(&whole, "strange", "1", policy, &cpi.Part{Source: bytes.NewReader(bundle.Bytes()), Size: int64(bundle.Len())}, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return whole.Bytes()
}

// upload uploads a package and returns what is said of it in the end.
func (c *cluster) upload(file []byte) string {
	c.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("upload", "x.cpi")
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	ask := func(method, path, contentType string, body io.Reader) (status int, id, text string) {
		r, err := http.NewRequestWithContext(ctx, method, c.Info().API+"/api/v5_2"+path, body)
		if err != nil {
			c.Fatal(err)
		}
		r.SetBasicAuth(c.Info().User, c.Info().Password)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		resp, err := c.http.Do(r)
		if err != nil {
			c.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			c.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Fairlead-Error-Id"), string(b)
	}
	status, refused, text := ask(http.MethodPost, "/cpi", form.FormDataContentType(), &body)
	id := ""
	for status == http.StatusOK {
		var s struct{ ID, Status string }
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			c.Fatalf("%s: %v", text, err)
		}
		if s.Status == "OK" {
			break
		}
		if s.ID != "" {
			id = s.ID
		}
		status, refused, text = ask(http.MethodGet, "/cpi/status/"+id, "", nil)
	}
	return refused + " " + text
}
