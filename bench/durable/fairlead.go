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
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// kafkaBrokers says on what brokers fairlead runs. The zero value is its own embedded broker.
type kafkaBrokers struct {
	// nodes of Apache Kafka are 0, 1 or 3. With three each record is on all of them, and on two at least.
	nodes int
	// sync has each node sync each append.
	sync bool
}

// topicPrefix is before the names of fairlead's topics.
const topicPrefix = "durable-"

// fairlead starts `fairlead dev` with the workers that flows need. Flow steps of apps/hello is the workflow, REST the client.
func fairlead(k kafkaBrokers) func(context.Context, bench, *system) error {
	return func(ctx context.Context, b bench, s *system) error {
		data := filepath.Join(s.dir, "dev")
		args := []string{"dev", "--data", data, "--app", filepath.Join(b.root, "apps", "hello"), "--rest-address", "127.0.0.1:0", "--workers", "flow,flow-mapper,rest"}
		// Contexts of the user's own are left alone.
		own := "FAIRLEAD_CONFIG=" + filepath.Join(s.dir, "config.yaml")
		replicate := func() error { return nil }
		if k.nodes > 0 {
			brokers, err := s.kafka(ctx, k)
			if err != nil {
				return err
			}
			args = append(args, "--kafka", strings.Join(brokers, ","), "--prefix", topicPrefix)
			if k.nodes > 1 {
				replicate = func() error { return replicated(ctx, b, s, own, brokers) }
			}
		}
		// Before, for the number of replicas, which dev leaves alone; afterwards again, for what it does set: that two are in sync.
		if err := replicate(); err != nil {
			return err
		}
		cmd := exec.Command(b.binary, args...)
		cmd.Env = append(os.Environ(), own)
		if _, err := s.start("fairlead", cmd); err != nil {
			return err
		}
		var info devInfo
		err := s.until(ctx, "fairlead dev", func(context.Context) bool {
			raw, err := os.ReadFile(filepath.Join(data, "dev.json"))
			return err == nil && json.Unmarshal(raw, &info) == nil
		})
		if err != nil {
			return err
		}
		if err := replicate(); err != nil {
			return err
		}
		c, err := newRest(info)
		if err != nil {
			return err
		}
		s.ends = append(s.ends, func() error { c.http.CloseIdleConnections(); return nil })
		s.call = c.workflow
		return nil
	}
}

// replicated gives the topics three replicas, of which two must be in sync, as in production.
func replicated(ctx context.Context, b bench, s *system, own string, brokers []string) error {
	file := filepath.Join(s.dir, "overrides.yaml")
	if err := os.WriteFile(file, []byte("replicas: 3\nmin_insync: 2\n"), 0o644); err != nil {
		return fmt.Errorf("write how topics are replicated: %w", err)
	}
	_, err := tool(ctx, s.dir, []string{own}, b.binary, "topics", "apply", "--yes", "--brokers", strings.Join(brokers, ","), "--prefix", topicPrefix, "--profile", "dev", "--overrides", file)
	return err
}

// kafka starts the nodes.
func (s *system) kafka(ctx context.Context, k kafkaBrokers) ([]string, error) {
	if os.Getenv(kafkatest.BootstrapVariable) != "" {
		return nil, fmt.Errorf("%s is set: this benchmark starts its own Kafka, whose processor time it counts", kafkatest.BootstrapVariable)
	}
	if err := os.Setenv(kafkatest.RealServersVariable, "1"); err != nil {
		return nil, err
	}
	config := map[string]string{}
	if k.sync {
		config["log.flush.interval.messages"] = "1"
	}
	cluster, err := kafkatest.Launch(ctx, s.dir, kafkatest.Options{Nodes: k.nodes, HeapMB: 1024, Fast: true, Config: config})
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, cluster.Close)
	if !cluster.Real() {
		return nil, fmt.Errorf("a real Kafka is needed: %s", cluster.Kind())
	}
	return cluster.Brokers(), nil
}

// devInfo is what dev.json tells, as far as it is needed.
type devInfo struct {
	API          string `json:"api"`
	CAFile       string `json:"caFile"`
	User         string `json:"user"`
	PasswordFile string `json:"passwordFile"`
	VirtualNodes []struct {
		ShortHash string `json:"shortHash"`
	} `json:"virtualNodes"`
}

// rest is a client of the REST interface.
type rest struct {
	base, holding, user, password string
	http                          *http.Client
}

func newRest(info devInfo) (*rest, error) {
	if len(info.VirtualNodes) == 0 {
		return nil, errors.New("fairlead dev has no virtual node")
	}
	password, err := os.ReadFile(info.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	ca, err := os.ReadFile(info.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("CA file %s holds no PEM certificate", info.CAFile)
	}
	transport := keepAlive()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return &rest{
		base: info.API, holding: info.VirtualNodes[0].ShortHash, user: info.User, password: strings.TrimSpace(string(password)),
		http: &http.Client{Transport: transport},
	}, nil
}

// keepAlive is a transport that keeps a connection for each caller.
func keepAlive() *http.Transport {
	return &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024}
}

// workflow starts a flow and waits for its end: two requests.
func (c *rest) workflow(ctx context.Context, id string) error {
	start := map[string]any{"clientRequestId": id, "flowClassName": "steps", "requestBody": map[string]int{"n": steps}}
	body, err := json.Marshal(map[string]any{"startFlow": start})
	if err != nil {
		return fmt.Errorf("encode a start: %w", err)
	}
	if err := c.do(ctx, http.MethodPost, "/api/v5_2/flow/"+c.holding, body, nil); err != nil {
		return err
	}
	var ended struct {
		FlowStatus string          `json:"flowStatus"`
		JSON       json.RawMessage `json:"json"`
		FlowError  json.RawMessage `json:"flowError"`
	}
	if err := c.do(ctx, http.MethodGet, "/api/fairlead/v1/flow/"+c.holding+"/"+id+"/result", nil, &ended); err != nil {
		return err
	}
	if ended.FlowStatus != "COMPLETED" {
		return fmt.Errorf("flow %s is %s: %s", id, ended.FlowStatus, ended.FlowError)
	}
	var result struct {
		Steps int `json:"steps"`
	}
	if err := json.Unmarshal(ended.JSON, &result); err != nil {
		return fmt.Errorf("read the result of flow %s: %w", id, err)
	}
	return check(id, result.Steps)
}

// check compares a workflow's result with what it must be.
func check(id string, got int) error {
	if got != steps {
		return fmt.Errorf("workflow %s has result %d, want %d", id, got, steps)
	}
	return nil
}

func (c *rest) do(ctx context.Context, method, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	r.SetBasicAuth(c.user, c.password)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Prefer", "wait=20")
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("call fairlead: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read fairlead's answer: %w", err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read fairlead's answer: %w", err)
	}
	return nil
}
