// Command admin measures what an operator waits for: the upload of a package of 20 MiB and a hundred virtual nodes, on a
// cluster as `fairlead dev` starts it, through REST. It prints times, and the memory of the process of all workers.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/app"
	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
	"github.com/fairleadio/fairlead/internal/devenv"
	"github.com/fairleadio/fairlead/internal/sandbox"
)

const (
	packageBytes = 20 << 20
	nodes        = 100
	patience     = 2 * time.Minute
	lookEvery    = 10 * time.Millisecond
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench admin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "bench-admin")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	whole, err := pack(ctx, dir)
	if err != nil {
		return fmt.Errorf("make the package: %w", err)
	}
	began := time.Now()
	cluster, err := devenv.Start(ctx, devenv.Options{
		Dir: filepath.Join(dir, "dev"), CacheDir: filepath.Join(dir, "cache"), SignerFile: filepath.Join(dir, "signer.pem"), RestAddress: "127.0.0.1:0",
		Workers: []string{app.Crypto, app.Database, app.Flow, app.FlowMapper, app.Persistence, app.Rest}, Build: "bench",
	})
	if err != nil {
		return fmt.Errorf("start a cluster: %w", err)
	}
	defer func() { err = errors.Join(err, cluster.Close(context.WithoutCancel(ctx))) }()
	info := cluster.Info()
	c, err := newClient(info)
	if err != nil {
		return err
	}
	fmt.Printf("a cluster of all workers, its data directory made: %.1f s, %d MiB resident\n", time.Since(began).Seconds(), resident())

	began = time.Now()
	checksum, err := c.upload(ctx, whole)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	fmt.Printf("package of %.1f MiB uploaded, checked, compiled, published: %.2f s, %d MiB resident, %d MiB at most\n", float64(len(whole))/(1<<20), time.Since(began).Seconds(), resident(), peak())

	began = time.Now()
	var took []time.Duration
	for n := range nodes {
		one := time.Now()
		if err := c.makeNode(ctx, fmt.Sprintf("O=Member %d, L=London, C=GB", n), checksum); err != nil {
			return fmt.Errorf("virtual node %d: %w", n, err)
		}
		took = append(took, time.Since(one))
	}
	whole100 := time.Since(began)
	slices.Sort(took)
	fmt.Printf("%d virtual nodes, one after the other: %.1f s, median %d ms, slowest %d ms, %d MiB resident\n", nodes, whole100.Seconds(), took[nodes/2].Milliseconds(), took[nodes-1].Milliseconds(), resident())

	began = time.Now()
	for n := range nodes {
		if err := c.flow(ctx, fmt.Sprintf("O=Member %d, L=London, C=GB", n), n); err != nil {
			return fmt.Errorf("flow on virtual node %d: %w", n, err)
		}
	}
	fmt.Printf("a flow on each, which reads its table, one after the other: %.1f s, %d MiB resident, %d MiB at most\n", time.Since(began).Seconds(), resident(), peak())
	return nil
}

// pack builds the example application chat and blows its module up with what does not compress.
func pack(ctx context.Context, dir string) ([]byte, error) {
	runtime, err := sandbox.New(ctx, sandbox.Config{CacheDir: filepath.Join(dir, "compiled")})
	if err != nil {
		return nil, err
	}
	defer func() { _ = runtime.Close(ctx) }() // the process ends with it
	built, err := appbuild.Builder{Runtime: runtime}.Package(ctx, "apps/chat")
	if err != nil {
		return nil, err
	}
	key, err := keystore.Dev(filepath.Join(dir, "signer.pem"), time.Now())
	if err != nil {
		return nil, err
	}
	var members []identity.Name
	for n := range nodes {
		name, err := identity.ParseName(fmt.Sprintf("O=Member %d, L=London, C=GB", n))
		if err != nil {
			return nil, err
		}
		members = append(members, name)
	}
	policy, err := cpi.StaticGroupPolicy(devenv.GroupID(), members)
	if err != nil {
		return nil, err
	}
	ballast := make([]byte, packageBytes)
	if _, err := rand.Read(ballast); err != nil {
		return nil, err
	}
	// A custom section (id 0): size, name, content.
	section := append([]byte{7}, "ballast"...)
	section = append(section, ballast...)
	built.Modules[0].WASM = append(append(append(built.Modules[0].WASM, 0), binary.AppendUvarint(nil, uint64(len(section)))...), section...)
	var code, bundle, whole bytes.Buffer
	if err := cpi.WriteCPK(&code, built.Code, key); err != nil {
		return nil, err
	}
	if err := cpi.WriteCPB(&bundle, "bench", "1.0", []cpi.Part{{Source: bytes.NewReader(code.Bytes()), Size: int64(code.Len())}}, key); err != nil {
		return nil, err
	}
	if err := cpi.WriteCPI(&whole, "bench", "1.0", policy, &cpi.Part{Source: bytes.NewReader(bundle.Bytes()), Size: int64(bundle.Len())}, key); err != nil {
		return nil, err
	}
	return whole.Bytes(), nil
}

