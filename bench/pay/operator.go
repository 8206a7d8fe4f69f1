package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
	"github.com/fairleadio/fairlead/internal/devenv"
)

// operator calls REST as the administrator.
type operator struct {
	base, user, password string
	http                 *http.Client
}

// newOperator is the one of a dev cluster.
func newOperator(info devenv.Info) (*operator, error) {
	pem, err := os.ReadFile(info.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", info.CAFile)
	}
	password, err := os.ReadFile(info.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("read the administrator's password: %w", err)
	}
	return &operator{info.API, info.User, strings.TrimSpace(string(password)), &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}},
	}}, nil
}

// call makes a call; body and into may be nil.
func (o *operator) call(ctx context.Context, method, path string, body, into any) error {
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode a call: %w", err)
		}
		sent = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, o.base+"/api/v5_2"+path, sent)
	if err != nil {
		return err
	}
	r.SetBasicAuth(o.user, o.password)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := o.http.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// until looks until it is done.
func (o *operator) until(ctx context.Context, look func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return kafkatest.Until(ctx, 50*time.Millisecond, look)
}

// makeNode makes a virtual node.
func (o *operator) makeNode(ctx context.Context, name, checksum string) error {
	var begun struct{ RequestID string }
	if err := o.call(ctx, http.MethodPost, "/virtualnode", map[string]string{"x500Name": name, "cpiFileChecksum": checksum}, &begun); err != nil {
		return err
	}
	return o.until(ctx, func() (bool, error) {
		var s struct {
			Status      string
			ErrorReason *string
		}
		err := o.call(ctx, http.MethodGet, "/virtualnode/status/"+begun.RequestID, nil, &s)
		if err == nil && s.ErrorReason != nil {
			err = errors.New(*s.ErrorReason)
		}
		return s.Status == "SUCCEEDED", err
	})
}
