package flows

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/integration/replica"
)

// Client starts flows and asks for them, through any of the workers.
type Client struct {
	// URLs of the workers.
	URLs           []string
	User, Password string
	HTTP           *http.Client
}

// NewClient makes a client that trusts a CA.
func NewClient(caFile, user, password string, urls ...string) (*Client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	return &Client{URLs: urls, User: user, Password: password, HTTP: &http.Client{
		// Longer than a worker waits for the mapper, so that a frozen worker is told from a slow one.
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 64},
	}}, nil
}

// call makes one call and decodes a JSON answer into out when its status is below 300.
func (c *Client) call(ctx context.Context, method, url string, body []byte, out any) (code int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("make a request: %w", err)
	}
	r.SetBasicAuth(c.User, c.Password)
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return resp.StatusCode, fmt.Errorf("%s %s: %s %s", method, url, resp.Status, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return resp.StatusCode, fmt.Errorf("%s %s answers %q: %w", method, url, answer, err)
	}
	return resp.StatusCode, nil
}

// retryAfter is the pause before a client asks again.
const retryAfter = 200 * time.Millisecond

// Start asks for a flow until a worker says that there is one, as a careful client does: with the same client request
// id, through another worker. Every answer but "not now" and a broken connection ends it.
func (c *Client) Start(ctx context.Context, rnd *rand.Rand, r Request) (Asked, error) {
	a := Asked{Request: r}
	body, err := json.Marshal(map[string]any{"clientRequestId": r.ID, "flowClassName": r.Class, "requestBody": json.RawMessage(r.Input)})
	if err != nil {
		return a, fmt.Errorf("encode %s: %w", r.ID, err)
	}
	first := rnd.IntN(len(c.URLs))
	if !r.Twice {
		return a, c.start(ctx, &a, body, first)
	}
	second := Asked{Request: r}
	var wg sync.WaitGroup
	var secondErr error
	wg.Go(func() { secondErr = c.start(ctx, &second, body, (first+1)%len(c.URLs)) })
	err = c.start(ctx, &a, body, first)
	wg.Wait()
	if err == nil {
		err = secondErr
	}
	a.FlowIDs, a.Taken, a.Tries = append(a.FlowIDs, second.FlowIDs...), a.Taken+second.Taken, a.Tries+second.Tries
	return a, err
}

func (c *Client) start(ctx context.Context, a *Asked, body []byte, from int) error {
	for n := from; ; n++ {
		a.Tries++
		var status struct{ FlowID string }
		code, err := c.call(ctx, http.MethodPost, c.URLs[n%len(c.URLs)]+"/api/v5_2/flow/"+a.Vnode.ShortHash, body, &status)
		switch {
		case code == http.StatusAccepted && err == nil:
			a.FlowIDs = append(a.FlowIDs, status.FlowID)
			return nil
		case code == http.StatusConflict:
			a.Taken++
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("start %s: no worker took it after %d calls: %w, at last: %w", a.ID, a.Tries, ctx.Err(), err)
		case code == 0 || code == http.StatusServiceUnavailable:
			replica.Wait(ctx, retryAfter)
		default:
			return fmt.Errorf("start %s: %w", a.ID, err)
		}
	}
}

// History asks a worker for a flow's history.
func (c *Client) History(ctx context.Context, url string, r Request) ([]Step, error) {
	var h struct {
		Steps []struct {
			Attempt, Step, Ordinal uint32
			Kind, Operation        string
			AnsweredAt             string
			Answer                 json.RawMessage
		}
	}
	_, err := c.call(ctx, http.MethodGet, url+"/api/fairlead/v1/flow/"+r.Vnode.ShortHash+"/"+r.ID+"/history", nil, &h)
	out := make([]Step, len(h.Steps))
	for i, s := range h.Steps {
		out[i] = Step{s.Attempt, s.Step, s.Ordinal, s.Kind, s.Operation, s.AnsweredAt, s.Answer}
	}
	return out, err
}

// Ended asks a worker how many flows of a virtual node have ended.
func (c *Client) Ended(ctx context.Context, url, shortHash string) (int, error) {
	var list struct{ FlowStatusResponses []struct{ FlowStatus string } }
	_, err := c.call(ctx, http.MethodGet, url+"/api/v5_2/flow/"+shortHash, nil, &list)
	n := 0
	for _, s := range list.FlowStatusResponses {
		if s.FlowStatus == "COMPLETED" || s.FlowStatus == "FAILED" || s.FlowStatus == "KILLED" {
			n++
		}
	}
	return n, err
}