// client calls REST as the administrator.
type client struct {
	base, user, password string
	http                 *http.Client
}

func newClient(info devenv.Info) (*client, error) {
	pem, err := os.ReadFile(info.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", info.CAFile)
	}
	return &client{info.API + "/api/v5_2", info.User, info.Password, &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}},
	}}, nil
}

func (c *client) call(ctx context.Context, method, path, kind string, body io.Reader, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	r.SetBasicAuth(c.user, c.password)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s %s: %q: %w", method, path, text, err)
	}
	return nil
}

// until looks until it is done.
func until(ctx context.Context, look func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		done, err := look()
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *client) upload(ctx context.Context, file []byte) (string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("upload", "bench.cpi")
	if err != nil {
		return "", err
	}
	if _, err := part.Write(file); err != nil {
		return "", err
	}
	if err := form.Close(); err != nil {
		return "", err
	}
	var begun struct{ ID string }
	if err := c.call(ctx, http.MethodPost, "/cpi", form.FormDataContentType(), &body, &begun); err != nil {
		return "", err
	}
	var s struct{ Status, CPIFileChecksum string }
	err = until(ctx, func() (bool, error) {
		err := c.call(ctx, http.MethodGet, "/cpi/status/"+begun.ID, "", nil, &s)
		return s.Status == "OK", err
	})
	return s.CPIFileChecksum, err
}

func (c *client) makeNode(ctx context.Context, name, checksum string) error {
	body, err := json.Marshal(map[string]string{"x500Name": name, "cpiFileChecksum": checksum})
	if err != nil {
		return err
	}
	var begun struct{ RequestID string }
	if err := c.call(ctx, http.MethodPost, "/virtualnode", "application/json", bytes.NewReader(body), &begun); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		var s struct {
			Status      string
			ErrorReason *string
		}
		err := c.call(ctx, http.MethodGet, "/virtualnode/status/"+begun.RequestID, "", nil, &s)
		if err == nil && s.ErrorReason != nil {
			err = errors.New(*s.ErrorReason)
		}
		return s.Status == "SUCCEEDED", err
	})
}

// flow runs chat-list on a virtual node to its end.
func (c *client) flow(ctx context.Context, name string, n int) error {
	holding, err := identity.NewHolding(name, devenv.GroupID())
	if err != nil {
		return err
	}
	id := "list-" + strconv.Itoa(n)
	body, err := json.Marshal(map[string]any{"clientRequestId": id, "flowClassName": "chat-list", "requestBody": map[string]string{}})
	if err != nil {
		return err
	}
	var s struct{ FlowStatus string }
	if err := c.call(ctx, http.MethodPost, "/flow/"+holding.ShortHash(), "application/json", bytes.NewReader(body), &s); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		err := c.call(ctx, http.MethodGet, "/flow/"+holding.ShortHash()+"/"+id, "", nil, &s)
		if s.FlowStatus == "FAILED" || s.FlowStatus == "KILLED" {
			err = errors.New("it is " + s.FlowStatus)
		}
		return s.FlowStatus == "COMPLETED", err
	})
}

// resident and peak are this process's memory now and at most, MiB; 0 where the system does not tell.
func resident() int { return memory("VmRSS:") }
func peak() int     { return memory("VmHWM:") }

func memory(name string) int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				return 0
			}
			return kib >> 10
		}
	}
	return 0
}
