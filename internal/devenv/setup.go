package devenv

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/channels"
	"github.com/fairleadio/fairlead/internal/cpi"
	"github.com/fairleadio/fairlead/internal/cpi/keystore"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// This file sets a whole cluster up the way an operator would: through REST, as the administrator.

// setUpWait bounds how long one step of setting up may take.
const setUpWait = 2 * time.Minute

// lookEvery is how often something that takes a while is looked at.
const lookEvery = 100 * time.Millisecond

// api calls the cluster's REST interface as its administrator.
type api struct {
	base, user, password string
	http                 *http.Client
}

// apiError is an answer that is no success.
type apiError struct {
	status    int
	id, title string
}

func (e *apiError) Error() string { return strings.TrimPrefix(e.id+": "+e.title, ": ") }

func (c *Cluster) newAPI() (*api, error) {
	authority, err := os.ReadFile(c.info.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's CA: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &api{c.info.API, c.info.User, c.info.Password, &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
	}}}, nil
}

func (a *api) close() { a.http.CloseIdleConnections() }

// call makes a call and reads the answer into into, unless that is nil.
func (a *api) call(ctx context.Context, method, path, contentType string, body io.Reader, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, a.base+"/api/v5_2"+path, body)
	if err != nil {
		return err
	}
	r.SetBasicAuth(a.user, a.password)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		e := &apiError{status: resp.StatusCode, id: resp.Header.Get("Fairlead-Error-Id")}
		var told struct{ Title string }
		if json.Unmarshal(text, &told) == nil {
			e.title = told.Title
		}
		return e
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (a *api) get(ctx context.Context, path string, into any) error {
	return a.call(ctx, http.MethodGet, path, "", nil, into)
}

