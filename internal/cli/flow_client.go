package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// restClient calls the REST interface of the settings.
type restClient struct {
	base, user, password string
	http                 *http.Client
	// gone tells that the cluster is a development cluster that does not run; empty for others.
	gone func() string
}

// maxAnswer bounds what is read of an answer, bytes.
const maxAnswer = 64 << 20

// rest makes a client of this command's settings.
func (g *Globals) rest() (*restClient, error) {
	s, err := g.Settings()
	if err != nil {
		return nil, err
	}
	if s.API == "" {
		return nil, errors.New("no REST interface is known: name it with --api, FAIRLEAD_API or a context; `fairlead dev` writes a context")
	}
	if !strings.HasPrefix(s.API, "https://") && !strings.HasPrefix(s.API, "http://") {
		return nil, fmt.Errorf("--api %s: a URL such as https://localhost:8888 is needed", s.API)
	}
	c := &restClient{base: strings.TrimRight(s.API, "/"), user: s.User, password: g.env(envPassword), gone: func() string { return "" }}
	if g.flags.api == "" {
		c.gone = func() string { return goneDev(s) }
	}
	if c.password == "" && s.PasswordFile != "" {
		b, err := os.ReadFile(g.Path(s.PasswordFile))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("read the password: %w: was this a development cluster that is discarded? `fairlead dev` begins a new one", err)
			}
			return nil, fmt.Errorf("read the password: %w", err)
		}
		c.password = strings.TrimRight(string(b), "\r\n")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if g.Dial != nil {
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return g.Dial(ctx, network, address)
		}
	}
	if s.CAFile != "" {
		pem, err := os.ReadFile(g.Path(s.CAFile))
		if err != nil {
			return nil, fmt.Errorf("read the CA of the REST interface: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s holds no PEM certificate", s.CAFile)
		}
	}
	c.http = &http.Client{Transport: transport}
	return c, nil
}

func (c *restClient) close() { c.http.CloseIdleConnections() }

// restError is an answer that is no success.
type restError struct {
	status int
	// id is the stable id, text the message, details what else was said.
	id, text string
	details  map[string]string
}

func (e *restError) Error() string {
	var b strings.Builder
	if e.id != "" && !strings.HasPrefix(e.text, e.id) {
		b.WriteString(e.id + ": ")
	}
	b.WriteString(e.text)
	for _, name := range []string{"reason", "startableFlows"} {
		if v := e.details[name]; v != "" {
			fmt.Fprintf(&b, " (%s: %s)", name, v)
		}
	}
	return b.String()
}

// coded gives the error the exit code that it means: by its id where the status says less, as Corda has it, or by its status.
func (e *restError) coded() error {
	switch e.id {
	case idNotStartable, "FL-REST-029":
		return &codedError{ExitNotFound, e}
	case "FL-DB-008", "FL-DB-010": // the virtual node's state or its package does not let it be upgraded
		return &codedError{ExitRefused, e}
	}
	switch e.status {
	case http.StatusNotFound:
		return &codedError{ExitNotFound, e}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusTooManyRequests:
		return &codedError{ExitRefused, e}
	default:
		return e
	}
}

// do makes a call; body is JSON or nil. The status is one below 300.
func (c *restClient) do(ctx context.Context, method, path string, body any, header ...string) (status int, answer []byte, err error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("encode the request: %w", err)
		}
		content = bytes.NewReader(b)
		header = append(header, "Content-Type", "application/json")
	}
	return c.exchange(ctx, method, path, content, header...)
}

// exchange makes a call with a body of any kind.
func (c *restClient) exchange(ctx context.Context, method, path string, content io.Reader, header ...string) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return 0, nil, fmt.Errorf("make the request: %w", err)
	}
	if c.user != "" {
		r.SetBasicAuth(c.user, c.password)
	}
	r.Header.Set("Accept", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, nil, reachError(c.base, c.gone(), err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, reachError(c.base, c.gone(), err)
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp.StatusCode, answer, nil
	}
	e := &restError{status: resp.StatusCode, id: resp.Header.Get("Fairlead-Error-Id")}
	var told struct {
		Title, Detail, Code string
		Details             map[string]string
	}
	if json.Unmarshal(answer, &told) == nil {
		e.text, e.details = told.Title, told.Details
		if told.Detail != "" {
			e.text, e.id = told.Detail, told.Code
		}
	}
	if e.text == "" {
		e.text = fmt.Sprintf("%s answers %s", c.base, resp.Status)
	}
	return 0, nil, e.coded()
}

