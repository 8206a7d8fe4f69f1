package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// processReport is what a worker's process says of itself under /status.
type processReport struct {
	Address string `json:"address"`
	// Error is why it could not be asked.
	Error   string         `json:"error,omitempty"`
	Ready   bool           `json:"ready"`
	Phase   string         `json:"phase"`
	Reasons []string       `json:"reasons"`
	Waiting []string       `json:"waiting"`
	Build   string         `json:"build"`
	Types   []string       `json:"workers"`
	Groups  []processGroup `json:"groups"`
}

type processGroup struct {
	Group    string           `json:"group"`
	Ready    bool             `json:"ready"`
	Spare    bool             `json:"spare"`
	Paused   string           `json:"paused"`
	Sessions []processSession `json:"sessions"`
}

type processSession struct {
	Phase          string `json:"phase"`
	MissingRecords int64  `json:"missingRecords"`
	TotalRecords   int64  `json:"totalRecords"`
	Waiting        int64  `json:"waiting"`
	Parked         int64  `json:"parked"`
}

// waits says what keeps a group of a process waiting.
func (w processGroup) waits() []string {
	var out []string
	if w.Paused != "" {
		out = append(out, "paused: "+w.Paused)
	}
	var missing, total, waiting, parked int64
	for _, s := range w.Sessions {
		missing, total, waiting, parked = missing+s.MissingRecords, total+s.TotalRecords, waiting+s.Waiting, parked+s.Parked
	}
	if missing > 0 && total > 0 {
		out = append(out, fmt.Sprintf("recovering its tables, %d %% read", 100*(total-missing)/total))
	}
	if waiting > 0 {
		out = append(out, plural(int(waiting), "record")+" to be tried again")
	}
	if parked > 0 {
		out = append(out, plural(int(parked), "key")+" parked for an operator")
	}
	return out
}

// spares says of which groups a process is a spare.
func (p processReport) spares() string {
	var names []string
	for _, g := range p.Groups {
		if g.Spare {
			names = append(names, g.Group)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "spare of " + strings.Join(names, ",") + ": others own all partitions"
}

// askProcesses asks all processes at once, in the order of their addresses.
func (g *Globals) askProcesses(ctx context.Context, addresses []string) []processReport {
	out := make([]processReport, len(addresses))
	transport := &http.Transport{}
	if g.Dial != nil {
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return g.Dial(ctx, network, address)
		}
	}
	client := &http.Client{Transport: transport, Timeout: statusTime}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			base := processURL(address)
			p, err := askProcess(ctx, client, base)
			if p.Address = strings.TrimPrefix(base, "http://"); err != nil {
				p.Error = err.Error()
			}
			out[i] = p
		})
	}
	all.Wait()
	return out
}

// processURL is the URL of an address that may leave out what goes without saying.
func processURL(address string) string {
	address = strings.TrimSuffix(strings.TrimRight(address, "/"), "/status")
	if !strings.Contains(address, "://") {
		if strings.HasPrefix(address, ":") {
			address = "localhost" + address
		}
		address = "http://" + address
	}
	return address
}

// maxStatus bounds what is read of a status, bytes.
const maxStatus = 4 << 20

func askProcess(ctx context.Context, client *http.Client, base string) (p processReport, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/status", nil)
	if err != nil {
		return p, fmt.Errorf("--workers %s: host:port or a URL is needed", base)
	}
	response, err := client.Do(request)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // the address stands before it
		}
		return p, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxStatus))
	if err != nil {
		return p, err
	}
	// It answers 503 while it is not ready.
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable || json.Unmarshal(raw, &p) != nil || p.Phase == "" {
		return processReport{}, fmt.Errorf("it answers %s, not as a worker does", response.Status)
	}
	return p, nil
}