// until looks until it is done, or fails for another reason than not yet.
func until(ctx context.Context, look func(ctx context.Context) (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, setUpWait)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		done, err := look(ctx)
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

// setUp waits for the administrator, installs the application, and makes the virtual nodes.
func (c *Cluster) setUp(ctx context.Context, apps map[string]Application) error {
	api, err := c.newAPI()
	if err != nil {
		return err
	}
	defer api.close()
	began := time.Now()
	err = until(ctx, func(ctx context.Context) (bool, error) {
		err := api.get(ctx, "/user/"+c.info.User, nil)
		var refused *apiError
		if errors.As(err, &refused) && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests}, refused.status) {
			return false, nil // not yet published
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the administrator: %w", err)
	}
	if c.opts.TrustedOnly {
		if err := c.trustDeveloper(ctx, api); err != nil {
			return fmt.Errorf("trusting the developer's key: %w", err)
		}
	}
	if len(apps) == 0 {
		return nil
	}
	if err := c.deploy(ctx, api, apps); err != nil {
		return err
	}
	c.opts.Step("the application is on its virtual nodes", time.Since(began))
	return c.makeKeys(ctx, api)
}

// developerAlias is under which name the developer's certificate is imported.
const developerAlias = "fairlead-dev"

// trustDeveloper imports the certificate of the key that signs the cluster's own packages, which a cluster that takes
// packages of trusted signers only would refuse.
func (c *Cluster) trustDeveloper(ctx context.Context, a *api) error {
	key, err := keystore.Dev(c.signer(), time.Now())
	if err != nil {
		return err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("alias", developerAlias); err != nil {
		return err
	}
	part, err := form.CreateFormFile("certificate", "dev-signer.pem")
	if err != nil {
		return err
	}
	for _, certificate := range key.Chain {
		if err := pem.Encode(part, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}); err != nil {
			return err
		}
	}
	if err := form.Close(); err != nil {
		return err
	}
	return a.call(ctx, http.MethodPut, "/certificate/cluster/code-signer", form.FormDataContentType(), &body, nil)
}

// losesStates is the id of the refusal of a package that could not consume what a virtual node keeps: its money, mostly. The
// cluster goes on with the package that is there.
const losesStates = "FL-DB-026"

// deploy uploads the packages of applications, by folder, unless they are there, and puts them on their virtual nodes.
func (c *Cluster) deploy(ctx context.Context, api *api, apps map[string]Application) error {
	for folder, a := range apps {
		if err := api.upload(ctx, &a); err != nil {
			return fmt.Errorf("installing %s: %w", a.Name, err)
		}
		apps[folder] = a // with the checksum of the package that is there
	}
	var have struct {
		VirtualNodes []struct {
			Holding struct {
				ShortHash string `json:"shortHash"`
			} `json:"holdingIdentity"`
			Cpi struct {
				Version string `json:"cpiVersion"`
			} `json:"cpiIdentifier"`
		}
	}
	if err := api.get(ctx, "/virtualnode", &have); err != nil {
		return err
	}
	versions := map[string]string{}
	for _, v := range have.VirtualNodes {
		versions[v.Holding.ShortHash] = v.Cpi.Version
	}
	// Before the virtual nodes: whoever follows a channel looks for its topic at once.
	planned, err := c.plannedChannels(ctx, api, apps)
	if err != nil {
		return err
	}
	if _, err := c.cluster.prepareTopics(ctx, planned...); err != nil {
		return err
	}
	for _, n := range c.nodes {
		a, changed := apps[n.folder]
		if !changed {
			continue
		}
		version, exists := versions[n.ShortHash]
		var err error
		switch {
		case !exists:
			body, _ := json.Marshal(map[string]string{"x500Name": n.X500Name, "cpiFileChecksum": a.Checksum}) // strings always encode
			err = api.operate(ctx, http.MethodPost, "/virtualnode", bytes.NewReader(body))
		case version != a.Version:
			err = api.operate(ctx, http.MethodPut, "/virtualnode/"+n.ShortHash+"/cpi/"+a.Checksum+"?forceupgrade=true&keepstates=true", nil)
			if err != nil && strings.Contains(err.Error(), losesStates) {
				c.log.Warn("a virtual node keeps the package that it has", "vnode", n.Name, "has", version, "not", a.Version)
				err = nil
			}
		}
		if err != nil {
			return fmt.Errorf("installing %s on virtual node %s: %w", a.Name, n.Name, err)
		}
	}
	c.installed(apps)
	return nil
}

// plannedChannels are the channels that the virtual nodes will have with these applications.
func (c *Cluster) plannedChannels(ctx context.Context, a *api, apps map[string]Application) ([]topics.Channel, error) {
	var section struct {
		Value string `json:"configWithDefaults"`
	}
	if err := a.get(ctx, "/config/"+channels.Section, &section); err != nil {
		return nil, fmt.Errorf("reading how channels are routed: %w", err)
	}
	var out []topics.Channel
	for _, n := range c.nodes {
		application, changed := apps[n.folder]
		if !changed {
			continue
		}
		p, err := cpi.OpenBytes(application.Package, cpi.Options{Kind: cpi.CPI, Trust: cpi.Trust{AnySigner: true}})
		if err != nil {
			return nil, fmt.Errorf("reading the package of %s: %w", application.Name, err)
		}
		info := p.ToProto()
		routes, err := channels.Bind(n.ShortHash, info, section.Value)
		if err != nil {
			return nil, fmt.Errorf("application %s: %w", application.Name, err)
		}
		out = append(out, channels.Rows(channels.Of(&vnodev1.VirtualNode{ShortHash: n.ShortHash, Channels: routes}, info))...)
	}
	return out, nil
}

// upload uploads the package unless its code is there already, signed at another time: then that package is taken.
func (a *api) upload(ctx context.Context, app *Application) error {
	var list struct {
		Cpis []struct {
			ID struct {
				Name    string `json:"cpiName"`
				Version string `json:"cpiVersion"`
			} `json:"id"`
			Checksum string `json:"cpiFileChecksum"`
		}
	}
	if err := a.get(ctx, "/cpi", &list); err != nil {
		return err
	}
	for _, c := range list.Cpis {
		if c.ID.Name == devPackage && c.ID.Version == app.Version {
			app.Checksum = c.Checksum
			return nil
		}
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("upload", app.Name+".cpi")
	if err != nil {
		return err
	}
	if _, err := part.Write(app.Package); err != nil {
		return err
	}
	if err := form.Close(); err != nil {
		return err
	}
	var begun struct{ ID string }
	if err := a.call(ctx, http.MethodPost, "/cpi", form.FormDataContentType(), &body, &begun); err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) (bool, error) {
		var s struct{ Status string }
		err := a.get(ctx, "/cpi/status/"+begun.ID, &s)
		return s.Status == "OK", err
	})
}

// operate begins an operation on a virtual node and waits for its end.
func (a *api) operate(ctx context.Context, method, path string, body io.Reader) error {
	var begun struct {
		RequestID string `json:"requestId"`
	}
	if err := a.call(ctx, method, path, "application/json", body, &begun); err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) (bool, error) {
		var s struct {
			Status string  `json:"status"`
			Reason *string `json:"errorReason"`
		}
		if err := a.get(ctx, "/virtualnode/status/"+begun.RequestID, &s); err != nil {
			return false, err
		}
		if s.Status == "FAILED" || s.Status == "ABORTED" {
			reason := s.Status
			if s.Reason != nil {
				reason = *s.Reason
			}
			return false, errors.New(reason)
		}
		return s.Status == "SUCCEEDED", nil
	})
}