// reachError says why a REST interface cannot be reached. Gone says so of a development cluster, empty for others.
func reachError(base, gone string, err error) error {
	var unknown x509.UnknownAuthorityError
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // without the path, which may hold ids
	}
	if errors.As(err, &unknown) {
		return fmt.Errorf("%s shows a certificate that is not trusted: name its CA with FAIRLEAD_CA_FILE or ca_file in the context: %w", base, err)
	}
	if gone != "" {
		return fmt.Errorf("nothing answers at %s: %s: %w", base, gone, err)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing answers at %s: does the cluster run? `fairlead dev` starts one, `fairlead context list` shows which are known: %w", base, err)
	}
	return fmt.Errorf("reach %s: %w", base, err)
}

// get makes a GET and reads the JSON answer.
func (c *restClient) get(ctx context.Context, path string, into any, header ...string) (int, error) {
	return c.call(ctx, http.MethodGet, path, nil, into, header...)
}

func (c *restClient) call(ctx context.Context, method, path string, body, into any, header ...string) (int, error) {
	status, answer, err := c.do(ctx, method, path, body, header...)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return 0, fmt.Errorf("%s does not answer as fairlead does: %w", c.base, err)
	}
	return status, nil
}

// The bases of the two interfaces.
const (
	cordaAPI = "/api/v5_2"
	ownAPI   = "/api/fairlead/v1"
)

// virtualNode is a virtual node as REST lists it.
type virtualNode struct {
	ShortHash string `json:"shortHash"`
	X500Name  string `json:"x500Name"`
	CpiName   string `json:"cpiName"`
}

func (c *restClient) virtualNodes(ctx context.Context) ([]virtualNode, error) {
	var list struct{ VirtualNodes []virtualNode }
	if _, err := c.get(ctx, ownAPI+"/virtualnode", &list); err != nil {
		return nil, err
	}
	return list.VirtualNodes, nil
}

// flowStatus is a flow's status as REST tells it. Fields of both interfaces.
type flowStatus struct {
	Holding         string          `json:"holdingIdentityShortHash"`
	ClientRequestID string          `json:"clientRequestId"`
	FlowID          string          `json:"flowId"`
	FlowStatus      string          `json:"flowStatus"`
	FlowResult      *string         `json:"flowResult,omitempty"`
	JSON            json.RawMessage `json:"json,omitempty"`
	FlowError       *flowFailure    `json:"flowError"`
	Timestamp       time.Time       `json:"timestamp"`
	FlowClass       string          `json:"flowClass,omitempty"`
	InitiatedBy     string          `json:"initiatedBy,omitempty"`
	CreatedAt       *time.Time      `json:"createdAt,omitempty"`
	WaitingFor      string          `json:"waitingFor,omitempty"`
	Paused          bool            `json:"paused,omitempty"`
	LastCommand     *commandOutcome `json:"lastCommand,omitempty"`
}

// commandOutcome is what became of the last command for a flow.
type commandOutcome struct {
	ID      string    `json:"id"`
	Command string    `json:"command"`
	Refused bool      `json:"refused"`
	ErrorID string    `json:"errorId,omitempty"`
	Detail  string    `json:"detail"`
	At      time.Time `json:"at"`
}

// text is the outcome on one line.
func (o commandOutcome) text() string {
	word := "done"
	if o.Refused {
		word = "refused"
	}
	return fmt.Sprintf("%s, %s: %s", o.Command, word, o.Detail)
}

type flowFailure struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// ended tells whether the status is final.
func (s flowStatus) ended() bool {
	return s.FlowStatus == "COMPLETED" || s.FlowStatus == "FAILED" || s.FlowStatus == "KILLED"
}

func flowPath(base, holding, id string) string {
	return base + "/flow/" + url.PathEscape(holding) + "/" + url.PathEscape(id)
}

// waitSlice is how long one request waits for a flow's end.
const waitSlice = 20 * time.Second

// waitGrace is how long after waitSlice an answer is given up: its connection is dead.
const waitGrace = 10 * time.Second

// waitEnd waits for a flow's end, as long as ctx lives.
func (c *restClient) waitEnd(ctx context.Context, holding, id string) (flowStatus, error) {
	for {
		s, err := c.waitSlice(ctx, holding, id)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			continue
		}
		if err != nil || s.ended() {
			return s, err
		}
	}
}

func (c *restClient) waitSlice(ctx context.Context, holding, id string) (s flowStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, waitSlice+waitGrace)
	defer cancel()
	_, err = c.get(ctx, flowPath(ownAPI, holding, id)+"/result", &s, "Prefer", fmt.Sprintf("wait=%d", int(waitSlice/time.Second)))
	return s, err
}
